"""Adapter for Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import AsyncClient, SyncClient, closer_of, has_format
from failover_iter.llm._field import field
from failover_iter.llm._messages import (
    Arguments,
    Image,
    Turn,
    format_of,
    function_of,
    joined,
    parameters_of,
    split_system,
)
from failover_iter.llm._reading import factory_class
from failover_iter.llm._status import as_mapping

__all__ = ["anthropic_messages"]


#: Input tokens that Anthropic counts apart: read from its cache, and written to it.
_CACHES = ("cache_read_input_tokens", "cache_creation_input_tokens")


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

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: The token counts so far.
        self.counts: dict[str, int] = {}
        #: By index, the type of each block.
        self.blocks: dict[int, str] = {}
        #: By index, the input that a block began with; only gateways send it there.
        self.inputs: dict[int, Any] = {}
        #: By index, the thinking so far, which is sent back together with its signature.
        self.thoughts: dict[int, dict[str, str]] = {}

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; the SDK itself raises error events."""
        match event.type:
            case "message_start":
                self.read_usage(field(event, "message", "usage"))
            case "content_block_start":
                self.blocks[event.index] = event.content_block.type
                yield from self.read_start(event.index, event.content_block, event)
            case "content_block_delta":
                yield from self.read_delta(event.index, event.delta, event)
            case "content_block_stop":
                yield from self.read_stop(event.index, event)
            case "message_delta":
                self.read_usage(event.usage)
                self.set_finish_reason(event.delta.stop_reason, event)
            case _:
                pass

    def read_usage(self, usage: Any) -> None:
        """Hold the usage; each report is the total so far, and may leave out what it began with."""
        for name in ("input_tokens", *_CACHES, "output_tokens"):
            count = field(usage, name)
            if count is not None:
                self.counts[name] = count
        cached = self.counts.get(_CACHES[0])
        read = [self.counts[name] for name in ("input_tokens", *_CACHES) if name in self.counts]
        total = sum(read) if read else None
        self.set_usage(usage, total, self.counts.get("output_tokens"), cached=cached)

    def read_start(self, index: int, block: Any, event: Any) -> Iterator[Chunk]:
        """Yield what a block begins with; gateways put whole blocks there."""
        match block.type:
            case "text":
                yield from self.text(field(block, "text"), event)
            case "thinking":
                self.thoughts[index] = {"type": "thinking", "thinking": "", "signature": ""}
                yield from self.think(index, event, **_members(block, "thinking", "signature"))
            case "redacted_thinking":
                yield from self.opaque(_members(block, "type", "data"), event)
            case "tool_use":
                self.inputs[index] = field(block, "input")
                yield from self.tool(index, event, id=block.id, name=block.name)
            case kind:  # the call or the result of a tool that the provider runs itself
                yield from self.other(kind, event)

    def read_delta(self, index: int, delta: Any, event: Any) -> Iterator[Chunk]:
        """Yield a piece of a block."""
        match delta.type:
            case "text_delta":
                yield from self.text(delta.text, event)
            case "thinking_delta":
                yield from self.think(index, event, thinking=delta.thinking)
            case "signature_delta":
                yield from self.think(index, event, signature=delta.signature)
            case "citations_delta":
                yield from self.other("citation", event)
            case "input_json_delta" if index in self.tool_indexes:
                if delta.partial_json:
                    self.inputs.pop(index, None)
                    yield from self.tool(index, event, arguments=delta.partial_json)
            case kind:
                yield from self.other(self.blocks.get(index, str(kind)), event)

    def think(
        self, index: int, event: Any, *, thinking: str = "", signature: str = ""
    ) -> Iterator[Chunk]:
        """Yield a piece of reasoning, and keep it for the next request."""
        thought = self.thoughts.get(index)
        if thought is not None:
            thought["thinking"] += thinking
            thought["signature"] += signature
        yield from self.reasoning(thinking, event)

    def read_stop(self, index: int, event: Any) -> Iterator[Chunk]:
        """Yield what is complete at the end of a block."""
        whole_input = self.inputs.pop(index, None)
        if whole_input:
            yield from self.tool(index, event, arguments=json.dumps(whole_input))
        thought = self.thoughts.pop(index, None)
        if thought and thought["signature"]:
            yield from self.opaque(thought, event)

    def end(self) -> Iterator[Chunk]:
        """Yield the rest; gateways leave out the end of a block."""
        for index in [*self.inputs, *self.thoughts]:
            yield from self.read_stop(index, self.reason_event)
        yield from super().end()


def _members(block: Any, *names: str) -> dict[str, Any]:
    """Return these members of a block as a dict; a missing one is empty."""
    return {name: field(block, name) or "" for name in names}


def _prepare(arguments: Arguments) -> Arguments:
    """Convert OpenAI's form: messages, tools and format; system messages become an argument."""
    system, turns = split_system(arguments.get("messages", ()))
    arguments["messages"] = joined(
        (_message(turn) if isinstance(turn, Turn) else turn for turn in turns), "content"
    )
    if system:
        existing: Any = arguments.get("system") or ()
        texts = [existing, *system] if isinstance(existing, str) else system
        blocks = [{"type": "text", "text": text} for text in texts]
        arguments["system"] = blocks if isinstance(existing, str) else [*existing, *blocks]
    if "tools" in arguments:
        arguments["tools"] = [_tool(tool) for tool in arguments["tools"]]
    schema = format_of(arguments.pop("response_format", None))
    if schema is not None:
        output = {"type": "json_schema", "schema": schema.schema}
        arguments["output_config"] = {**(arguments.get("output_config") or {}), "format": output}
    return arguments


def _message(turn: Turn) -> dict[str, Any]:
    content = [_block(part) for part in turn.parts]
    if turn.role == "tool":
        result = {"type": "tool_result", "tool_use_id": turn.call_id, "content": content}
        return {"role": "user", "content": [result], "is_result": True}
    thoughts = [dict(part) for part in turn.opaque_of("anthropic")]
    if [block.keys() for block in content] == [{"type", "text"}] and not (turn.calls or thoughts):
        return {"role": turn.role, "content": turn.text}
    content = thoughts + content  # thinking goes first, with its signature
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in turn.calls
    ]
    return {"role": turn.role, "content": content}


def _block(part: dict[str, Any] | Image) -> dict[str, Any]:
    if not isinstance(part, Image):
        return part
    if part.url:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    return {"type": "image", "source": source}


def _tool(tool: Any) -> Any:
    function = function_of(tool)
    if function is None:
        return tool
    described = {name: function[name] for name in ("name", "description") if name in function}
    return described | {"input_schema": parameters_of(function)}


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
        client: An `Anthropic`, an `AsyncAnthropic`, a variant such as `AnthropicBedrock`, or the
            `beta` of one of them.
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
    formats = [arguments.get("output_format"), arguments.get("response_format")]
    formats.append(as_mapping(arguments.get("output_config")).get("format"))
    factory = factory_class(closer_of(client))(
        client=client,
        answer_type=AnthropicAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.get("tools")),
        structured=any(map(has_format, formats)),
        prepare=_prepare,
        prefill_fields={},
        call=lambda arguments: create(**arguments, stream=True),
    )
    return factory.source(name)
