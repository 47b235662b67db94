"""Content that is easily lost: images, signatures, or text that comes at an unusual place."""

from __future__ import annotations

from llm.pieces import (
    B64,
    BEDROCK,
    CALL,
    CHAT,
    CITATION,
    CLAUDE,
    COHERE,
    HELLO,
    HI,
    IMAGE,
    IMAGE_URL,
    PARTS,
    PNG,
    REDACTED,
    REFERENCE,
    SEARCH,
    SIGNATURE,
    SIGNED,
    SUMMARY,
    TEXT,
    ULM,
    WEATHER,
    Content,
    block,
    candidate,
    closed,
    cohere,
    delta,
    item,
    opened,
    part,
    piece,
    response_event,
    whole,
)

#: For each row of the matrix, the answer by protocol.
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
                "opaque": [{"thought_signature": "c2lnbmF0dXJl", "tool_call": 0}],
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
            TEXT | {"opaque": [{"thought_signature": "c2lnbmF0dXJl", "tool_call": None}]},
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
            TEXT | {"opaque": [{"reasoningContent": {"redactedContent": "Ug=="}}]},
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
