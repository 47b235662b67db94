"""Adapter for OpenAI's chat completions and for compatible endpoints."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar, Final, Literal, TypeAlias, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import AsyncClient, SyncClient, closer_of, has_format
from failover_iter.llm._field import as_list, field, first_of
from failover_iter.llm._messages import Arguments, prepare_chat
from failover_iter.llm._reading import factory_class

__all__ = ["openai_chat"]

#: Whether every complete answer has a finish reason.
Finish: TypeAlias = Literal["required", "optional"]
#: How an endpoint takes the start of an answer.
Prefill: TypeAlias = Literal["plain", "vllm", "deepseek"]
#: For each, the fields of the last message, and arguments of the request.
_PREFILLS: Final[dict[Prefill, tuple[dict[str, Any], dict[str, Any]]]] = {
    "plain": ({}, {}),
    "vllm": (
        {},
        {"extra_body": {"continue_final_message": True, "add_generation_prompt": False}},
    ),
    "deepseek": ({"prefix": True}, {}),
}


class OpenAIChatAnswer(Answer):
    """An answer that arrives in chunks with choices; Groq, Mistral and litellm send these too.

    Compatible servers leave out, rename and repeat fields, and the SDK does not check what they
    send. So every field may be missing here.
    """

    provider = "openai"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "content_filter",
    }
    #: OpenRouter says "error", vLLM "abort", and DeepSeek "insufficient_system_resource".
    failure_reasons = frozenset({"error", "abort", "insufficient_system_resource"})
    refused = False

    def __init__(self, *args: Any, several_choices: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.several_choices = several_choices
        self.calls = ToolCallKeys()

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; vLLM sends errors as events without choices."""
        choices = field(event, "choices")
        if choices is None:
            raise self.error_from(field(event, "error") or event, event)
        self.read_usage(field(event, "usage"))
        for choice in as_list(choices):
            # Some servers count the index up with each chunk. Only if the request asked for
            # several answers does it number them.
            if not (self.several_choices and field(choice, "index")):
                yield from self.read_delta(first_of(choice, "delta", "message"), event)
                self.set_finish_reason(field(choice, "finish_reason"), event)

    def read_delta(self, delta: Any, event: object) -> Iterator[Chunk]:
        """Yield the chunks of a delta; in those of Azure's filter it is missing."""
        # DeepSeek and vLLM use reasoning_content, OpenRouter and Groq reasoning.
        yield from self.reasoning(first_of(delta, "reasoning_content", "reasoning"), event)
        for part in as_list(field(delta, "content")):
            yield from self.read_part(part, event)
        refusal = field(delta, "refusal")
        self.refused = self.refused or bool(refusal)
        yield from self.refusal(refusal, event)
        for call in as_list(field(delta, "tool_calls")):
            key = self.calls.key(field(call, "index"), field(call, "id"))
            yield from self.read_tool_call(key, field(call, "id"), field(call, "function"), event)
        legacy = field(delta, "function_call")
        if legacy is not None:
            yield from self.read_tool_call("function_call", None, legacy, event)
        for member, kind in _OTHER_MEMBERS.items():
            if field(delta, member):
                yield from self.other(kind, event)

    def read_part(self, part: Any, event: object) -> Iterator[Chunk]:
        """Yield a part of the content: usually a text, in Mistral's answers also reasoning."""
        if isinstance(part, str):
            yield from self.text(part, event)
            return
        thoughts, text = field(part, "thinking"), field(part, "text")
        for thought in as_list(thoughts):
            yield from self.reasoning(
                thought if isinstance(thought, str) else field(thought, "text"), event
            )
        yield from self.text(text, event)
        if thoughts is None and text is None:  # an image, a document, a reference
            kind = field(part, "type")
            if not isinstance(kind, str):
                raise TypeError("a part of the content has neither a text nor a type")
            yield from self.other(kind, event)

    def read_tool_call(
        self, key: object, call_id: str | None, function: Any, event: object
    ) -> Iterator[Chunk]:
        """Yield a piece of a tool call, or a whole one; its arguments may be an object."""
        arguments = field(function, "arguments")
        if not isinstance(arguments, str | None):
            arguments = json.dumps(arguments)
        name = field(function, "name")
        yield from self.tool(key, event, id=call_id, name=name, arguments=arguments)

    def read_usage(self, usage: Any) -> None:
        """Hold the usage, which may arrive in a separate chunk after the finish reason."""
        if usage:
            self.set_usage(
                usage,
                first_of(usage, "prompt_tokens", "input_tokens"),
                first_of(usage, "completion_tokens", "output_tokens"),
                cached=field(usage, "prompt_tokens_details", "cached_tokens"),
                reasoning=field(usage, "completion_tokens_details", "reasoning_tokens"),
            )

    def normalized_reason(self, reason: str) -> FinishReason:
        """Translate a finish reason; after a refusal the provider's reason is "stop"."""
        return "content_filter" if self.refused else super().normalized_reason(reason)

    def error_from(self, details: Any, event: object) -> Exception:
        """Build the exception for an error object."""
        code = first_of(details, "code", "type")
        message = field(details, "message") or "the provider sent an error"
        return self.error(message, code=None if code is None else str(code), raw=event)


#: The members of a delta other than text, and our words for them.
_OTHER_MEMBERS = {"audio": "audio", "images": "image", "annotations": "citation"}


def asks_for_several(arguments: Arguments) -> bool:
    """Whether a request asks for several answers; then each choice is numbered."""
    number = arguments.get("n")
    return isinstance(number, int) and number > 1


class ToolCallKeys:
    """Sorts the pieces of parallel tool calls.

    OpenAI numbers the calls. Some servers leave the number out, or always send 0; then a new id
    starts a new call.
    """

    def __init__(self) -> None:
        #: The current call of each number: its key and its id.
        self.current: dict[object, tuple[object, str | None]] = {}

    def key(self, index: object, call_id: str | None) -> object:
        """Return what identifies the call that this piece belongs to."""
        key, known_id = self.current.get(index, (None, None))
        if key is None or (call_id and known_id and call_id != known_id):
            key = object()
        self.current[index] = key, call_id or known_id
        return key


def _prepare(arguments: Arguments) -> Arguments:
    """Ask for the usage, unless the user says otherwise; None leaves it out."""
    arguments = prepare_chat(arguments)
    arguments.setdefault("stream_options", {"include_usage": True})
    if arguments["stream_options"] is None:
        del arguments["stream_options"]
    return arguments


@overload
def openai_chat(
    client: SyncClient,
    *,
    name: str | None = None,
    finish: Finish = "required",
    prefill: Prefill | None = None,
    **arguments: Any,
) -> Source[Iterator[Chunk]]: ...
@overload
def openai_chat(
    client: AsyncClient,
    *,
    name: str | None = None,
    finish: Finish = "required",
    prefill: Prefill | None = None,
    **arguments: Any,
) -> Source[AsyncIterator[Chunk]]: ...
def openai_chat(
    client: Any,
    *,
    name: str | None = None,
    finish: Finish = "required",
    prefill: Prefill | None = None,
    **arguments: Any,
) -> Source[Any]:
    """Return a source that asks OpenAI, or a compatible endpoint, through its chat completions.

    Compatible endpoints are those of vLLM, Azure, DeepSeek, OpenRouter and many others. Create the
    client with `max_retries=0`; otherwise its own retries delay a switch by seconds. The adapter
    asks for the usage. For an endpoint that does not know `stream_options`, pass
    `stream_options=None`.

    Args:
        client: An `OpenAI`, an `AsyncOpenAI`, or a variant such as `AzureOpenAI`.
        name: Name of the source in events, errors and the log; "openai" and the model by default.
        finish: "optional" for an endpoint that never sends a finish reason: an answer that ends
            without one then counts as complete, so a truncated answer cannot be detected.
        prefill: How the endpoint takes the start of an answer, for `continue_with("prefill")`:
            "plain" (a last message of the assistant), "vllm", or "deepseek" (its beta endpoint).
            None, the default, means that it accepts none, like OpenAI's own models.
        arguments: Arguments of `client.chat.completions.create`: model, messages, ... If there
            are several choices (`n`), only the first is delivered.

    Raises:
        AttributeError: `client` is not a client of this SDK.
        TypeError: `name` is not a str.
        ValueError: `finish` or `prefill` has a value that is not allowed.

    Example:
        >>> from failover_iter.llm import openai_chat
        >>> class Client:  # a stub for openai.OpenAI(max_retries=0)
        ...     class chat:
        ...         class completions:
        ...             def create(**arguments): ...
        ...     def close(self): ...
        >>> openai_chat(Client(), model="gpt", messages=[{"role": "user", "content": "Hi"}]).name
        'openai gpt'
    """
    if finish not in {"required", "optional"}:
        raise ValueError(f"finish must be 'required' or 'optional', got {finish!r}")
    if prefill is not None and prefill not in _PREFILLS:
        allowed = ", ".join(map(repr, _PREFILLS))
        raise ValueError(f"prefill must be one of {allowed}, or None, got {prefill!r}")
    create = client.chat.completions.create
    factory = factory_class(closer_of(client))(
        client=client,
        answer_type=OpenAIChatAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.get("tools")),
        structured=has_format(arguments.get("response_format")),
        answer_options={
            "finish_required": finish == "required",
            "several_choices": asks_for_several(arguments),
        },
        prepare=_prepare,
        prefill_fields=None if prefill is None else _PREFILLS[prefill][0],
        prefill_arguments={} if prefill is None else _PREFILLS[prefill][1],
        call=lambda arguments: create(**arguments, stream=True),
    )
    return factory.source(name)
