"""The pieces of answers in unusual forms: `Content`, and functions that make its events."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from llm.other_protocols import PROTOCOLS
from llm.protocols import Protocol, sse

CHAT, RESPONSES = PROTOCOLS["openai"], PROTOCOLS["responses"]
CLAUDE: Any = PROTOCOLS["anthropic"]
GEMINI: Any = PROTOCOLS["gemini"]
COHERE: Any = PROTOCOLS["cohere"]
BEDROCK: Any = PROTOCOLS["bedrock"]


@dataclass(frozen=True)
class Content:
    """The pieces that a server sends, and the parts that the message must have."""

    pieces: list[bytes]
    has: dict[str, Any]
    #: The last pieces of the answer, if they are not those of any good answer.
    end: list[bytes] | None = None
    #: The counts of input and output tokens.
    usage: tuple[int, int] = (7, 12)
    #: Arguments of the source.
    arguments: dict[str, Any] = field(default_factory=dict)

    def stream(self, protocol: Protocol) -> list[bytes]:
        """Return the whole answer."""
        end = [*protocol.finish(), *protocol.done()] if self.end is None else self.end
        return [*protocol.start(), *self.pieces, *end]


# --- OpenAI's chat completions, and compatible servers


def delta(**members: Any) -> bytes:
    """Return a chunk of chat completions."""
    return CHAT.chunk(members)


def choices(*given: dict[str, Any], **more: Any) -> bytes:
    """Return a chunk with these choices."""
    return sse(CHAT.envelope(list(given)) | more)


def call(call_id: str | None, arguments: Any, **index: Any) -> dict[str, Any]:
    """Return a tool call, whole or in part."""
    function = {"name": "weather" if call_id else None, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function} | index


def calls(*pieces: dict[str, Any]) -> list[bytes]:
    """Return a chunk for each piece of a tool call."""
    return [CHAT.chunk({"tool_calls": [piece]}) for piece in pieces]


def counted(*texts: str) -> list[bytes]:
    """Return chunks whose choice has the number of the chunk."""
    return [
        choices({"index": place, "delta": {"content": text}, "finish_reason": None})
        for place, text in enumerate(texts, 1)
    ]


#: An annotation of Azure's asynchronous filter: its choice has no delta.
FILTER = choices({"index": 0, "finish_reason": None, "content_filter_results": {}})
HI, DONE = delta(content="Hi"), sse("[DONE]")
STOP = CHAT.chunk({}, reason="stop")
#: What follows the finish reason.
REST = [CHAT.finish()[1], DONE]
ULM, BONN = '{"city": "Ulm"}', '{"city": "Bonn"}'
WEATHER = {"city": "Ulm"}
TWO = {"calls": [("a", WEATHER), ("b", {"city": "Bonn"})]}
TEXT = {"text": "Hi"}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
NAMED_OTHERWISE = {"input_tokens": 11, "output_tokens": 5}
REFERENCE = {"type": "reference", "reference_ids": [1]}
IMAGE_URL = {"type": "image_url", "image_url": {"url": "http://x"}}

# --- Typed events and blocks


def opened(index: int, kind: str, **members: Any) -> bytes:
    """Return the start of a block of Claude's."""
    block: bytes = CLAUDE.block({"type": kind, **members}, index)
    return block


def piece(index: int, kind: str, **members: Any) -> bytes:
    """Return a piece of a block of Claude's."""
    block: bytes = CLAUDE.delta({"type": kind, **members}, index)
    return block


def closed(index: int) -> bytes:
    """Return the end of a block of Claude's."""
    event: bytes = CLAUDE.event("content_block_stop", index=index)
    return event


def item(kind: str, index: int = 0, when: str = "done", **members: Any) -> bytes:
    """Return an item of a response."""
    members = {"type": kind, **members}
    return response_event(f"output_item.{when}", output_index=index, item=members)


def response_event(kind: str, **members: Any) -> bytes:
    """Return another event of a response."""
    wire: Any = RESPONSES
    members = {"item_id": "i", "output_index": 0, **members}
    made: bytes = wire.event(f"response.{kind}", **members)
    return made


def whole(*output: Any) -> list[bytes]:
    """Return the last event of a response, with its whole output."""
    wire: Any = RESPONSES
    usage = {"input_tokens": 7, "output_tokens": 12, "total_tokens": 19}
    details = {"input_tokens_details": {}, "output_tokens_details": {}}
    response = wire.response("completed", output=list(output), usage=usage | details)
    return [response_event("completed", response=response)]


def part(**members: Any) -> bytes:
    """Return a chunk of Gemini's with one part."""
    chunk: bytes = GEMINI.candidate(members)
    return chunk


def candidate(text: str, **members: Any) -> bytes:
    """Return a chunk of Gemini's with a text, and other members of its candidate."""
    content = {"role": "model", "parts": [{"text": text}]}
    return sse({"candidates": [{"index": 0, "content": content, **members}]})


def cohere(kind: str, index: int = 0, **message: Any) -> bytes:
    """Return an event of Cohere's about the message."""
    event: bytes = COHERE.message(kind, index, **message)
    return event


def block(index: int, **given: Any) -> bytes:
    """Return the start of a block of Bedrock's, a piece of it, or its end."""
    names = {"start": "contentBlockStart", "delta": "contentBlockDelta"}
    name = next((names[key] for key in given), "contentBlockStop")
    event: bytes = BEDROCK.event(name, contentBlockIndex=index, **given)
    return event


SIGNATURE = base64.b64encode(b"signature").decode()
PNG = {"mimeType": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}
CITATION = {"type": "char_location", "cited_text": "c", "document_index": 0}
SEARCH: dict[str, Any] = {"id": "s", "name": "search", "input": {}}
CALL = {"type": "function_call", "call_id": "a", "name": "weather", "arguments": ULM}
IMAGE = {"type": "image_generation_call", "id": "i", "status": "completed", "result": "QUJD"}
PARTS = [{"type": "output_text", "text": "Hi", "annotations": []}]
SUMMARY = {"id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "SIG"}
REDACTED = {"type": "redacted_thinking", "data": "REDACTED"}
B64 = base64.b64encode(b"R").decode()
HELLO = response_event("output_text.delta", content_index=0, delta="Hi", logprobs=[])
