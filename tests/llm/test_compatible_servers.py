"""What servers that are compatible with OpenAI's chat completions really send."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter.llm import ProviderError, is_transient, ollama_chat, openai_chat
from llm.cases import skip_unless_installed
from llm.fakes import MESSAGES, Client, record
from llm.harness import Harness
from llm.pieces import DONE, HI, STOP, ULM, call, choices
from llm.protocols import Protocol, sse
from llm.sdks import SDKS

OPENAI = SDKS["openai-chat"]
pytestmark = list(skip_unless_installed(OPENAI))
WIRE = Protocol()


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
