"""Adapter for Amazon Bedrock's Converse API, through boto3."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import has_format
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
from failover_iter.llm._reading import SyncChatFactory

__all__ = ["bedrock_converse"]


class BedrockAnswer(Answer):
    """An answer that arrives in events; each event is a dict with one key."""

    provider = "bedrock"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "guardrail_intervened": "content_filter",
        "content_filtered": "content_filter",
    }
    failure_reasons = frozenset({"malformed_model_output", "malformed_tool_use"})

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: By index, the reasoning so far, which is sent back together with its signature.
        self.thoughts: dict[int, dict[str, str]] = {}

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; an event that the SDK could not read has an empty body."""
        kind, body = next(iter(event.items()))
        match kind:
            case "contentBlockStart":
                yield from self.read_start(self.required(body, "start", event), body, event)
            case "contentBlockDelta":
                yield from self.read_delta(self.required(body, "delta", event), body, event)
            case "contentBlockStop":
                thought = self.thoughts.pop(body.get("contentBlockIndex"), {})
                if "signature" in thought:
                    yield from self.opaque({"reasoningContent": {"reasoningText": thought}}, event)
            case "messageStop":
                self.set_finish_reason(self.required(body, "stopReason", event), event)
            case "metadata":
                self.read_usage(self.required(body, "usage", event))
            case _:
                pass

    def read_usage(self, usage: Mapping[str, Any]) -> None:
        """Hold the usage; the tokens of the cache are counted apart."""
        names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
        read = [usage[name] for name in names if usage.get(name) is not None]
        total = sum(read) if read else None
        cached = usage.get("cacheReadInputTokens")
        self.set_usage(usage, total, usage.get("outputTokens"), cached=cached)

    def required(self, body: Mapping[str, Any], name: str, event: object) -> Any:
        """Return a required member of an event; without it the answer has a hole, so raise."""
        if name not in body:
            raise self.error("an event could not be read", code="hole", raw=event)
        return body[name]

    def read_start(
        self, start: Mapping[str, Any], body: Mapping[str, Any], event: object
    ) -> Iterator[Chunk]:
        """Yield the start of a tool call, or of content other than text."""
        for kind, block in start.items():
            if kind == "toolUse":
                call_id, name = block["toolUseId"], block["name"]
                yield from self.tool(body["contentBlockIndex"], event, id=call_id, name=name)
            else:
                yield from self.other(_name_of(kind, block), event)

    def read_delta(
        self, delta: Mapping[str, Any], body: Mapping[str, Any], event: object
    ) -> Iterator[Chunk]:
        """Yield a piece of text, of reasoning, of a tool call, or of anything else."""
        for kind, piece in delta.items():
            match kind:
                case "text":
                    yield from self.text(piece, event)
                case "reasoningContent":
                    yield from self.think(body.get("contentBlockIndex", 0), piece, event)
                case "toolUse":
                    arguments = piece.get("input")
                    yield from self.tool(body["contentBlockIndex"], event, arguments=arguments)
                case _:
                    yield from self.other(_name_of(kind, piece), event)

    def think(self, index: int, piece: Mapping[str, Any], event: object) -> Iterator[Chunk]:
        """Yield a piece of reasoning, and keep it for the next request."""
        if "redactedContent" in piece:
            # A text, so that a conversation can be written as JSON.
            redacted = {"redactedContent": b64encode(piece["redactedContent"]).decode()}
            yield from self.opaque({"reasoningContent": redacted}, event)
            return
        thought = self.thoughts.setdefault(index, {"text": ""})
        thought["text"] += piece.get("text", "")
        if "signature" in piece:
            thought["signature"] = thought.get("signature", "") + piece["signature"]
        yield from self.reasoning(piece.get("text"), event)


def _name_of(kind: str, member: Any) -> str:
    """The name of a kind of content; boto3 passes on that of one that is new to it."""
    return str(member["name"]) if kind == "SDK_UNKNOWN_MEMBER" else kind


def _prepare(arguments: Arguments) -> Arguments:
    """Convert OpenAI's form: messages and tools; system messages become an argument."""
    system, turns = split_system(arguments.get("messages", ()))
    arguments["messages"] = joined(
        (_message(turn) if isinstance(turn, Turn) else turn for turn in turns), "content"
    )
    if system:
        blocks = [{"text": text} for text in system]
        arguments["system"] = [*arguments.get("system", ()), *blocks]
    tools = arguments.pop("tools", None)
    if tools:
        arguments["toolConfig"] = {"tools": [_tool(tool) for tool in tools]}
    schema = format_of(arguments.pop("response_format", None))
    if schema is not None:
        definition = {"name": schema.name, "schema": json.dumps(schema.schema)}
        kind = {"type": "json_schema", "structure": {"jsonSchema": definition}}
        arguments["outputConfig"] = {**arguments.get("outputConfig", {}), "textFormat": kind}
    return arguments


def _message(turn: Turn) -> dict[str, Any]:
    content = [_block(part) for part in turn.parts]
    if turn.role == "tool":
        result = {"toolUseId": turn.call_id, "content": content}
        return {"role": "user", "content": [{"toolResult": result}], "is_result": True}
    content = [_thought(part) for part in turn.opaque_of("bedrock")] + content
    content += [
        {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}
        for call in turn.calls
    ]
    return {"role": turn.role, "content": content}


def _thought(part: Mapping[str, Any]) -> dict[str, Any]:
    thought = dict(part["reasoningContent"])
    if "redactedContent" in thought:
        thought["redactedContent"] = b64decode(thought["redactedContent"])
    return {"reasoningContent": thought}


def _block(part: dict[str, Any] | Image) -> dict[str, Any]:
    if not isinstance(part, Image):
        return {"text": part["text"]}
    if part.url:
        raise ValueError("Bedrock takes images as data (a data: URL), not by their address")
    kind = part.media_type.partition("/")[2]
    return {"image": {"format": kind, "source": {"bytes": b64decode(part.data)}}}


def _tool(tool: Any) -> Any:
    function = function_of(tool)
    if function is None:
        return tool
    described = {name: function[name] for name in ("name", "description") if name in function}
    return {"toolSpec": described | {"inputSchema": {"json": parameters_of(function)}}}


def bedrock_converse(
    client: Any, *, name: str | None = None, **arguments: Any
) -> Source[Iterator[Chunk]]:
    """Return a source that asks Amazon Bedrock through its Converse API.

    boto3 is blocking: for an async stream, wrap the source in `failover_iter.in_thread`. Create the
    client with `Config(connect_timeout=..., read_timeout=..., retries={"total_max_attempts": 1})`;
    otherwise its own retries delay a switch. A read in progress ends only at the `read_timeout`.

    Args:
        client: A `boto3.client("bedrock-runtime")`.
        name: Name of the source in events, errors and the log; "bedrock" and the model by default.
        arguments: Arguments of `client.converse_stream`: modelId, messages, ... Plain messages
            are converted into its form.

    Raises:
        TypeError: `name` is not a str.

    Example:
        >>> from failover_iter.llm import bedrock_converse
        >>> class Client:  # a stub for boto3.client("bedrock-runtime", config=...)
        ...     def converse_stream(self, **arguments): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> bedrock_converse(Client(), modelId="nova", messages=messages).name
        'bedrock nova'
    """
    takes_prefill = "claude" in str(arguments.get("modelId", ""))
    return SyncChatFactory(
        client=client,
        answer_type=BedrockAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.keys() & {"toolConfig", "tools"}),
        model_argument="modelId",
        structured="textFormat" in arguments.get("outputConfig", {})
        or has_format(arguments.get("response_format")),
        prepare=_prepare,
        prefill_fields={} if takes_prefill else None,
        call=lambda arguments: client.converse_stream(**arguments)["stream"],
    ).source(name)
