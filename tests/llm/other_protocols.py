"""The wire protocols that differ from OpenAI's in every message."""

from __future__ import annotations

import json
import struct
from binascii import crc32
from typing import Any

from llm.faults import Status
from llm.protocols import USAGE, Anthropic, Groq, Mistral, Protocol, Responses, sse


class Gemini(Protocol):
    """Google's Gemini: candidates."""

    stop, length, tools, filtered = "STOP", "MAX_TOKENS", "STOP", "SAFETY"

    def candidate(self, *parts: dict[str, Any], reason: str | None = None) -> bytes:
        """A chunk."""
        candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
        usage = {"promptTokenCount": USAGE[0], "candidatesTokenCount": USAGE[1]}
        if reason:
            candidate["finishReason"] = reason
        return sse({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"})

    def start(self) -> list[bytes]:
        return []

    def token(self, text: str, place: int) -> bytes:
        return self.candidate({"text": text})

    def thought(self, text: str) -> bytes:
        return self.candidate({"text": text, "thought": True})

    def pings(self) -> list[bytes]:
        return [self.candidate()]

    def finish(self, reason: str | None = None) -> list[bytes]:
        return [self.candidate({"text": ""}, reason=reason or self.stop)]

    def done(self) -> list[bytes]:
        return []

    def error_body(self, code: int, kind: str = "") -> dict[str, Any]:
        statuses = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
        statuses |= {404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
        message = {"key": "API key not valid", "credit": "Your credit balance is too low"}
        error = {"code": code, "message": message.get(kind, "no"), "status": statuses.get(code)}
        if code == 429:
            retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}
            error["details"] = [{"@type": "other"}, retry]
        return {"error": error}

    def error(self) -> list[bytes]:
        return [sse(self.error_body(503))]

    def other_error(self) -> list[bytes]:
        return [json.dumps(self.error_body(503), indent=2).encode() + b"\n"]

    def malformed(self) -> bytes:
        return b"data: {" + self.token("x", 3)[8:]

    def failed_finish(self) -> list[bytes] | None:
        return self.finish("MALFORMED_FUNCTION_CALL")

    def special(self, kind: str) -> list[bytes]:
        parts = super().special(kind)
        if kind == "filtered":
            return [sse({"promptFeedback": {"blockReason": "SAFETY"}})]
        # Gemini reports usage with each chunk, or not at all.
        unknown = b"usageMetadata" if kind == "no-usage" else b"no such word"
        return [part.replace(unknown, b"unknown") for part in parts]

    def finish_without_usage(self) -> list[bytes]:
        return self.finish()

    def tool_calls(self) -> list[bytes]:
        first = {"functionCall": {"id": "a", "name": "weather", "args": {"city": "Ulm"}}}
        return [
            self.candidate(first),
            self.candidate({"functionCall": {"id": "b", "name": "time"}}),
        ]


class Cohere(Protocol):
    """Cohere's chat, version 2: typed events."""

    stop, length, tools, filtered = "COMPLETE", "MAX_TOKENS", "TOOL_CALL", "OTHER_REASON"

    def event(self, type_: str, **more: Any) -> bytes:
        """An event."""
        return sse({"type": type_, **more}, type_)

    def message(self, type_: str, index: int = 0, **message: Any) -> bytes:
        """An event about the message."""
        return self.event(type_, index=index, delta={"message": message})

    def start(self) -> list[bytes]:
        return [
            self.event("message-start", id="1", delta={"message": {"role": "assistant"}}),
            self.message("content-start", content={"type": "text", "text": ""}),
        ]

    def token(self, text: str, place: int) -> bytes:
        return self.message("content-delta", content={"text": text})

    def thought(self, text: str) -> bytes:
        return self.message("content-delta", content={"thinking": text})

    def finish(self, reason: str | None = None, **more: Any) -> list[bytes]:
        tokens = {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}
        delta = {"finish_reason": reason or self.stop, "usage": {"tokens": tokens}}
        return [self.message("content-end"), self.event("message-end", id="1", delta=delta | more)]

    def done(self) -> list[bytes]:
        return [sse("[DONE]")]

    def error_body(self, code: int, kind: str = "") -> dict[str, Any]:
        message = {"key": "API key not valid", "credit": "Your credit balance is too low"}
        return {"id": "1", "message": message.get(kind, "no")}

    def error(self) -> list[bytes]:
        return self.finish("ERROR", error="internal error")

    def other_error(self) -> list[bytes]:
        return [self.event("error", message="internal error")]

    def failed_finish(self) -> list[bytes] | None:
        return self.finish("TIMEOUT")

    def malformed(self) -> bytes:
        return self.token("x", 3).replace(b"data: {", b"data: {{")

    def finish_without_usage(self) -> list[bytes]:
        return [self.event("message-end", id="1", delta={"finish_reason": self.stop})]

    def tool_calls(self) -> list[bytes]:
        calls = [self.message("tool-plan-delta", tool_plan="look it up")]
        for place, (call, name) in enumerate([("a", "weather"), ("b", "time")]):
            function = {"name": name, "arguments": ""}
            start = {"id": call, "type": "function", "function": function}
            calls.append(self.message("tool-call-start", place, tool_calls=start))
            for piece in ['{"city": ', '"Ulm"}'] if name == "weather" else ["{}"]:
                more = {"function": {"arguments": piece}}
                calls.append(self.message("tool-call-delta", place, tool_calls=more))
            calls.append(self.event("tool-call-end", index=place))
        return calls


class Ollama(Protocol):
    """Ollama's chat: lines of JSON."""

    content_type = "application/x-ndjson"
    stop, length, tools, filtered = "stop", "length", "stop", "unheard of"

    def line(self, message: dict[str, Any], **more: Any) -> bytes:
        """A line."""
        head = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
        body = head | {"message": {"role": "assistant", **message}, "done": False, **more}
        return json.dumps(body, ensure_ascii=False).encode() + b"\n"

    def start(self) -> list[bytes]:
        return []

    def token(self, text: str, place: int) -> bytes:
        return self.line({"content": text})

    def thought(self, text: str) -> bytes:
        return self.line({"content": "", "thinking": text})

    def pings(self) -> list[bytes]:
        return [self.line({"content": ""})]

    def finish(self, reason: str | None = None) -> list[bytes]:
        counts = {"prompt_eval_count": USAGE[0], "eval_count": USAGE[1]}
        return [self.line({"content": ""}, done=True, done_reason=reason or self.stop, **counts)]

    def done(self) -> list[bytes]:
        return []

    def error_body(self, code: int, kind: str = "") -> dict[str, Any]:
        message = {"key": "API key not valid", "credit": "Your credit balance is too low"}
        return {"error": message.get(kind, "no")}

    def error(self) -> list[bytes]:
        return [b'{"error":"an error was encountered while running the model"}\n']

    def other_error(self) -> list[bytes]:
        return [b'{"error":"llama runner process has terminated","done":true}\n']

    def failed_finish(self) -> list[bytes] | None:
        return [self.line({"content": ""}, done=True, done_reason="")]  # its connection closed

    def malformed(self) -> bytes:
        return b"{" + self.token("x", 3)

    def finish_without_usage(self) -> list[bytes]:
        return [self.line({"content": ""}, done=True)]

    def tool_calls(self) -> list[bytes]:
        calls = [{"function": {"name": "weather", "arguments": {"city": "Ulm"}}}]
        calls.append({"function": {"name": "time", "arguments": {}}})
        return [self.line({"content": "", "tool_calls": [call]}) for call in calls]


def frame(payload: bytes, **headers: str) -> bytes:
    """Encode a message of AWS's event stream: lengths, headers, payload, checksums."""
    packed = b""
    for name, value in headers.items():
        key = f":{name.replace('_', '-')}".encode()
        packed += struct.pack("!B", len(key)) + key + b"\x07"
        packed += struct.pack("!H", len(value)) + value.encode()
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    body = prelude + struct.pack("!I", crc32(prelude)) + packed + payload
    return body + struct.pack("!I", crc32(body))


class Bedrock(Protocol):
    """Amazon Bedrock's converse: binary frames."""

    content_type = "application/vnd.amazon.eventstream"
    stop, length, tools, filtered = "end_turn", "max_tokens", "tool_use", "content_filtered"

    def event(self, type_: str, **body: Any) -> bytes:
        """An event."""
        json_type = "application/json"
        return frame(
            json.dumps(body).encode(),
            event_type=type_,
            content_type=json_type,
            message_type="event",
        )

    def delta(self, index: int = 0, **delta: Any) -> bytes:
        """A piece of a block."""
        return self.event("contentBlockDelta", delta=delta, contentBlockIndex=index)

    def start(self) -> list[bytes]:
        return [self.event("messageStart", role="assistant")]

    def token(self, text: str, place: int) -> bytes:
        return self.delta(text=text)

    def thought(self, text: str) -> bytes:
        return self.delta(reasoningContent={"text": text})

    def pings(self) -> list[bytes]:
        return [self.delta(text="")]

    def finish(self, reason: str | None = None) -> list[bytes]:
        usage = {"inputTokens": USAGE[0], "outputTokens": USAGE[1], "totalTokens": 19}
        return [
            self.event("contentBlockStop", contentBlockIndex=0),
            self.event("messageStop", stopReason=reason or self.stop),
            self.event("metadata", usage=usage, metrics={"latencyMs": 1}),
        ]

    def done(self) -> list[bytes]:
        return []

    def error_body(self, code: int, kind: str = "") -> dict[str, Any]:
        message = {"key": "API key not valid", "credit": "Your credit balance is too low"}
        return {"message": message.get(kind, "no")}

    def refusal(self, status: Status) -> tuple[bytes, dict[str, str]]:
        types = {400: "ValidationException", 403: "AccessDeniedException", 408: "ModelTimeout"}
        types |= {404: "ResourceNotFoundException", 429: "ThrottlingException"}
        types |= {503: "ServiceUnavailableException"}
        body, headers = super().refusal(status)
        type_ = types.get(status.code, "InternalServerException")
        return body, headers | {"x-amzn-errortype": type_}

    def _exception(self, type_: str) -> list[bytes]:
        body = b'{"message": "no"}'
        headers = {"exception_type": type_, "content_type": "application/json"}
        return [frame(body, **headers, message_type="exception")]

    def error(self) -> list[bytes]:
        return self._exception("modelStreamErrorException")

    def other_error(self) -> list[bytes]:
        return self._exception("serviceUnavailableException")

    def unreadable(self) -> bytes:
        return self.delta(text=7)

    def failed_finish(self) -> list[bytes] | None:
        return self.finish("malformed_model_output")

    def malformed(self) -> bytes:
        headers = {"event_type": "contentBlockDelta", "content_type": "application/json"}
        return frame(b'{{"delta"', **headers, message_type="event")

    def finish_without_usage(self) -> list[bytes]:
        return self.finish()[:2]

    def tool_calls(self) -> list[bytes]:
        image = {"image": {"format": "png"}}  # a block of another kind
        calls = [self.event("contentBlockStart", start=image, contentBlockIndex=0)]
        for place, (call, name) in enumerate([("a", "weather"), ("b", "time")], 1):
            start = {"toolUse": {"toolUseId": call, "name": name}}
            calls.append(self.event("contentBlockStart", start=start, contentBlockIndex=place))
            for piece in ['{"city": ', '"Ulm"}'] if name == "weather" else ["{}"]:
                calls.append(self.delta(place, toolUse={"input": piece}))
        return calls


#: The protocols by the first part of the path; OpenAI has two.
PROTOCOLS: dict[str, Protocol] = {
    "openai": Protocol(),
    "responses": Responses(),
    "groq": Groq(),
    "mistral": Mistral(),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "cohere": Cohere(),
    "ollama": Ollama(),
    "bedrock": Bedrock(),
}
