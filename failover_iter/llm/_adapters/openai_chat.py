"""Adapter for OpenAI's chat completions and for compatible endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chat import AsyncClient, SyncClient, factory_class, has_format
from failover_iter.llm._chunk import Chunk, FinishReason

__all__ = ["openai_chat"]


class OpenAIChatAnswer(Answer):
    """An answer that arrives in chunks with choices; Groq, Mistral and litellm send these too."""

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
        """Yield the chunks of one event; vLLM sends errors as events without choices."""
        if event.choices is None:
            raise self.error_from(event, event)
        self.read_usage(event.usage)
        for choice in event.choices:
            if choice.index == 0:
                yield from self.read_delta(choice.delta, event)
                self.set_finish_reason(choice.finish_reason, event)

    def read_delta(self, delta: Any, event: object) -> Iterator[Chunk]:
        """Yield the chunks of a delta."""
        # DeepSeek and vLLM use reasoning_content, OpenRouter and Groq reasoning.
        thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
        refusal = getattr(delta, "refusal", None)
        self.refused = self.refused or bool(refusal)
        yield from self.reasoning(thought, event)
        yield from self.text(delta.content or refusal, event)
        for call in delta.tool_calls or ():
            yield from self.read_tool_call(call, event)

    def read_tool_call(self, call: Any, event: object) -> Iterator[Chunk]:
        """Yield a piece of a tool call."""
        function = call.function
        name, arguments = getattr(function, "name", None), getattr(function, "arguments", None)
        yield from self.tool(call.index, event, id=call.id, name=name, arguments=arguments)

    def read_usage(self, usage: Any) -> None:
        """Hold the usage, which may arrive in a separate chunk after the finish reason."""
        if usage:
            self.set_usage(usage, usage.prompt_tokens, usage.completion_tokens)

    def normalized_reason(self, reason: str) -> FinishReason:
        """Translate a finish reason; after a refusal the provider's reason is "stop"."""
        return "content_filter" if self.refused else super().normalized_reason(reason)

    def error_from(self, details: Any, event: object) -> Exception:
        """Build the exception for an error object."""
        code = getattr(details, "code", None) or getattr(details, "type", None)
        message = getattr(details, "message", None) or "the provider sent an error"
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
    """Return a source that asks OpenAI, or a compatible endpoint, through its chat completions.

    Compatible endpoints are those of vLLM, Azure, DeepSeek, OpenRouter and many others. Create the
    client with `max_retries=0`; otherwise its own retries delay a switch by seconds. To receive
    usage, pass `stream_options={"include_usage": True}`.

    Args:
        client: An `OpenAI`, an `AsyncOpenAI`, or a variant such as `AzureOpenAI`.
        name: Name of the source in events, errors and the log; "openai" and the model by default.
        arguments: Arguments of `client.chat.completions.create`: model, messages, ... If there
            are several choices (`n`), only the first is delivered.

    Raises:
        AttributeError: `client` is not a client of this SDK.
        TypeError: `name` is not a str.

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
    create = client.chat.completions.create
    factory = factory_class(client.close)(
        client=client,
        answer_type=OpenAIChatAnswer,
        arguments=arguments,
        structured=has_format(arguments.get("response_format")),
        call=lambda arguments: create(**arguments, stream=True),
    )
    return factory.source(name)
