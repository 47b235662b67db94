"""OpenAI's chat completions, and whatever speaks that protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chat import AsyncClient, SyncClient, factory_class, has_format
from failover_iter.llm._chunk import Chunk, FinishReason

__all__ = ["openai_chat"]


class OpenAIChatAnswer(Answer):
    """An answer in chunks with choices: also what Groq, Mistral and litellm give."""

    provider = "openai"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "content_filter",
    }
    failure_reasons = frozenset({"error"})
    refused = False

    def read(self, event: Any) -> Iterator[Chunk]:
        """A chunk; an error that was sent as one has no choices (vLLM)."""
        if event.choices is None:
            raise self.error_from(event, event)
        self.read_usage(event.usage)
        for choice in event.choices:
            if choice.index == 0:
                yield from self.read_delta(choice.delta, event)
                self.set_finish_reason(choice.finish_reason, event)

    def read_delta(self, delta: Any, event: object) -> Iterator[Chunk]:
        """What a delta adds."""
        # DeepSeek and vLLM say reasoning_content, OpenRouter and Groq reasoning.
        thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
        refusal = getattr(delta, "refusal", None)
        self.refused = self.refused or bool(refusal)
        yield from self.reasoning(thought, event)
        yield from self.text(delta.content or refusal, event)
        for call in delta.tool_calls or ():
            yield from self.read_tool_call(call, event)

    def read_tool_call(self, call: Any, event: object) -> Iterator[Chunk]:
        """A piece of a tool call."""
        function = call.function
        name, arguments = getattr(function, "name", None), getattr(function, "arguments", None)
        yield from self.tool(call.index, event, id=call.id, name=name, arguments=arguments)

    def read_usage(self, usage: Any) -> None:
        """The usage, which may come with a chunk of its own, after the finish reason."""
        if usage:
            self.set_usage(usage, usage.prompt_tokens, usage.completion_tokens)

    def normalized_reason(self, reason: str) -> FinishReason:
        """A refusal ends with "stop"."""
        return "content_filter" if self.refused else super().normalized_reason(reason)

    def error_from(self, said: Any, event: object) -> Exception:
        """The error for an error object."""
        code = getattr(said, "code", None) or getattr(said, "type", None)
        message = getattr(said, "message", None) or "the provider sent an error"
        return self.error(message, code=None if code is None else str(code), raw=event)


@overload
def openai_chat(
    client: SyncClient, *, name: str | None = None, **arguments: Any
) -> Source[Iterator[Chunk]]: ...
@overload
def openai_chat(
    client: AsyncClient, *, name: str | None = None, **arguments: Any
) -> Source[AsyncIterator[Chunk]]: ...
def openai_chat(client: Any, *, name: str | None = None, **arguments: Any) -> Source[Any]:
    """Make a source of OpenAI's chat completions, or of an endpoint that speaks their protocol.

    vLLM, Azure, DeepSeek, OpenRouter and many others do. Give the client `max_retries=0`, or its
    own retries hold up the switch for seconds. For usage, pass
    `stream_options={"include_usage": True}`.

    Args:
        client: an `OpenAI` or `AsyncOpenAI` (`AzureOpenAI`, ...).
        name: shown in events, errors and the log; "openai" and the model unless given.
        arguments: those of `client.chat.completions.create`: model, messages, ... Of several
            choices (`n`) the first is delivered.

    Example:
        >>> from failover_iter.llm import openai_chat
        >>> class Client:  # stands for openai.OpenAI(max_retries=0)
        ...     class chat:
        ...         class completions:
        ...             def create(**arguments): ...
        ...     def close(self): ...
        >>> openai_chat(Client(), model="gpt", messages=[{"role": "user", "content": "Hi"}]).name
        'openai gpt'
    """
    create = client.chat.completions.create
    factory = factory_class(client.close)(
        answer_type=OpenAIChatAnswer,
        arguments=arguments,
        structured=has_format(arguments.get("response_format")),
        call=lambda arguments: create(**arguments, stream=True),
    )
    return factory.source(name)
