"""Answers that are complete, but in forms that are easily lost or misread.

Each entry of `CONTENTS` has, for each protocol that knows this form, what a server sends between
the start and the end of a good answer, and what the consumer must get.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from llm.faults import BEFORE_CONTENT, HEALTHY, MID_STREAM, REQUEST_ERRORS
from llm.other_protocols import PROTOCOLS
from llm.protocols import Protocol, sse
from llm.sdks import SDK

CHAT, RESPONSES = PROTOCOLS["openai"], PROTOCOLS["responses"]
CLAUDE: Any = PROTOCOLS["anthropic"]
GEMINI: Any = PROTOCOLS["gemini"]
COHERE: Any = PROTOCOLS["cohere"]
BEDROCK: Any = PROTOCOLS["bedrock"]


@dataclass(frozen=True)
class Content:
    """What a server sends, and the parts that the message must have."""

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

#: Content that is no text, or that comes at another place than text usually does.
LOSSES: dict[str, dict[str, Content]] = {
    "text-in-start": {
        "anthropic": Content(
            [opened(1, "text", text="H"), piece(1, "text_delta", text="i"), closed(1)], TEXT
        ),
        "cohere": Content(
            [
                cohere("content-start", content={"type": "text", "text": "H"}),
                cohere("content-delta", content={"text": "i"}),
            ],
            TEXT,
        ),
    },
    "text-in-end": {
        "responses": Content([], TEXT, whole({"type": "message", "content": PARTS})),
    },
    "call-in-start": {
        "anthropic": Content(
            [opened(1, "tool_use", id="a", name="weather", input=WEATHER), closed(1)],
            {"calls": [("a", WEATHER)]},
        ),
        "cohere": Content(
            [
                cohere(
                    "tool-call-start",
                    tool_calls={
                        "id": "a",
                        "type": "function",
                        "function": {"name": "weather", "arguments": ULM},
                    },
                ),
                COHERE.event("tool-call-end", index=0),
            ],
            {"calls": [("a", WEATHER)]},
        ),
    },
    "call-without-end": {
        "anthropic": Content(
            [opened(1, "tool_use", id="a", name="weather", input=WEATHER)],
            {"calls": [("a", WEATHER)]},
        ),
    },
    "call-in-end": {
        "responses": Content(
            [
                item("function_call", when="added", call_id="a", name="weather", arguments=""),
                item("function_call", call_id="a", name="weather", arguments=ULM),
            ],
            {"calls": [("a", WEATHER)]},
        ),
    },
    "call-in-last-event": {"responses": Content([], {"calls": [("a", WEATHER)]}, whole(CALL))},
    "call-twice": {
        "anthropic": Content(
            [
                opened(1, "tool_use", id="a", name="weather", input=WEATHER),
                piece(1, "input_json_delta", partial_json=ULM),
                closed(1),
            ],
            {"calls": [("a", WEATHER)]},
        ),
        "responses": Content(
            [
                item("function_call", when="added", call_id="a", name="weather", arguments=""),
                response_event("function_call_arguments.delta", delta=ULM),
                item("function_call", call_id="a", name="weather", arguments=ULM),
            ],
            {"calls": [("a", WEATHER)]},
        ),
    },
    "signature": {
        "anthropic": Content(
            [
                opened(1, "thinking", thinking="", signature=""),
                piece(1, "thinking_delta", thinking="hm"),
                piece(1, "signature_delta", signature="SIG"),
                closed(1),
                opened(2, "tool_use", id="a", name="weather", input={}),
                piece(2, "input_json_delta", partial_json=ULM),
                closed(2),
            ],
            {"reasoning": "hm", "calls": [("a", WEATHER)], "opaque": [SIGNED]},
        ),
        "responses": Content(
            [
                item("reasoning", **SUMMARY),
                item("reasoning", encrypted_content="E", **SUMMARY),
                HELLO,
            ],
            TEXT | {"opaque": [{"type": "reasoning", "encrypted_content": "E", **SUMMARY}]},
        ),
        "gemini": Content(
            [part(functionCall={"name": "weather", "args": WEATHER}, thoughtSignature=SIGNATURE)],
            {
                "calls": [(None, WEATHER)],
                "opaque": [{"thought_signature": b"signature", "tool_call": 0}],
            },
        ),
        "bedrock": Content(
            [
                block(0, delta={"reasoningContent": {"text": "hm"}}),
                block(0, delta={"reasoningContent": {"signature": "SIG"}}),
                block(0),
                block(1, delta={"text": "Hi"}),
            ],
            TEXT
            | {
                "reasoning": "hm",
                "opaque": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "SIG"}}}
                ],
            },
        ),
    },
    "signature-in-start": {
        "anthropic": Content(
            [opened(1, "thinking", thinking="hm", signature="SIG"), opened(2, "text", text="Hi")],
            TEXT | {"reasoning": "hm", "opaque": [SIGNED]},
        ),
    },
    "signature-of-text": {
        "gemini": Content(
            [part(text="Hi"), part(text="", thoughtSignature=SIGNATURE)],
            TEXT | {"opaque": [{"thought_signature": b"signature", "tool_call": None}]},
        ),
    },
    "redacted-reasoning": {
        "anthropic": Content(
            [
                opened(1, "redacted_thinking", data="REDACTED"),
                closed(1),
                opened(2, "text", text="Hi"),
            ],
            TEXT | {"opaque": [REDACTED]},
        ),
        "bedrock": Content(
            [
                block(0, delta={"reasoningContent": {"redactedContent": B64}}),
                block(1, delta={"text": "Hi"}),
            ],
            TEXT | {"opaque": [{"reasoningContent": {"redactedContent": b"R"}}]},
        ),
    },
    "citation": {
        "openai": Content(
            [HI, delta(annotations=[{"type": "url_citation"}])], TEXT | {"others": ["citation"]}
        ),
        "responses": Content(
            [
                HELLO,
                response_event("output_text.annotation.added", annotation={"type": "url_citation"}),
                item("message", content=[]),
            ],
            TEXT | {"others": ["citation"]},
        ),
        "anthropic": Content(
            [piece(0, "citations_delta", citation=CITATION), CLAUDE.token("Hi", 0)],
            TEXT | {"others": ["citation"]},
        ),
        "gemini": Content(
            [candidate("Hi", citationMetadata={"citationSources": [{"uri": "http://x"}]})],
            TEXT | {"others": ["citation"]},
        ),
        "mistral": Content(
            [CHAT.token("Hi", 0), delta(content=[REFERENCE])],
            TEXT | {"others": ["reference"]},
        ),
        "cohere": Content(
            [
                COHERE.token("Hi", 0),
                cohere("citation-start", citations={"start": 0, "end": 2, "text": "Hi"}),
                COHERE.event("citation-end", index=0),
            ],
            TEXT | {"others": ["citation"]},
        ),
        "bedrock": Content(
            [block(0, delta={"text": "Hi"}), block(0, delta={"citation": {"title": "t"}})],
            TEXT | {"others": ["citation"]},
        ),
    },
    "only-an-image": {
        "openai": Content([delta(images=[IMAGE_URL])], {"others": ["image"]}),
        "responses": Content(
            [
                item("image_generation_call", when="added", id="i", status="in_progress"),
                response_event("image_generation_call.partial_image", partial_image_b64="AAAA"),
                item("image_generation_call", id="i", result="QUJD"),
            ],
            {"others": ["image_generation_call", "image_generation_call"]},
        ),
        "gemini": Content([part(inlineData=PNG)], {"others": ["inline_data"]}),
        "mistral": Content([delta(content=[IMAGE_URL])], {"others": ["image_url"]}),
        "bedrock": Content(
            [
                block(0, start={"image": {"format": "png"}}),
                block(0, delta={"image": {"source": {"bytes": B64}}}),
            ],
            {"others": ["image", "image"]},
        ),
    },
    "image-after-text": {
        "gemini": Content(
            [part(text="Hi"), part(inlineData=PNG)], TEXT | {"others": ["inline_data"]}
        ),
    },
    "image-in-last-event": {
        "responses": Content([], {"others": ["image_generation_call"]}, whole(IMAGE)),
    },
    "only-audio": {"openai": Content([delta(audio={"data": "AAAA"})], {"others": ["audio"]})},
    "only-code": {
        "gemini": Content(
            [
                part(executableCode={"language": "PYTHON", "code": "1"}),
                part(codeExecutionResult={"outcome": "OUTCOME_OK", "output": "1"}),
            ],
            {"others": ["executable_code", "code_execution_result"]},
        ),
    },
    "only-its-own-tool": {
        "responses": Content(
            [
                item("custom_tool_call", when="added", id="i", call_id="c", name="sql", input=""),
                response_event("custom_tool_call_input.delta", delta="select 1"),
                response_event("custom_tool_call_input.done", input="select 1"),
                item("custom_tool_call", id="i", call_id="c", name="sql", input="select 1"),
            ],
            {"others": ["custom_tool_call_input", "custom_tool_call"]},
        ),
        "anthropic": Content(
            [
                opened(1, "server_tool_use", **SEARCH),
                piece(1, "input_json_delta", partial_json="{}"),
                closed(1),
                opened(2, "web_search_tool_result", tool_use_id="s", content=[]),
                closed(2),
            ],
            {"others": ["server_tool_use", "server_tool_use", "web_search_tool_result"]},
        ),
    },
    "event-of-a-new-type": {
        "responses": Content([response_event("mood.done", mood="good"), HELLO], TEXT),
        "anthropic": Content([CLAUDE.event("mood", mood="good"), CLAUDE.token("Hi", 0)], TEXT),
        "cohere": Content([COHERE.event("mood", mood="good"), COHERE.token("Hi", 0)], TEXT),
        "bedrock": Content([BEDROCK.event("mood", mood="good"), BEDROCK.token("Hi", 0)], TEXT),
    },
    "only-an-approval": {
        "responses": Content(
            [item("mcp_approval_request", id="i", name="s", arguments="{}", server_label="kb")],
            {"others": ["mcp_approval_request"]},
        ),
    },
}
#: What servers send that are compatible with OpenAI's chat completions, more or less.
ODD_SHAPES: dict[str, dict[str, Content]] = {
    name: {"openai": content}
    for name, content in {
        "delta-missing": Content([FILTER, HI, FILTER], TEXT),
        "delta-null": Content(
            [HI, choices({"index": 0, "delta": None, "finish_reason": "stop"})], TEXT, REST
        ),
        "no-choices": Content([choices(prompt_filter_results=[]), HI], TEXT),
        "message-for-delta": Content(
            [choices({"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"})],
            TEXT,
            REST,
        ),
        "choice-index-missing": Content([choices({"delta": {"content": "Hi"}})], TEXT),
        "choice-index-counts-up": Content(counted("Wh", "is", "per"), {"text": "Whisper"}),
        "content-in-parts": Content(
            [delta(content=[THOUGHT]), delta(content=[{"type": "text", "text": "Hi"}])],
            TEXT | {"reasoning": "hm"},
        ),
        "image-in-parts": Content([delta(content=[IMAGE_URL])], {"others": ["image_url"]}),
        "reasoning-content": Content(
            [delta(reasoning_content="hm"), HI], TEXT | {"reasoning": "hm"}
        ),
        "call-index-0": Content([*calls(call("a", ULM, index=0), call("b", BONN, index=0))], TWO),
        "call-index-missing": Content(
            calls(call("a", ULM), call("b", BONN[:3]), call(None, BONN[3:])), TWO
        ),
        "call-index-null": Content(
            calls(call("a", ULM, index=None), call("b", BONN, index=None)), TWO
        ),
        "calls-in-one-delta": Content([delta(tool_calls=[call("a", ULM), call("b", BONN)])], TWO),
        "calls-interleaved": Content(
            [
                *calls(call("a", ULM[:4], index=0), call("b", BONN[:4], index=1)),
                *calls(call(None, ULM[4:], index=0), call(None, BONN[4:], index=1)),
            ],
            TWO,
        ),
        "call-id-repeated": Content(
            calls(
                *(call("a", text, index=0) for text in (ULM[:5], ULM[5:])),
                *(call("b", text, index=1) for text in (BONN, "")),
            ),
            TWO,
        ),
        "arguments-an-object": Content(
            calls(call("a", WEATHER, index=0)), {"calls": [("a", WEATHER)]}
        ),
        "function-call": Content(
            [
                delta(function_call={"name": "weather", "arguments": ""}),
                delta(function_call={"arguments": ULM}),
                CHAT.chunk({}, reason="function_call"),
            ],
            {"calls": [(None, WEATHER)]},
            REST,
        ),
        "usage-named-otherwise": Content(
            [HI], TEXT, [STOP, choices(usage=NAMED_OTHERWISE), DONE], usage=(11, 5)
        ),
        "no-finish-reason": Content(
            [HI], TEXT, [choices(usage=NAMED_OTHERWISE), DONE], (11, 5), {"finish": "optional"}
        ),
    }.items()
}
CONTENTS = LOSSES | ODD_SHAPES


NEXT, ERROR, WHOLE, LOST = "next", "error", "whole", "lost"
#: Where an SDK itself drops content or makes it up, so its adapter cannot deliver all of it: what
#: happens instead.
DROPPED_BY_SDK = {
    ("litellm-openai", "message-for-delta"): NEXT,
    ("litellm-openai", "content-in-parts"): NEXT,
    ("litellm-openai", "image-in-parts"): NEXT,
    ("litellm-openai", "usage-named-otherwise"): LOST,
    ("litellm-openai", "unreadable-after-3"): LOST,
    ("litellm-anthropic", "call-in-start"): LOST,
    ("litellm-anthropic", "call-without-end"): LOST,
    ("litellm-anthropic", "signature-in-start"): LOST,
}
#: The rows of the matrix.
ALL_FAULTS = [*BEFORE_CONTENT, *MID_STREAM, *CONTENTS, *REQUEST_ERRORS, *HEALTHY]


def applies(fault: str, sdk: SDK) -> bool:
    """Whether the provider of this SDK can send this."""
    if fault == "failed-finish-after-3":
        return PROTOCOLS[sdk.protocol].failed_finish() is not None
    if fault not in CONTENTS:
        return True
    content = CONTENTS[fault].get(sdk.protocol)
    # litellm does not have the arguments of our adapters.
    return content is not None and not (content.arguments and sdk.package == "litellm")


def faults_of(sdk: SDK) -> list[str]:
    """Return the rows of the matrix that have a cell for this SDK."""
    return [fault for fault in ALL_FAULTS if applies(fault, sdk)]
