"""Nothing of an answer is lost: content that is no text, signatures, and blocks that come whole."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from failover_iter.llm import (
    ProviderError,
    collect,
    continue_with,
    has_content,
)
from llm.cases import skip_unless_installed
from llm.faults import BACKUP_TEXT
from llm.harness import Harness
from llm.other_protocols import PROTOCOLS
from llm.parts import parts_of
from llm.protocols import sse
from llm.sdks import SDKS

WIRE = PROTOCOLS["openai"]
CLAUDE: Any = PROTOCOLS["anthropic"]
RESPONSES: Any = PROTOCOLS["responses"]
GEMINI: Any = PROTOCOLS["gemini"]
ULM = {"city": "Ulm"}
SIGNATURE = base64.b64encode(b"signature").decode()


def delta(**members: Any) -> bytes:
    """Return a chunk of chat completions."""
    return WIRE.chunk(members)


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
    event: bytes = RESPONSES.event(f"response.output_item.{when}", output_index=index, item=members)
    return event


def event(kind: str, **members: Any) -> bytes:
    """Return another event of a response."""
    made: bytes = RESPONSES.event(f"response.{kind}", item_id="i", output_index=0, **members)
    return made


def part(**members: Any) -> bytes:
    """Return a chunk of Gemini's with one part."""
    chunk: bytes = GEMINI.candidate(members)
    return chunk


def whole(*output: Any) -> bytes:
    """Return the last event of a response, with its whole output."""
    made: bytes = RESPONSES.event(
        "response.completed", response=RESPONSES.response("completed", output=list(output))
    )
    return made


CALL = {"type": "function_call", "call_id": "a", "name": "weather", "arguments": '{"city": "Ulm"}'}
IMAGE = {"type": "image_generation_call", "id": "i", "status": "completed", "result": "QUJD"}
TEXT = {"type": "message", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}
CITATION = {"type": "char_location", "cited_text": "c", "document_index": 0}
SEARCH: dict[str, Any] = {"id": "s", "name": "search", "input": {}}
PNG = {"mimeType": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}
SOURCES = {"citationSources": [{"uri": "http://x"}]}

#: SDK, pieces of the stream without its start and end, and what the message has.
ANSWERS: dict[str, tuple[str, list[bytes], dict[str, Any]]] = {
    "audio": ("openai-chat", [delta(audio={"data": "AAAA"})], {"others": ["audio"]}),
    "image": ("openai-chat", [delta(images=[{"image_url": {}}])], {"others": ["image"]}),
    "annotations": (
        "openai-chat",
        [delta(content="Hi"), delta(annotations=[{"type": "url_citation"}])],
        {"text": "Hi", "others": ["citation"]},
    ),
    "image part": (
        "openai-chat",
        [delta(content=[{"type": "image_url", "image_url": {}}])],
        {"others": ["image_url"]},
    ),
    "text in the start": (
        "anthropic",
        [opened(1, "text", text="Once "), piece(1, "text_delta", text="upon"), closed(1)],
        {"text": "Once upon"},
    ),
    "input in the start": (
        "anthropic",
        [opened(1, "tool_use", id="a", name="weather", input=ULM), closed(1)],
        {"calls": [("a", ULM)]},
    ),
    "input in the start, no end": (
        "anthropic",
        [opened(1, "tool_use", id="a", name="weather", input=ULM)],
        {"calls": [("a", ULM)]},
    ),
    "input twice": (
        "anthropic",
        [
            opened(1, "tool_use", id="a", name="weather", input=ULM),
            piece(1, "input_json_delta", partial_json='{"city": "Ulm"}'),
            closed(1),
        ],
        {"calls": [("a", ULM)]},
    ),
    "signatures": (
        "anthropic",
        [
            opened(1, "thinking", thinking="", signature=""),
            piece(1, "thinking_delta", thinking="hm"),
            piece(1, "signature_delta", signature="SIG"),
            closed(1),
            opened(2, "redacted_thinking", data="REDACTED"),
            closed(2),
            opened(3, "tool_use", id="a", name="weather", input={}),
            piece(3, "input_json_delta", partial_json='{"city": "Ulm"}'),
            closed(3),
        ],
        {
            "reasoning": "hm",
            "calls": [("a", ULM)],
            "opaque": [
                {"type": "thinking", "thinking": "hm", "signature": "SIG"},
                {"type": "redacted_thinking", "data": "REDACTED"},
            ],
        },
    ),
    "thinking in the start, no end": (
        "anthropic",
        [opened(1, "thinking", thinking="hm", signature="SIG"), opened(2, "text", text="Hi")],
        {
            "text": "Hi",
            "reasoning": "hm",
            "opaque": [{"type": "thinking", "thinking": "hm", "signature": "SIG"}],
        },
    ),
    "citations": (
        "anthropic",
        [piece(0, "citations_delta", citation=CITATION), piece(0, "text_delta", text="Hi")],
        {"text": "Hi", "others": ["citation"]},
    ),
    "tool of the provider": (
        "anthropic",
        [
            opened(1, "server_tool_use", **SEARCH),
            piece(1, "input_json_delta", partial_json="{}"),
            closed(1),
            opened(2, "web_search_tool_result", tool_use_id="s", content=[]),
            closed(2),
        ],
        {"others": ["server_tool_use", "server_tool_use", "web_search_tool_result"]},
    ),
    "generated image": (
        "openai-responses",
        [
            item("image_generation_call", when="added", id="i", status="in_progress"),
            event("image_generation_call.partial_image", partial_image_b64="AAAA"),
            item("image_generation_call", id="i", result="QUJD"),
        ],
        {"others": ["image_generation_call", "image_generation_call"]},
    ),
    "custom tool": (
        "openai-responses",
        [
            item("custom_tool_call", when="added", id="i", call_id="c", name="sql", input=""),
            event("custom_tool_call_input.delta", delta="select 1"),
            event("custom_tool_call_input.done", input="select 1"),
            item("custom_tool_call", id="i", call_id="c", name="sql", input="select 1"),
        ],
        {"others": ["custom_tool_call_input", "custom_tool_call"]},
    ),
    "approval": (
        "openai-responses",
        [item("mcp_approval_request", id="i", name="search", arguments="{}", server_label="kb")],
        {"others": ["mcp_approval_request"]},
    ),
    "annotation": (
        "openai-responses",
        [
            event("output_text.delta", content_index=0, delta="Hi", logprobs=[]),
            event("output_text.annotation.added", annotation={"type": "url_citation"}),
            item("message", content=[]),
        ],
        {"text": "Hi", "others": ["citation"]},
    ),
    "encrypted reasoning": (
        "openai-responses",
        [
            item("reasoning", id="rs", summary=[{"type": "summary_text", "text": "hm"}]),
            item(
                "reasoning",
                id="rs",
                encrypted_content="ENC",
                summary=[{"type": "summary_text", "text": "hm"}],
            ),
            event("output_text.delta", content_index=0, delta="Hi", logprobs=[]),
        ],
        {
            "text": "Hi",
            "opaque": [
                {
                    "id": "rs",
                    "type": "reasoning",
                    "encrypted_content": "ENC",
                    "summary": [{"type": "summary_text", "text": "hm"}],
                }
            ],
        },
    ),
    "arguments come whole": (
        "openai-responses",
        [
            item("function_call", when="added", call_id="a", name="weather", arguments=""),
            item("function_call", call_id="a", name="weather", arguments='{"city": "Ulm"}'),
        ],
        {"calls": [("a", ULM)]},
    ),
    "arguments come twice": (
        "openai-responses",
        [
            item("function_call", when="added", call_id="a", name="weather", arguments=""),
            event("function_call_arguments.delta", delta='{"city": "Ulm"}'),
            item("function_call", call_id="a", name="weather", arguments='{"city": "Ulm"}'),
        ],
        {"calls": [("a", ULM)]},
    ),
    "text in the last event": ("openai-responses", [whole(TEXT)], {"text": "Hi"}),
    "call in the last event": ("openai-responses", [whole(CALL)], {"calls": [("a", ULM)]}),
    "image in the last event": (
        "openai-responses",
        [whole(IMAGE)],
        {"others": ["image_generation_call"]},
    ),
    "inline data": ("google-genai", [part(inlineData=PNG)], {"others": ["inline_data"]}),
    "text and inline data": (
        "google-genai",
        [part(text="Here:"), part(inlineData=PNG)],
        {"text": "Here:", "others": ["inline_data"]},
    ),
    "code": (
        "google-genai",
        [
            part(executableCode={"language": "PYTHON", "code": "1"}),
            part(codeExecutionResult={"outcome": "OUTCOME_OK", "output": "1"}),
        ],
        {"others": ["executable_code", "code_execution_result"]},
    ),
    "signature of a call": (
        "google-genai",
        [part(functionCall={"name": "weather", "args": ULM}, thoughtSignature=SIGNATURE)],
        {
            "calls": [(None, ULM)],
            "opaque": [{"thought_signature": b"signature", "tool_call": 0}],
        },
    ),
    "signature of the text": (
        "google-genai",
        [part(text="Hi"), part(text="", thoughtSignature=SIGNATURE)],
        {
            "text": "Hi",
            "opaque": [{"thought_signature": b"signature", "tool_call": None}],
        },
    ),
    "sources": (
        "google-genai",
        [
            sse(
                {
                    "candidates": [
                        {
                            "index": 0,
                            "content": {"role": "model", "parts": [{"text": "Hi"}]},
                            "citationMetadata": SOURCES,
                        }
                    ]
                }
            )
        ],
        {"text": "Hi", "others": ["citation"]},
    ),
}


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=list(skip_unless_installed(SDKS[sdk])))
        for name, (sdk, _, _) in ANSWERS.items()
    ],
)
def test_it_is_delivered(harness: Harness, name: str, flavour: str) -> None:
    """Each kind of content reaches the consumer, and nobody else is asked."""
    sdk_name, pieces, expected = ANSWERS[name]
    sdk = SDKS[sdk_name]
    wire = PROTOCOLS[sdk.protocol]
    end = [] if "last event" in name else [*wire.finish(), *wire.done()]
    model = harness.scripted([*wire.start(), *pieces, *end])
    items, error = harness.deliver(flavour, [harness.source(sdk, flavour, model)])
    assert error is None
    assert parts_of(collect(items), items) == expected
    assert all(chunk.raw is not None for chunk in items if chunk.other or chunk.opaque)
    assert all(has_content(chunk) for chunk in items if chunk.other)


@pytest.mark.skipif(not SDKS["openai-chat"].installed, reason="openai is not installed ('.[test]')")
def test_an_image_is_not_continued(harness: Harness) -> None:
    """After part of an image the error is raised; a citation does not prevent a continuation."""
    sdk = SDKS["openai-chat"]
    for member, text in ((delta(audio={"data": "AAAA"}), None), (delta(annotations=[1]), "rest")):
        cut = harness.scripted([delta(content="Hi"), member])
        sources = [harness.source(sdk, "sync", model) for model in (cut, harness.model("ok"))]
        items, error = harness.deliver("sync", sources, mid_stream=continue_with("instruct"))
        assert isinstance(error, ProviderError) == (text is None)
        assert (items[2:] != []) == (text is not None)
        assert text is None or collect(items).text == "Hi" + BACKUP_TEXT
