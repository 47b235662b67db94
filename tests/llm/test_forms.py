"""One conversation, in OpenAI's form, for every adapter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from failover_iter.llm import Message, ProviderError, ToolCall, chat_stream, collect, openai_chat
from llm.cases import cases
from llm.fakes import ADAPTERS, Client, source_of
from llm.faults import BACKUP_TEXT
from llm.harness import Harness
from llm.sdks import SDK

PNG = "data:image/png;base64,iVBORw0KGgo="
DATA = b"\x89PNG\r\n\x1a\n"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "description": "d", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": FUNCTION}]
ARGUMENTS = '{"city": "Ulm"}'
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Here?"},
            {"type": "image_url", "image_url": {"url": PNG}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": id_, "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
            for id_ in ("a", "b")
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": "12 C"},
    {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "13 C"}]},
]


def request_of(adapter: str, messages: Any = CONVERSATION, **arguments: Any) -> Any:
    """Return the arguments of the SDK's call."""
    client = Client()
    with pytest.raises(ProviderError, match="without an answer"):
        list(chat_stream([source_of(adapter, client, messages=messages, **arguments)]))
    (request,) = client.requests
    return request


def test_anthropic() -> None:
    """Blocks: an image by its source, calls as tool_use, both results in one turn."""
    request = request_of("anthropic_messages", tools=TOOLS)
    assert request["system"] == [{"type": "text", "text": "Be brief."}]
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    use = {"type": "tool_use", "name": "weather", "input": {"city": "Ulm"}}
    results = [
        {"type": "tool_result", "tool_use_id": id_, "content": [{"type": "text", "text": text}]}
        for id_, text in (("a", "12 C"), ("b", "13 C"))
    ]
    assert request["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Here?"}, {"type": "image", "source": source}],
        },
        {"role": "assistant", "content": [use | {"id": "a"}, use | {"id": "b"}]},
        {"role": "user", "content": results},
    ]
    assert request["tools"] == [{"name": "weather", "description": "d", "input_schema": SCHEMA}]


def test_bedrock() -> None:
    """Blocks with one key each; tools become the toolConfig."""
    request = request_of("bedrock_converse", tools=TOOLS)
    use = {"name": "weather", "input": {"city": "Ulm"}}
    assert request["messages"] == [
        {
            "role": "user",
            "content": [{"text": "Here?"}, {"image": {"format": "png", "source": {"bytes": DATA}}}],
        },
        {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": id_, **use}} for id_ in ("a", "b")],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": id_, "content": [{"text": text}]}}
                for id_, text in (("a", "12 C"), ("b", "13 C"))
            ],
        },
    ]
    spec = {"name": "weather", "description": "d", "inputSchema": {"json": SCHEMA}}
    assert request["toolConfig"] == {"tools": [{"toolSpec": spec}]}


def test_gemini() -> None:
    """Parts; the results have the names of the functions; tools and format go into the config."""
    formatted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    own = {"google_search": {}}
    request = request_of("gemini_chat", tools=[*TOOLS, own], response_format=formatted)
    call = {"function_call": {"name": "weather", "args": {"city": "Ulm"}}}
    assert request["contents"] == [
        {
            "role": "user",
            "parts": [
                {"text": "Here?"},
                {"inline_data": {"mime_type": "image/png", "data": DATA}},
            ],
        },
        {"role": "model", "parts": [call, call]},
        {
            "role": "user",
            "parts": [
                {"function_response": {"name": "weather", "response": {"result": text}}}
                for text in ("12 C", "13 C")
            ],
        },
    ]
    declared = {"name": "weather", "description": "d", "parameters_json_schema": SCHEMA}
    assert request["config"] == {
        "tools": [own, {"function_declarations": [declared]}],
        "response_mime_type": "application/json",
        "response_json_schema": SCHEMA,
        "system_instruction": "Be brief.",
    }
    bare = [{"type": "function", "function": {"name": "time"}}]
    assert request_of("gemini_chat", tools=bare)["config"]["tools"] == [
        {"function_declarations": [{"name": "time"}]}
    ]
    assert request_of("gemini_chat", tools=[own])["config"]["tools"] == [own]


def test_openai_responses() -> None:
    """Items; a tool holds its function itself."""
    request = request_of("openai_responses", tools=[*TOOLS, {"type": "web_search"}])
    call = {"type": "function_call", "name": "weather", "arguments": ARGUMENTS}
    assert request["input"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Here?"},
                {"type": "input_image", "image_url": PNG},
            ],
        },
        call | {"call_id": "a"},
        call | {"call_id": "b"},
        {"type": "function_call_output", "call_id": "a", "output": "12 C"},
        {"type": "function_call_output", "call_id": "b", "output": "13 C"},
    ]
    function = {"type": "function", "strict": False, **FUNCTION}
    assert request["tools"] == [function, {"type": "web_search"}]


def test_ollama() -> None:
    """Images beside the text, arguments as an object, and the name of the tool."""
    call = {"function": {"name": "weather", "arguments": {"city": "Ulm"}}}
    assert request_of("ollama_chat")["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Here?", "images": ["iVBORw0KGgo="]},
        {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "content": "12 C", "tool_name": "weather"},
        {"role": "tool", "content": "13 C", "tool_name": "weather"},
    ]


def test_mistral_and_cohere() -> None:
    """They take the form itself, but for the ids of Mistral and the empty content of Cohere."""
    *_, turn, first, second = request_of("mistral_chat")["messages"]
    ids = [call["id"] for call in turn["tool_calls"]]
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    assert all(len(id_) == 9 and id_.isalnum() for id_ in ids)
    known = [{"role": "tool", "tool_call_id": "abcdefghi", "content": ""}]
    assert request_of("mistral_chat", known)["messages"] == known
    assert "content" not in request_of("cohere_chat")["messages"][2]
    developer = [{"role": "developer", "content": "Be brief."}]
    for adapter in ("mistral_chat", "cohere_chat"):
        assert request_of(adapter, developer)["messages"][0]["role"] == "system"


@pytest.mark.parametrize("adapter", ["openai_chat", "groq_chat"])
def test_others_get_the_form_itself(adapter: str) -> None:
    """It is their own."""
    request = request_of(adapter, tools=TOOLS)
    assert (request["messages"], request["tools"]) == (CONVERSATION, TOOLS)


class City:
    """A pydantic model."""

    @staticmethod
    def model_json_schema() -> dict[str, Any]:
        """Return its schema."""
        return SCHEMA


CHAT_FORM = {"type": "json_schema", "json_schema": {"name": "City", "schema": SCHEMA}}
FORMATS: dict[str, dict[str, Any]] = {
    "openai_chat": {"response_format": CHAT_FORM},
    "groq_chat": {"response_format": CHAT_FORM},
    "mistral_chat": {"response_format": CHAT_FORM},
    "cohere_chat": {"response_format": {"type": "json_object", "schema": SCHEMA}},
    "ollama_chat": {"format": SCHEMA},
    "openai_responses": {
        "text": {"format": {"type": "json_schema", "name": "City", "schema": SCHEMA}}
    },
    "anthropic_messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "gemini_chat": {
        "config": {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
    },
    "bedrock_converse": {
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"name": "City", "schema": json.dumps(SCHEMA)}},
            }
        }
    },
}
ANY_JSON = {"type": "json_object"}
#: The same, if any JSON will do; Anthropic and Bedrock cannot be asked for that.
ANY: dict[str, dict[str, Any]] = {
    "openai_chat": {"response_format": ANY_JSON},
    "groq_chat": {"response_format": ANY_JSON},
    "mistral_chat": {"response_format": ANY_JSON},
    "cohere_chat": {"response_format": ANY_JSON},
    "ollama_chat": {"format": "json"},
    "openai_responses": {"text": {"format": ANY_JSON}},
    "anthropic_messages": {},
    "gemini_chat": {"config": {"response_mime_type": "application/json"}},
    "bedrock_converse": {},
}


@pytest.mark.parametrize("adapter", FORMATS)
@pytest.mark.parametrize("given", [City, CHAT_FORM], ids=["model", "schema"])
def test_formats(adapter: str, given: Any) -> None:
    """A JSON schema or a pydantic model becomes what the provider wants; it is not continued."""
    request = request_of(adapter, [{"role": "user", "content": "Hi"}], response_format=given)
    assert {name: request[name] for name in FORMATS[adapter]} == FORMATS[adapter]
    assert "response_format" in FORMATS[adapter] or "response_format" not in request
    source: Any = source_of(adapter, Client(), response_format=given)
    assert source.factory.structured


@pytest.mark.parametrize("adapter", FORMATS)
def test_any_json(adapter: str) -> None:
    """JSON without a schema is asked for where the provider knows that; it is not continued."""
    request = request_of(adapter, [{"role": "user", "content": "Hi"}], response_format=ANY_JSON)
    assert {name: request[name] for name in ANY[adapter]} == ANY[adapter]
    assert "response_format" in ANY[adapter] or "response_format" not in request
    assert not {"output_config", "outputConfig"} & request.keys()
    source: Any = source_of(adapter, Client(), response_format=ANY_JSON)
    assert source.factory.structured
    source = source_of(adapter, Client(), response_format={"type": "text"})
    assert not source.factory.structured


def test_a_format_keeps_what_is_beside_it() -> None:
    """A provider's own options stay, and `strict`."""
    claude = request_of("anthropic_messages", response_format=City, output_config={"effort": "low"})
    assert claude["output_config"].keys() == {"effort", "format"}
    nova = request_of("bedrock_converse", response_format=City, outputConfig={"effort": "low"})
    assert nova["outputConfig"].keys() == {"effort", "textFormat"}
    source: Any = source_of("bedrock_converse", Client(), outputConfig={"effort": "low"})
    assert not source.factory.structured
    strict = {**CHAT_FORM["json_schema"], "strict": True}  # type: ignore[dict-item]
    asked = {"type": "json_schema", "json_schema": strict}
    assert request_of("openai_responses", response_format=asked)["text"]["format"]["strict"]


def test_own_forms_are_passed_untouched() -> None:
    """The SDK receives everything that is not in OpenAI's form unchanged."""
    own: dict[str, Any] = {
        "anthropic_messages": {"role": "user", "content": [{"type": "document", "source": {}}]},
        "bedrock_converse": {"role": "user", "content": [{"document": {}}]},
        "openai_responses": {"type": "function_call_output", "call_id": "a", "output": "1"},
        "ollama_chat": {"role": "tool", "content": "1", "tool_name": "t"},
        "mistral_chat": {"role": "user", "content": [{"type": "document_url"}]},
        "cohere_chat": {"role": "user", "content": [{"type": "document"}]},
    }
    for adapter, message in own.items():
        request = request_of(adapter, [message])
        assert (request.get("messages") or request["input"]) == [message]
    seen = {"role": "user", "content": "Hi", "images": ["iVBORw0KGgo="], "thinking": "hm"}
    assert request_of("ollama_chat", [seen])["messages"] == [seen]
    tool = {"type": "web_search_20250305", "name": "web_search"}
    assert request_of("anthropic_messages", [], tools=[tool])["tools"] == [tool]
    spec = {"cachePoint": {"type": "default"}}
    assert request_of("bedrock_converse", [], tools=[spec])["toolConfig"] == {"tools": [spec]}
    assert request_of("openai_chat", "Hi")["messages"] == "Hi"
    client: Any = Client()
    with pytest.raises(ProviderError):  # what is missing is for the SDK to say
        list(chat_stream([openai_chat(client, model="m")]))
    assert client.requests[0].keys() == {"model", "stream", "stream_options"}


def test_images_by_their_address() -> None:
    """Those who take an address get it; the others say so."""
    url = "https://x/cat.png"
    part: dict[str, Any] = {"type": "image_url", "image_url": url}
    messages = [{"role": "user", "content": [part]}]
    claude = request_of("anthropic_messages", messages)["messages"][0]["content"]
    assert claude == [{"type": "image", "source": {"type": "url", "url": url}}]
    gemini = request_of("gemini_chat", messages)["contents"][0]["parts"]
    assert gemini == [{"file_data": {"file_uri": url, "mime_type": "image/png"}}]
    for adapter in ("bedrock_converse", "ollama_chat"):
        with pytest.raises(ValueError, match="takes images as data"):
            list(chat_stream([source_of(adapter, Client(), messages=messages)]))


def message(**fields: Any) -> Message:
    """Return a message."""
    empty: dict[str, Any] = {"text": "", "reasoning": "", "tool_calls": (), "usage": ()}
    return Message(**empty | {"finish_reason": "stop", "provider": "p", "model": "m"} | fields)


def test_a_message_as_turns() -> None:
    """The turns have the calls, and what the provider needs back; the others do not see that."""
    thought = {"type": "thinking", "thinking": "hm", "signature": "SIG"}
    call = ToolCall(id=None, name="weather", text=ARGUMENTS)
    kept = (
        {"provider": "anthropic", "part": thought},
        {"provider": "gemini", "part": {"thought_signature": "cw==", "tool_call": 0}},
        {"provider": "gemini", "part": {"thought_signature": "dA==", "tool_call": None}},
        {"provider": "bedrock", "part": {"reasoningContent": {"redactedContent": "Ug=="}}},
        {"provider": "openai", "part": {"type": "reasoning", "id": "rs"}},
        {"provider": "bedrock", "part": {"reasoningContent": {"reasoningText": {"text": "hm"}}}},
    )
    turns = message(text="Hi", tool_calls=(call,), opaque=kept).as_turns()
    (turn,) = turns
    assert turn["tool_calls"][0]["id"] == "call_0"
    claude = request_of("anthropic_messages", turns)["messages"][0]["content"]
    assert claude[0] == thought
    assert [block["type"] for block in claude] == ["thinking", "text", "tool_use"]
    parts = request_of("gemini_chat", turns)["contents"][0]["parts"]
    assert [part["thought_signature"] for part in parts] == [b"t", b"s"]
    (thought_of_nova, other_thought, *_) = request_of("bedrock_converse", turns)["messages"][0][
        "content"
    ]
    assert thought_of_nova == {"reasoningContent": {"redactedContent": b"R"}}
    assert other_thought == {"reasoningContent": {"reasoningText": {"text": "hm"}}}
    assert json.loads(json.dumps(turns)) == turns
    assert request_of("openai_responses", turns)["input"][0] == kept[4]["part"]
    for adapter in ADAPTERS.keys() - {"anthropic_messages", "gemini_chat"}:
        assert "SIG" not in repr(request_of(adapter, turns))
        assert "'opaque'" not in repr(request_of(adapter, turns))


def test_empty_texts_are_left_out() -> None:
    """Clients send an empty text beside calls, and tools return nothing; some reject that."""
    answer, results = dict(CONVERSATION[2], content=""), dict(CONVERSATION[3], content="")
    for adapter in ("anthropic_messages", "bedrock_converse", "gemini_chat"):
        request = request_of(adapter, [answer, results])
        sent = json.dumps(request.get("messages") or request["contents"])
        assert '"text": ""' not in sent


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_the_real_sdk_takes_it(harness: Harness, sdk: SDK, flavour: str) -> None:
    """The SDK accepts the converted request, and the server sees the call and its result."""
    model = harness.model("ok")
    source = harness.source(sdk, flavour, model, messages=CONVERSATION, tools=TOOLS)
    items, error = harness.deliver(flavour, [source])
    assert (error, collect(items).text) == (None, BACKUP_TEXT)
    sent = json.dumps(harness.requests(model))
    assert all(word in sent for word in ("Be brief.", "weather", "12 C", "13 C", "iVBORw0KGgo="))


def test_a_tool_loop(harness: Harness) -> None:
    """Each turn may come from another provider: the conversation is one list."""
    from llm.sdks import SDKS

    names = [n for n in ("openai-chat", "anthropic", "google-genai") if SDKS[n].installed]
    for name in names:
        conversation: list[dict[str, Any]] = [{"role": "user", "content": "Weather in Ulm?"}]
        for fault, sdk in (("tool-calls", SDKS[name]), *(("ok", SDKS[each]) for each in names)):
            source = harness.source(
                sdk, "sync", harness.model(fault), messages=conversation, tools=TOOLS
            )
            answer = collect(chat_stream([source]))
            conversation += answer.as_turns()
            for call in answer.tool_calls:
                conversation.append({"role": "tool", "tool_call_id": call.id, "content": "12 C"})
        assert conversation[-1] == {"role": "assistant", "content": BACKUP_TEXT}
