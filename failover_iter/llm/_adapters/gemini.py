"""Adapter for Google's Gemini, through google-genai."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from functools import partial
from mimetypes import guess_type
from typing import Any, ClassVar, Protocol, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import has_format
from failover_iter.llm._field import as_list, field, first_of
from failover_iter.llm._messages import (
    Arguments,
    Image,
    Turn,
    format_of,
    function_of,
    joined,
    split_system,
    wants_any_json,
)
from failover_iter.llm._reading import AsyncChatFactory, DualChatFactory, DualStream
from failover_iter.llm._status import as_mapping

__all__ = ["gemini_chat"]


class _Client(Protocol):
    """A `google.genai.Client`."""

    @property
    def aio(self) -> Any: ...


class _AsyncClient(Protocol):
    """The attribute `aio` of a `google.genai.Client`."""

    @property
    def models(self) -> Any: ...


_FILTERED = (
    "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR IMAGE_SAFETY "
    "IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION JAILBREAK"
)


class GeminiAnswer(Answer):
    """An answer that arrives in candidates; only the first candidate is delivered."""

    provider = "gemini"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {
        "STOP": "stop",
        "MAX_TOKENS": "length",
        **dict.fromkeys(_FILTERED.split(), "content_filter"),
    }
    failure_reasons = frozenset(
        {
            "OTHER",
            "MALFORMED_FUNCTION_CALL",
            "MALFORMED_RESPONSE",
            "UNEXPECTED_TOOL_CALL",
            "TOO_MANY_TOOL_CALLS",
            "MISSING_THOUGHT_SIGNATURE",
        }
    )

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; if the prompt was blocked, it holds only the reason."""
        self.read_usage(field(event, "usage_metadata"))
        for candidate in (event.candidates or ())[:1]:
            for part in as_list(field(candidate, "content", "parts")):
                yield from self.read_part(part, event)
            if first_of(candidate, "citation_metadata", "grounding_metadata"):
                yield from self.other("citation", event)
            self.set_finish_reason(_reason_name(candidate.finish_reason), event)
        blocked = field(event, "prompt_feedback", "block_reason")
        if blocked and not self.has_content:
            self.set_finish_reason(_reason_name(blocked), event)

    def read_usage(self, usage: Any) -> None:
        """Hold the usage; thoughts and the results of Google's own tools are counted apart."""
        if not usage:
            return
        count = partial(field, usage)
        thoughts = count("thoughts_token_count")
        self.set_usage(
            usage,
            _sum(count("prompt_token_count"), count("tool_use_prompt_token_count")),
            _sum(count("candidates_token_count"), thoughts),
            cached=count("cached_content_token_count"),
            reasoning=thoughts,
        )

    def read_part(self, part: Any, event: object) -> Iterator[Chunk]:
        """Yield a part: text, reasoning, a whole function call, or anything else."""
        call, text = field(part, "function_call"), field(part, "text")
        index = None
        if call:
            index = len(self.tool_indexes)
            arguments = json.dumps(call.args or {})
            yield from self.tool(index, event, id=call.id, name=call.name, arguments=arguments)
        elif field(part, "thought"):
            yield from self.reasoning(text, event)
        else:
            yield from self.text(text, event)
        for kind in _OTHER_PARTS:
            if field(part, kind):
                yield from self.other(kind, event)
        signature = field(part, "thought_signature")
        if signature:
            # A text, so that a conversation can be written as JSON.
            kept = {"thought_signature": b64encode(signature).decode(), "tool_call": index}
            yield from self.opaque(kept, event)


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


#: The parts of an answer other than text.
_OTHER_PARTS = (
    "inline_data",
    "file_data",
    "executable_code",
    "code_execution_result",
    "function_response",
    "tool_call",
    "tool_response",
)


def _reason_name(reason: Any) -> str | None:
    """Return the protocol's word for an enum member; None for a missing reason."""
    name = getattr(reason, "value", reason)
    return None if name is None or str(name).endswith("_UNSPECIFIED") else str(name)


async def _events(call: Any, arguments: Arguments) -> AsyncIterator[Any]:
    """Yield the SDK's events, and close the connection, which the SDK's `aclose()` leaves open.

    Cancelling a read closes it, because the cancellation reaches every generator that the stream is
    made of. So on the way out there is one more read, which is cancelled at once.
    """
    events = await call(**arguments)
    try:
        async for event in events:
            yield event
    except GeneratorExit:
        import anyio  # google-genai requires it; it cancels under asyncio and trio alike

        with anyio.move_on_after(0), suppress(StopAsyncIteration):
            while True:
                await anext(events)
        raise
    finally:
        await events.aclose()


def _prepare(arguments: Arguments) -> Arguments:
    """Convert OpenAI's form: messages, tools and format; the last two belong into the config."""
    if "messages" in arguments:
        arguments["contents"] = arguments.pop("messages")
    tools = arguments.pop("tools", None)
    if tools:
        arguments["config"] = _with_options(arguments.get("config"), tools=_tools(tools))
    response_format = arguments.pop("response_format", None)
    schema = format_of(response_format)
    if schema is not None or wants_any_json(response_format):
        options = {"response_mime_type": "application/json"}
        if schema is not None:
            options["response_json_schema"] = schema.schema
        arguments["config"] = _with_options(arguments.get("config"), **options)
    contents = arguments.get("contents")
    if isinstance(contents, list):
        system, turns = split_system(as_list(contents))
        arguments["contents"] = _contents(turns)
        if system:
            arguments["config"] = _with_instructions(arguments.get("config"), system)
    return arguments


def _contents(turns: list[Any]) -> list[Any]:
    names: dict[str, str] = {}
    contents: list[Any] = []
    for turn in turns:
        if isinstance(turn, Turn):
            names.update({call.id: call.name for call in turn.calls})
            contents.append(_content(turn, names))
        else:
            contents.append(turn)
    return (
        joined(contents, "parts") if all(isinstance(each, dict) for each in contents) else contents
    )


def _content(turn: Turn, names: dict[str, str]) -> dict[str, Any]:
    if turn.role == "tool":
        response = {"name": names.get(turn.call_id, ""), "response": {"result": turn.text}}
        return {"role": "user", "parts": [{"function_response": response}], "is_result": True}
    parts = [_part(part) for part in turn.parts]
    calls: list[dict[str, Any]] = [
        {"function_call": {"name": c.name, "args": c.arguments}} for c in turn.calls
    ]
    for kept in turn.opaque_of("gemini"):
        index = kept["tool_call"]
        owners = calls[index : index + 1] if index is not None else parts[-1:]
        for owner in owners:
            owner["thought_signature"] = b64decode(kept["thought_signature"])
    return {"role": "model" if turn.role == "assistant" else "user", "parts": parts + calls}


def _part(part: dict[str, Any] | Image) -> dict[str, Any]:
    if not isinstance(part, Image):
        return {"text": part["text"]}
    if part.url:
        kind = guess_type(part.url)[0] or "image/*"
        return {"file_data": {"file_uri": part.url, "mime_type": kind}}
    return {"inline_data": {"mime_type": part.media_type, "data": b64decode(part.data)}}


def _tools(tools: list[Any]) -> list[Any]:
    """Return the functions as declarations in one tool, and all other tools unchanged."""
    functions = [function_of(tool) for tool in tools]
    declarations = [
        {name: each[name] for name in ("name", "description") if name in each}
        | ({"parameters_json_schema": each["parameters"]} if "parameters" in each else {})
        for each in functions
        if each is not None
    ]
    others = [tool for tool in tools if function_of(tool) is None]
    return [*others, {"function_declarations": declarations}] if declarations else others


def _with_options(config: Any, **options: Any) -> Any:
    """Return a copy of the config with these options."""
    if hasattr(config, "model_copy"):
        return config.model_copy(update=options)
    return {**as_mapping(config), **options}


def _with_instructions(config: Any, system: list[str]) -> Any:
    """Return a copy of the config with these texts after its own system instruction."""
    existing = _config_option(config, "system_instruction")
    if existing is not None and not isinstance(existing, str):
        raise TypeError(
            "system messages need a config whose system_instruction is a str, got "
            f"{type(existing).__name__}"
        )
    instruction = "\n\n".join([existing, *system] if existing else system)
    return _with_options(config, system_instruction=instruction)


def _config_option(config: Any, option: str) -> Any:
    return as_mapping(config).get(option) or getattr(config, option, None)


@overload
def gemini_chat(
    client: _Client, *, name: str | None = None, **arguments: Any
) -> Source[DualStream]: ...
@overload
def gemini_chat(
    client: _AsyncClient, *, name: str | None = None, **arguments: Any
) -> Source[AsyncIterator[Chunk]]: ...
def gemini_chat(client: Any, *, name: str | None = None, **arguments: Any) -> Source[Any]:
    """Return a source that asks Google's Gemini.

    Create the client with `http_options` that have a `timeout` (in milliseconds) and
    `retry_options=HttpRetryOptions(attempts=1)`. If aiohttp is installed, the timeout of the async
    client limits the whole answer instead of each read: make it long, and set a short
    `idle_timeout`.

    Args:
        client: A `google.genai.Client`, for `chat_stream` and `achat_stream`, or its `aio`, for
            `achat_stream`.
        name: Name of the source in events, errors and the log; "gemini" and the model by default.
        arguments: Arguments of `client.models.generate_content_stream`: model, contents, config.
            You may pass plain messages as `messages`; system messages are moved into the config.

    Raises:
        AttributeError: `client` is not a client of this SDK.
        TypeError: `name` is not a str.

    When the stream opens the source, it raises a TypeError if there are system messages and the
    config has a `system_instruction` that is not a str.

    Example:
        >>> from failover_iter.llm import gemini_chat
        >>> class Client:  # a stub for google.genai.Client(http_options=...)
        ...     class models:
        ...         def generate_content_stream(**arguments): ...
        ...     class aio:
        ...         class models:
        ...             async def generate_content_stream(**arguments): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> gemini_chat(Client(), model="gemini-flash", messages=messages).name
        'gemini gemini-flash'
    """
    config = arguments.get("config")
    mime = _config_option(config, "response_mime_type") or "text/plain"
    models = client.models
    amodels = client.aio.models if hasattr(client, "aio") else models
    factory = (AsyncChatFactory if amodels is models else DualChatFactory)(
        client=client,
        answer_type=GeminiAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.get("tools") or _config_option(config, "tools")),
        messages_argument="messages" if "messages" in arguments else "contents",
        structured=mime != "text/plain" or has_format(arguments.get("response_format")),
        prepare=_prepare,
        call=lambda arguments: models.generate_content_stream(**arguments),
        acall=lambda arguments: _events(amodels.generate_content_stream, arguments),
    )
    return factory.source(name)
