"""`EventWriter`: a chat stream as the events of OpenAI's chat completions, without I/O."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from secrets import token_hex
from typing import Any, Final

from failover_iter import Takeover
from failover_iter.llm._chunk import Chunk, FinishReason, ToolCallDelta, Usage
from failover_iter.llm._seam import Seam

#: Finish reasons that OpenAI does not have.
_REASONS: Final[dict[FinishReason, str]] = {"pause": "stop", "other": "stop"}


class EventWriter:
    """Writes the events of one response."""

    def __init__(self, model: str | None, *, include_usage: bool) -> None:
        self._model = model
        self._include_usage = include_usage
        self._id = f"chatcmpl-{token_hex(12)}"
        self._created = int(time.time())
        self._seam = Seam()
        self._last: Chunk | None = None
        self._calls: set[int] = set()
        self._usage = Usage()

    def events(self, item: Chunk | Takeover) -> Iterator[bytes]:
        """Yield the events of an item: none for a marker."""
        chunk = self._seam.chunk(item)
        if chunk is None:
            return
        is_first, self._last = self._last is None, chunk
        for attempt in chunk.earlier_usage:
            self._usage += attempt.usage
        self._usage += chunk.usage or Usage()
        delta = self._delta(chunk)
        if delta or chunk.finish_reason or is_first:
            yield self._event(chunk, ({"role": "assistant"} if is_first else {}) | delta)

    def _delta(self, chunk: Chunk) -> dict[str, Any]:
        delta: dict[str, Any] = {}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning  # as DeepSeek and vLLM call it
        if chunk.tool_call is not None:
            delta["tool_calls"] = [self._call(chunk.tool_call)]
        if chunk.opaque is not None:
            delta["opaque"] = [{"provider": chunk.provider, "part": dict(chunk.opaque)}]
        return delta

    def _call(self, call: ToolCallDelta) -> dict[str, Any]:
        piece: dict[str, Any] = {"index": call.index, "function": {"arguments": call.arguments}}
        if call.index not in self._calls:
            self._calls.add(call.index)
            piece |= {"id": call.id or f"call_{call.index}", "type": "function"}
            piece["function"]["name"] = call.name
        return piece

    def _event(self, chunk: Chunk, delta: dict[str, Any]) -> bytes:
        reason = chunk.finish_reason and _REASONS.get(chunk.finish_reason, chunk.finish_reason)
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": reason}
        if chunk.raw_finish_reason:
            choice["native_finish_reason"] = chunk.raw_finish_reason  # as OpenRouter calls it
        return self._envelope(choices=[choice])

    def _envelope(self, **fields: Any) -> bytes:
        model = self._model if self._model is not None else self._last and self._last.model
        head = {"id": self._id, "object": "chat.completion.chunk", "created": self._created}
        return b"data: " + json.dumps(head | {"model": model or ""} | fields).encode() + b"\n\n"

    def end(self) -> Iterator[bytes]:
        """Yield what follows the last item."""
        if self._include_usage and self._usage != Usage():
            yield self._envelope(choices=[], usage=_usage(self._usage))
        yield b"data: [DONE]\n\n"


def _usage(usage: Usage) -> dict[str, Any]:
    """Return the counts in OpenAI's form, in which the first three are required."""
    given, made = usage.input_tokens or 0, usage.output_tokens or 0
    counts = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
    details = {
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
    known = {name: each for name, each in details.items() if None not in each.values()}
    return counts | known
