"""Adapter for Anthropic's messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import AsyncClient, SyncClient, has_format
from failover_iter.llm._messages import Arguments, split_system
from failover_iter.llm._reading import factory_class
from failover_iter.llm._status import as_mapping

__all__ = ["anthropic_messages"]


class AnthropicAnswer(Answer):
    """An answer that arrives in content blocks."""

    provider = "anthropic"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
        "pause_turn": "pause",
    }
    read_tokens: int | None = None

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; the SDK itself raises error events."""
        match event.type:
            case "message_start":
                self.read_tokens = event.message.usage.input_tokens
            case "content_block_start" if event.content_block.type == "tool_use":
                block = event.content_block
                yield from self.tool(event.index, event, id=block.id, name=block.name)
            case "content_block_delta":
                yield from self.read_delta(event.delta, event)
            case "message_delta":
                # This usage is the total; only older models leave out the input tokens.
                read = getattr(event.usage, "input_tokens", None)
                read = self.read_tokens if read is None else read
                self.set_usage(event.usage, read, event.usage.output_tokens)
                self.set_finish_reason(event.delta.stop_reason, event)
            case _:
                pass

    def read_delta(self, delta: Any, event: Any) -> Iterator[Chunk]:
        """Yield a piece of a block, unless it belongs to a tool that the provider runs itself."""
        match delta.type:
            case "text_delta":
                yield from self.text(delta.text, event)
            case "thinking_delta":
                yield from self.reasoning(delta.thinking, event)
            case "input_json_delta" if event.index in self.tool_indexes and delta.partial_json:
                yield from self.tool(event.index, event, arguments=delta.partial_json)
            case _:
                pass


def _prepare(arguments: Arguments) -> Arguments:
    """Move system messages from the conversation into the argument `system`."""
    system, messages = split_system(arguments.get("messages", ()))
    arguments["messages"] = messages
    if system:
        existing: Any = arguments.get("system") or ()
        texts = [existing, *system] if isinstance(existing, str) else system
        blocks = [{"type": "text", "text": text} for text in texts]
        arguments["system"] = blocks if isinstance(existing, str) else [*existing, *blocks]
    return arguments


@overload
def anthropic_messages(
    client: SyncClient, *, name: str | None = None, **arguments: Any
) -> Source[Iterator[Chunk]]: ...
@overload
def anthropic_messages(
    client: AsyncClient, *, name: str | None = None, **arguments: Any
) -> Source[AsyncIterator[Chunk]]: ...
def anthropic_messages(client: Any, *, name: str | None = None, **arguments: Any) -> Source[Any]:
    """Return a source that asks Anthropic through its messages API.

    Create the client with `max_retries=0`; otherwise its own retries delay a switch by seconds.

    Args:
        client: An `Anthropic`, an `AsyncAnthropic`, or a variant such as `AnthropicBedrock`.
        name: Name of the source in events, errors and the log; "anthropic" and the model by
            default.
        arguments: Arguments of `client.messages.create`: model, max_tokens, messages, ... System
            messages are moved to the argument `system`.

    Raises:
        AttributeError: `client` is not a client of this SDK.
        TypeError: `name` is not a str.

    Example:
        >>> from failover_iter.llm import anthropic_messages
        >>> class Client:  # a stub for anthropic.Anthropic(max_retries=0)
        ...     class messages:
        ...         def create(**arguments): ...
        ...     def close(self): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> anthropic_messages(Client(), model="claude", max_tokens=9, messages=messages).name
        'anthropic claude'
    """
    create = client.messages.create
    formats = [arguments.get("output_format")]
    formats.append(as_mapping(arguments.get("output_config")).get("format"))
    factory = factory_class(client.close)(
        client=client,
        answer_type=AnthropicAnswer,
        arguments=arguments,
        structured=any(map(has_format, formats)),
        prepare=_prepare,
        prefill_fields={},
        call=lambda arguments: create(**arguments, stream=True),
    )
    return factory.source(name)
