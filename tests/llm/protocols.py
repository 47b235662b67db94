"""The wire protocols: the bytes that each provider sends for a token, an end, an error."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from llm.faults import TOKENS, Status

SSE = "text/event-stream"
USAGE = (7, 12)


def sse(data: object, event: str | None = None) -> bytes:
    """Encode a server-sent event."""
    name = f"event: {event}\n" if event else ""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"{name}data: {text}\n\n".encode()


class Protocol:
    """The protocol of OpenAI's chat completions, and the base class of the others."""

    content_type: ClassVar[str] = SSE
    #: The finish reasons: done, length, tool calls, content filter.
    stop, length, tools, filtered = "stop", "length", "tool_calls", "content_filter"

    def start(self) -> list[bytes]:
        """The events before the first token."""
        return [self.chunk({"role": "assistant", "content": ""})]

    def chunk(self, delta: dict[str, Any], **more: Any) -> bytes:
        """A piece of the answer."""
        choice = {"index": 0, "delta": delta, "finish_reason": more.pop("reason", None)}
        return sse(self.envelope([choice]) | more)

    def envelope(self, choices: list[Any]) -> dict[str, Any]:
        """The object that contains each piece."""
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return head | {"choices": choices}

    def token(self, text: str, place: int) -> bytes:
        """A token."""
        return self.chunk({"content": text})

    def pings(self) -> list[bytes]:
        """The events that keep a connection alive."""
        return [b": ping\n\n"]

    def finish(self, reason: str | None = None) -> list[bytes]:
        """The finish reason and the usage."""
        usage = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": 19}
        return [
            self.chunk({}, reason=reason or self.stop),
            sse(self.envelope([]) | {"usage": usage}),
        ]

    def finish_without_usage(self) -> list[bytes]:
        """The finish reason without the usage."""
        return [self.chunk({}, reason=self.stop)]

    def done(self) -> list[bytes]:
        """The terminator."""
        return [sse("[DONE]")]

    def error_body(self, code: int, kind: str = "") -> dict[str, Any]:
        """The body of an error."""
        codes = {"quota": "insufficient_quota", "context": "context_length_exceeded"}
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        type_ = kinds.get(code, "server_error" if code >= 500 else "invalid_request_error")
        message = {"key": "API key not valid", "credit": "Your credit balance is too low"}
        message["context"] = "This model's maximum context length is 8192 tokens."
        error = {"message": message.get(kind, "no"), "type": type_, "code": codes.get(kind)}
        return {"error": error}

    def refusal(self, status: Status) -> tuple[bytes, dict[str, str]]:
        """Body and headers of an HTTP error."""
        body = json.dumps(self.error_body(status.code, status.kind)).encode()
        headers = {"Content-Type": "application/json"}
        if status.html:
            body, headers = b"<html>Bad gateway</html>", {"Content-Type": "text/html"}
        if status.retry_after:
            headers["Retry-After"] = status.retry_after
        return body, headers

    def error(self) -> list[bytes]:
        """An error in the stream."""
        return [sse(self.error_body(500))]

    def other_error(self) -> list[bytes]:
        """An error in the stream as vLLM sends it: as a chunk."""
        error = {"object": "error", "message": "engine died", "type": "InternalServerError"}
        return [sse(error | {"param": None, "code": 500})]

    def malformed(self) -> bytes:
        """A token with invalid JSON."""
        return b"data: {" + self.token("x", 3)[8:]

    def unreadable(self) -> bytes:
        """A token in valid JSON whose text is a number."""
        token = self.token("x", 3)
        assert token.count(b'"x"') == 1
        return token.replace(b'"x"', b"7")

    def failed_finish(self) -> list[bytes] | None:
        """An end whose finish reason means that the provider failed; None if it has none."""
        return [self.chunk({}, reason="abort")]  # vLLM

    def special(self, kind: str) -> list[bytes]:
        """An answer with other content."""
        if kind in {"length", "filtered"}:
            reason = self.length if kind == "length" else self.filtered
            return [*self.start(), self.token(TOKENS[0], 0), *self.finish(reason), *self.done()]
        if kind == "reasoning":
            thought = self.thought("hm")
            return [*self.start(), thought, self.token("yes", 0), *self.finish(), *self.done()]
        if kind == "reasoning-cut":
            return [*self.start(), self.thought("hm")]
        if kind == "no-usage":
            return [*self.start(), self.token("yes", 0), *self.finish_without_usage(), *self.done()]
        calls = self.tool_calls()
        if kind == "tool-cut":
            return [*self.start(), *calls[:-1]]
        return [*self.start(), *calls, *self.finish(self.tools), *self.done()]

    def thought(self, text: str) -> bytes:
        """A piece of reasoning."""
        return self.chunk({"reasoning": text})

    def tool_calls(self) -> list[bytes]:
        """Two tool calls, the first in two pieces: weather(city="Ulm"), time()."""
        first = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": ""}}
        second = {"id": "b", "type": "function", "function": {"name": "time", "arguments": "{}"}}
        pieces = [{"function": {"arguments": text}} for text in ('{"city": ', '"Ulm"}')]
        calls = [first | {"index": 0}, *(piece | {"index": 0} for piece in pieces)]
        return [self.chunk({"tool_calls": [call]}) for call in [*calls, second | {"index": 1}]]


class Groq(Protocol):
    """Groq: chunks contain an additional record with errors and usage."""

    def failed_finish(self) -> list[bytes] | None:
        return None

    def finish(self, reason: str | None = None) -> list[bytes]:
        usage = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": 19}
        return [self.chunk({}, reason=reason or self.stop, x_groq={"id": "1", "usage": usage})]

    def error(self) -> list[bytes]:
        return [sse(self.error_body(500), "error")]

    def other_error(self) -> list[bytes]:
        return [self.chunk({}, x_groq={"id": "1", "error": "over capacity"})]


class Mistral(Protocol):
    """Mistral: a finish reason reports a failure."""

    length = "model_length"

    def finish(self, reason: str | None = None) -> list[bytes]:
        usage = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": 19}
        return [self.chunk({"content": ""}, reason=reason or self.stop, usage=usage)]

    def other_error(self) -> list[bytes]:
        return self.finish("error")

    def failed_finish(self) -> list[bytes] | None:
        return None  # that is the other error

    def thought(self, text: str) -> bytes:
        part = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
        return self.chunk({"content": [part, {"type": "text", "text": ""}]})

    def tool_calls(self) -> list[bytes]:
        call = {
            "id": "a",
            "index": 0,
            "function": {"name": "weather", "arguments": {"city": "Ulm"}},
        }
        other = {"id": "b", "index": 1, "function": {"name": "time", "arguments": "{}"}}
        return [self.chunk({"content": "", "tool_calls": [each]}) for each in (call, other)]


class Responses(Protocol):
    """OpenAI's Responses API: typed events."""

    stop, length, tools, filtered = "completed", "max_output_tokens", "completed", "content_filter"

    def event(self, type_: str, **more: Any) -> bytes:
        """An event."""
        return sse({"type": type_, "sequence_number": 1, **more}, type_)

    def response(self, status: str, **more: Any) -> dict[str, Any]:
        """The record of the whole response."""
        head = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": status}
        rest = {"output": [], "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
        return head | rest | {"error": None, "incomplete_details": None} | more

    def start(self) -> list[bytes]:
        return [self.event("response.created", response=self.response("in_progress"))]

    def _in_item(self, type_: str, **more: Any) -> bytes:
        return self.event(type_, item_id="i", output_index=0, content_index=0, **more)

    def token(self, text: str, place: int) -> bytes:
        return self._in_item("response.output_text.delta", delta=text, logprobs=[])

    def thought(self, text: str) -> bytes:
        return self._in_item("response.reasoning_summary_text.delta", delta=text, summary_index=0)

    def finish(self, reason: str | None = None) -> list[bytes]:
        usage = {"input_tokens": USAGE[0], "output_tokens": USAGE[1], "total_tokens": 19}
        details = {
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        if reason in {None, "completed"}:
            response = self.response("completed", usage=usage | details)
            return [self.event("response.completed", response=response)]
        why = {"reason": reason}
        response = self.response("incomplete", usage=usage | details, incomplete_details=why)
        return [self.event("response.incomplete", response=response)]

    def done(self) -> list[bytes]:
        return []

    def error(self) -> list[bytes]:
        return [self.event("error", code="server_error", message="no", param=None)]

    def other_error(self) -> list[bytes]:
        error = {"code": "server_error", "message": "no"}
        return [self.event("response.failed", response=self.response("failed", error=error))]

    def failed_finish(self) -> list[bytes] | None:
        return None

    def malformed(self) -> bytes:
        return b"data: {" + self.token("x", 3).partition(b"data: {")[2][1:]

    def special(self, kind: str) -> list[bytes]:
        if kind == "filtered":
            refusal = self._in_item("response.refusal.delta", delta="I cannot say that.")
            return [*self.start(), refusal, *self.finish()]
        return super().special(kind)

    def finish_without_usage(self) -> list[bytes]:
        return [self.event("response.completed", response=self.response("completed"))]

    def tool_calls(self) -> list[bytes]:
        calls = []
        for place, (call, name) in enumerate([("a", "weather"), ("b", "time")]):
            item = {"type": "function_call", "call_id": call, "name": name, "arguments": ""}
            where = {"output_index": place}
            calls.append(self.event("response.output_item.added", item=item, **where))
            pieces = ['{"city": ', '"Ulm"}'] if name == "weather" else ["{}"]
            kind = "response.function_call_arguments.delta"
            calls += [self.event(kind, item_id=call, delta=piece, **where) for piece in pieces]
        return calls


class Anthropic(Protocol):
    """Anthropic's messages: blocks."""

    stop, length, tools, filtered = "end_turn", "max_tokens", "tool_use", "refusal"

    def event(self, type_: str, **more: Any) -> bytes:
        """An event."""
        return sse({"type": type_, **more}, type_)

    def start(self) -> list[bytes]:
        usage = {"input_tokens": USAGE[0], "output_tokens": 1}
        message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []}
        ends = {"stop_reason": None, "stop_sequence": None}
        return [
            self.event("message_start", message=message | ends | {"usage": usage}),
            self.block({"type": "text", "text": ""}),
            *self.pings(),
        ]

    def block(self, block: dict[str, Any], index: int = 0) -> bytes:
        """The start of a block."""
        return self.event("content_block_start", index=index, content_block=block)

    def delta(self, delta: dict[str, Any], index: int = 0) -> bytes:
        """A piece of a block."""
        return self.event("content_block_delta", index=index, delta=delta)

    def token(self, text: str, place: int) -> bytes:
        return self.delta({"type": "text_delta", "text": text})

    def thought(self, text: str) -> bytes:
        return self.delta({"type": "thinking_delta", "thinking": text})

    def pings(self) -> list[bytes]:
        return [self.event("ping")]

    def finish(self, reason: str | None = None) -> list[bytes]:
        delta = {"stop_reason": reason or self.stop, "stop_sequence": None}
        usage = {"output_tokens": USAGE[1]}
        return [
            self.event("content_block_stop", index=0),
            self.event("message_delta", delta=delta, usage=usage),
        ]

    def finish_without_usage(self) -> list[bytes]:
        return self.finish()  # Anthropic always reports usage

    def done(self) -> list[bytes]:
        return [self.event("message_stop")]

    def error_body(self, code: int, kind: str = "") -> dict[str, Any]:
        types = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error"}
        types |= {403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
        type_ = types.get(code, "overloaded_error" if code == 529 else "api_error")
        message = {"key": "API key not valid", "credit": "Your credit balance is too low"}
        return {"type": "error", "error": {"type": type_, "message": message.get(kind, "no")}}

    def error(self) -> list[bytes]:
        return [sse(self.error_body(529), "error")]

    def other_error(self) -> list[bytes]:
        return [sse(self.error_body(500), "error")]

    def failed_finish(self) -> list[bytes] | None:
        return None

    def malformed(self) -> bytes:
        return self.token("x", 3).replace(b"data: {", b"data: {{")

    def special(self, kind: str) -> list[bytes]:
        parts = super().special(kind)
        if kind == "tool-calls":
            # The provider runs this tool itself, so the consumer must not see the call.
            own = {"type": "server_tool_use", "id": "s", "name": "search", "input": {}}
            search = [self.block(own, 9)]
            search.append(self.delta({"type": "input_json_delta", "partial_json": "{}"}, 9))
            search.append(self.delta({"type": "signature_delta", "signature": "x"}, 9))
            parts[3:3] = search
        return parts

    def tool_calls(self) -> list[bytes]:
        calls = []
        for place, (call, name) in enumerate([("a", "weather"), ("b", "time")], 1):
            calls.append(
                self.block({"type": "tool_use", "id": call, "name": name, "input": {}}, place)
            )
            pieces = ["", '{"city": ', '"Ulm"}'] if name == "weather" else ["{}"]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            calls += [self.delta(delta, place) for delta in deltas]
        return calls
