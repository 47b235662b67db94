"""What servers that are compatible with OpenAI's chat completions really send."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter.llm import ProviderError, collect, is_transient, ollama_chat, openai_chat
from llm.cases import skip_unless_installed
from llm.fakes import MESSAGES, Client, record
from llm.harness import Harness
from llm.protocols import Protocol, sse
from llm.sdks import SDKS

OPENAI = SDKS["openai-chat"]
pytestmark = list(skip_unless_installed(OPENAI))
WIRE = Protocol()
DONE = sse("[DONE]")
STOP = WIRE.chunk({}, reason="stop")
HI = WIRE.chunk({"content": "Hi"})


def choices(*given: dict[str, Any], **more: Any) -> bytes:
    """Return a chunk with these choices."""
    return sse(WIRE.envelope(list(given)) | more)


def call(call_id: str | None, arguments: Any, **index: Any) -> dict[str, Any]:
    """Return a tool call, whole or in part."""
    function = {"name": "weather" if call_id else None, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function} | index


def calls(*pieces: dict[str, Any]) -> list[bytes]:
    """Return a chunk for each piece of a tool call."""
    return [WIRE.chunk({"tool_calls": [piece]}) for piece in pieces]


#: An annotation of Azure's asynchronous filter: its choice has no delta.
FILTER = {"index": 0, "finish_reason": None, "content_filter_results": {}}
ULM, BONN = '{"city": "Ulm"}', '{"city": "Bonn"}'
TWO = [("a", ULM), ("b", BONN)]
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}

#: Name, chunks, and what the message has: text, reasoning, tool calls.
ANSWERS: list[tuple[str, list[bytes], str, str, list[tuple[str | None, str]]]] = [
    ("delta missing", [choices(FILTER), HI, choices(FILTER), STOP, choices(FILTER)], "Hi", "", []),
    (
        "delta null",
        [HI, choices({"index": 0, "delta": None, "finish_reason": "stop"})],
        "Hi",
        "",
        [],
    ),
    ("no choices", [choices(prompt_filter_results=[]), HI, STOP], "Hi", "", []),
    (
        "message for delta",
        [choices({"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"})],
        "Hi",
        "",
        [],
    ),
    (
        "no choice index",
        [choices({"delta": {"content": "Hi"}}), choices({"delta": {}, "finish_reason": "stop"})],
        "Hi",
        "",
        [],
    ),
    (
        "choice index counts up",
        [
            *(
                choices({"index": place, "delta": {"content": text}, "finish_reason": None})
                for place, text in enumerate(["Wh", "is", "per"], 1)
            ),
            choices({"index": 4, "delta": {}, "finish_reason": "stop"}),
        ],
        "Whisper",
        "",
        [],
    ),
    (
        "content a list",
        [
            WIRE.chunk({"content": [THOUGHT]}),
            WIRE.chunk({"content": [{"type": "thinking", "thinking": "!"}]}),
            WIRE.chunk({"content": [{"type": "text", "text": "H"}, "i"]}),
            STOP,
        ],
        "Hi",
        "hm!",
        [],
    ),
    ("reasoning_content", [WIRE.chunk({"reasoning_content": "hm"}), HI, STOP], "Hi", "hm", []),
    (
        "calls by index",
        [
            *calls(
                call("a", "", index=0), call(None, ULM[:5], index=0), call(None, ULM[5:], index=0)
            ),
            *calls(call("b", BONN, index=1), call("b", "", index=1)),
            STOP,
        ],
        "",
        "",
        TWO,
    ),
    (
        "call index always 0",
        [*calls(call("a", ULM, index=0), call("b", BONN, index=0)), STOP],
        "",
        "",
        TWO,
    ),
    (
        "call index missing",
        [*calls(call("a", ULM), call("b", BONN[:3]), call(None, BONN[3:])), STOP],
        "",
        "",
        TWO,
    ),
    (
        "call index null",
        [*calls(call("a", ULM, index=None), call("b", BONN, index=None)), STOP],
        "",
        "",
        TWO,
    ),
    (
        "calls in one delta",
        [WIRE.chunk({"tool_calls": [call("a", ULM), call("b", BONN)]}), STOP],
        "",
        "",
        TWO,
    ),
    (
        "interleaved calls",
        [
            *calls(call("a", ULM[:4], index=0), call("b", BONN[:4], index=1)),
            *calls(call(None, ULM[4:], index=0), call(None, BONN[4:], index=1)),
            STOP,
        ],
        "",
        "",
        TWO,
    ),
    (
        "arguments an object",
        [*calls(call("a", {"city": "Ulm"}, index=0)), STOP],
        "",
        "",
        [("a", ULM)],
    ),
    (
        "function_call",
        [
            WIRE.chunk({"function_call": {"name": "weather", "arguments": ""}}),
            WIRE.chunk({"function_call": {"arguments": ULM}}),
            WIRE.chunk({}, reason="function_call"),
        ],
        "",
        "",
        [(None, ULM)],
    ),
]


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case[0])
def test_answer(harness: Harness, case: Any, flavour: str) -> None:
    """The answer is read as what it means, and nobody else is asked."""
    _, chunks, text, reasoning, tool_calls = case
    source = harness.source(OPENAI, flavour, harness.scripted([*chunks, DONE]))
    items, error = harness.deliver(flavour, [source])
    assert error is None
    message = collect(items)
    assert (message.text, message.reasoning) == (text, reasoning)
    assert [(each.id, each.text) for each in message.tool_calls] == tool_calls
    assert all(each.name == "weather" for each in message.tool_calls)
    assert message.finish_reason == ("tool_calls" if tool_calls else "stop")


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 11, "total_tokens": 11}, (11, None)),
        ({"input_tokens": 11, "output_tokens": 5}, (11, 5)),
        ({"prompt_tokens": None, "completion_tokens": None}, (None, None)),
    ],
)
def test_usage_by_other_names(harness: Harness, flavour: str, usage: Any, counts: Any) -> None:
    """A count that is missing is None; the names of the other API are understood."""
    end = choices({"index": 0, "delta": {}, "finish_reason": "stop"}, usage=usage)
    source = harness.source(OPENAI, flavour, harness.scripted([HI, end, DONE]))
    items, error = harness.deliver(flavour, [source])
    assert error is None
    assert (items[-1].usage.input_tokens, items[-1].usage.output_tokens) == counts


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize("reason", ["abort", "insufficient_system_resource", "error", ""])
def test_reasons_that_mean_a_failure(harness: Harness, flavour: str, reason: str) -> None:
    """After such a finish reason the next provider is asked."""
    cut = harness.scripted([HI, WIRE.chunk({}, reason=reason), DONE])
    sources = [harness.source(OPENAI, flavour, model) for model in (cut, harness.model("ok"))]
    items, error = harness.deliver(flavour, sources[:1])
    assert [item.text for item in items] == ["Hi"]
    assert isinstance(error, ProviderError)
    assert (error.code, is_transient(error)) == (reason or "cut", True)
    items, error = harness.deliver(flavour, sources, mid_stream="restart")
    assert (error, items[-1].finish_reason) == (None, "stop")


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_endpoint_without_finish_reasons(harness: Harness, flavour: str) -> None:
    """With finish="optional" an answer that ends is complete, but an empty one is not."""
    model, empty = harness.scripted([HI, DONE]), harness.scripted([DONE])
    source = harness.source(OPENAI, flavour, model, finish="optional")
    items, error = harness.deliver(flavour, [source])
    assert error is None
    assert [(item.text, item.finish_reason) for item in items] == [("Hi", None), ("", "stop")]
    for strict in (
        harness.source(OPENAI, flavour, model),
        harness.source(OPENAI, flavour, empty, finish="optional"),
    ):
        _, error = harness.deliver(flavour, [strict])
        assert isinstance(error, ProviderError)


def test_finish_is_checked() -> None:
    """Another word is refused at the call."""
    with pytest.raises(ValueError, match="finish must be 'required' or 'optional', got 'maybe'"):
        openai_chat(Client(), model="m", messages=MESSAGES, finish="maybe")  # type: ignore[call-overload]


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize(
    "chunk",
    [
        sse(WIRE.envelope([{"index": 0, "delta": {"content": {"type": "text", "text": 7}}}])),
        WIRE.chunk({"tool_calls": [call("a", ULM, index=[])]}),
    ],
)
def test_event_that_cannot_be_read(harness: Harness, flavour: str, chunk: bytes) -> None:
    """It is a failure of the provider, with the event in `raw`, and never a bug."""
    broken = harness.scripted([chunk, STOP, DONE])
    sources = [harness.source(OPENAI, flavour, model) for model in (broken, harness.model("ok"))]
    items, error = harness.deliver(flavour, sources[:1])
    assert isinstance(error, ProviderError)
    assert (error.code, is_transient(error)) == ("hole", True)
    assert error.raw.choices
    assert isinstance(error.__cause__, TypeError)
    items, error = harness.deliver(flavour, sources)
    assert (error, items[-1].finish_reason) == (None, "stop")


def test_ollama_says_nothing_when_its_connection_closed() -> None:
    """An empty reason is a cut; a missing one is what old servers send."""

    def last(reason: str | None) -> Any:
        message = record(thinking=None, content="Hi", tool_calls=None)
        counts = {"prompt_eval_count": 1, "eval_count": 2}
        return record(message=message, done=True, done_reason=reason, **counts)

    def deliver(reason: str | None) -> Any:
        client: Any = Client(last(reason))
        return Harness.deliver(None, "sync", [ollama_chat(client, model="m", messages=MESSAGES)])  # type: ignore[arg-type]

    assert deliver(None)[0][-1].finish_reason == "stop"
    assert deliver("")[1].code == "cut"
