"""Amazon Bedrock's converse, by way of boto3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chat import SyncChatFactory
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._messages import Arguments, is_plain, split_system

__all__ = ["bedrock_converse"]


class BedrockAnswer(Answer):
    """An answer in events, each of them a dict with one key."""

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

    def read(self, event: Any) -> Iterator[Chunk]:
        """An event; one that the SDK could not read is empty, and it goes on as if all was well."""
        kind, body = next(iter(event.items()))
        match kind:
            case "contentBlockStart":
                use = self.required(body, "start", event).get("toolUse")
                if use:
                    index, known = body["contentBlockIndex"], (use["toolUseId"], use["name"])
                    yield from self.tool(index, event, id=known[0], name=known[1])
            case "contentBlockDelta":
                yield from self.read_delta(self.required(body, "delta", event), body, event)
            case "messageStop":
                self.set_finish_reason(self.required(body, "stopReason", event), event)
            case "metadata":
                usage = self.required(body, "usage", event)
                self.set_usage(usage, usage.get("inputTokens"), usage.get("outputTokens"))
            case _:
                pass

    def required(self, body: Mapping[str, Any], name: str, event: object) -> Any:
        """What an event of this kind always has; without it there is a hole in the answer."""
        if name not in body:
            raise self.error("an event could not be read", code="hole", raw=event)
        return body[name]

    def read_delta(self, delta: Any, body: Mapping[str, Any], event: object) -> Iterator[Chunk]:
        """A piece of text, of reasoning, or of a tool call."""
        yield from self.reasoning(delta.get("reasoningContent", {}).get("text"), event)
        yield from self.text(delta.get("text"), event)
        if "toolUse" in delta:
            arguments = delta["toolUse"].get("input")
            yield from self.tool(body["contentBlockIndex"], event, arguments=arguments)


def _prepare(arguments: Arguments) -> Arguments:
    """Contents are lists of blocks; system messages stand beside the conversation."""
    system, messages = split_system(arguments.get("messages", ()))
    arguments["messages"] = [
        {**message, "content": [{"text": message["content"]}]}
        if is_plain(message, "user", "assistant")
        else message
        for message in messages
    ]
    if system:
        blocks = [{"text": text} for text in system]
        arguments["system"] = [*arguments.get("system", ()), *blocks]
    return arguments


def bedrock_converse(
    client: Any, *, name: str | None = None, **arguments: Any
) -> Source[Iterator[Chunk]]:
    """Make a source of Amazon Bedrock's converse; boto3 is blocking, so for `chat_stream` alone.

    Give the client `Config(connect_timeout=..., read_timeout=..., retries={"total_max_attempts":
    1})`, or its own retries hold up the switch.

    Args:
        client: a `boto3.client("bedrock-runtime")`.
        name: shown in events, errors and the log; "bedrock" and the model unless given.
        arguments: those of `client.converse_stream`: modelId, messages, ... Plain messages are
            put into its form.

    Example:
        >>> from failover_iter.llm import bedrock_converse
        >>> class Client:  # stands for boto3.client("bedrock-runtime", config=...)
        ...     def converse_stream(self, **arguments): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> bedrock_converse(Client(), modelId="nova", messages=messages).name
        'bedrock nova'
    """
    takes_prefix = "claude" in str(arguments.get("modelId", ""))
    return SyncChatFactory(
        answer_type=BedrockAnswer,
        arguments=arguments,
        model_argument="modelId",
        structured="outputConfig" in arguments,
        prepare=_prepare,
        prefill_fields={} if takes_prefix else None,
        call=lambda arguments: client.converse_stream(**arguments)["stream"],
    ).source(name)
