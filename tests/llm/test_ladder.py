"""The ladder of `continue_with`: each source is asked in the next way when it rejects one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from failover_iter import Progress, Takeover
from failover_iter.llm import Chunk, collect, continue_with, openai_chat
from llm.cases import skip_unless_installed
from llm.fakes import MESSAGES, Client, source_of
from llm.faults import BACKUP_TEXT, FULL_TEXT, PARTIAL_TEXT
from llm.harness import Harness
from llm.other_protocols import PROTOCOLS
from llm.sdks import SDKS

OPENAI, CLAUDE = SDKS["openai-chat"], SDKS["anthropic"]
pytestmark = [mark for sdk in (OPENAI, CLAUDE) for mark in skip_unless_installed(sdk)]
WIRE: Any = PROTOCOLS["anthropic"]
CHAT: Any = PROTOCOLS["openai"]
NO_PREFILL = "This model does not support assistant message prefill."
REJECTED = (
    400,
    {"type": "error", "error": {"type": "invalid_request_error", "message": NO_PREFILL}},
)
REST = [
    *WIRE.start(),
    *(WIRE.token(token, 0) for token in ("scatters ", "far ", "more.")),
    *WIRE.finish(),
    *WIRE.done(),
]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
FLAVOURS = pytest.mark.parametrize("flavour", ["sync", "async"])


def text_of(items: list[Any]) -> str:
    """Return all text that was delivered."""
    return "".join(item.text for item in items if isinstance(item, Chunk))


def last_roles(harness: Harness, model: str) -> list[str]:
    """Return the role of the last message of each request."""
    return [body["messages"][-1]["role"] for body in harness.requests(model)]


@FLAVOURS
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_rejected_prefill_falls_to_the_next_rung(
    harness: Harness, flavour: str, attempts: int
) -> None:
    """Claude is asked by a message at once; that takes none of its attempts."""
    models = harness.model("cut-after-3"), harness.scripted(REJECTED, REST)
    first = harness.source(OPENAI, flavour, models[0])
    sources = [replace(first, attempts=1), harness.source(CLAUDE, flavour, models[1])]
    items, error = harness.deliver(flavour, sources, mid_stream=continue_with(), attempts=attempts)
    assert (error, text_of(items)) == (None, FULL_TEXT)
    assert last_roles(harness, models[1]) == ["assistant", "user"]


@FLAVOURS
def test_a_rejected_rung_is_not_tried_again(harness: Harness, flavour: str) -> None:
    """Later attempts on the source begin at the rung after it; the next source at the first."""
    broken = [*WIRE.start(), WIRE.token("scatters ", 0)]
    rest = [*WIRE.start(), WIRE.token("far more.", 0), *WIRE.finish(), *WIRE.done()]
    models = harness.model("cut-after-3"), harness.scripted(REJECTED, broken, rest)
    first = replace(harness.source(OPENAI, flavour, models[0]), attempts=1)
    sources = [first, harness.source(CLAUDE, flavour, models[1])]
    items, error = harness.deliver(flavour, sources, mid_stream=continue_with(), attempts=3)
    assert (error, text_of(items)) == (None, FULL_TEXT)
    assert last_roles(harness, models[1]) == ["assistant", "user", "user"]


@FLAVOURS
@pytest.mark.parametrize("attempts", [1, 3])
def test_restart_is_the_last_rung(harness: Harness, flavour: str, attempts: int) -> None:
    """After two rejections it is asked without the text; the answer starts over, and says so."""
    whole = [*WIRE.start(), WIRE.token("Anew.", 0), *WIRE.finish(), *WIRE.done()]
    models = harness.model("cut-after-3"), harness.scripted(REJECTED, REJECTED, whole)
    first = replace(harness.source(OPENAI, flavour, models[0]), attempts=1)
    sources = [first, harness.source(CLAUDE, flavour, models[1])]
    mode = continue_with(["prefill", "instruct", "restart"])
    options = {"mid_stream": mode, "attempts": attempts, "mark_takeovers": True}
    items, error = harness.deliver(flavour, sources, **options)
    assert error is None
    assert [item.mode for item in items if isinstance(item, Takeover)] == ["restart"]
    assert (collect(items).text, len(harness.requests(models[1]))) == ("Anew.", 3)


@FLAVOURS
def test_no_access_is_no_rejection(harness: Harness, flavour: str) -> None:
    """A 400 that says that the key is wrong does not fall to the next rung."""
    models = harness.model("cut-after-3"), harness.model("status-400-bad-key")
    sources = [
        harness.source(OPENAI, flavour, models[0]),
        harness.source(CLAUDE, flavour, models[1]),
    ]
    _, error = harness.deliver(flavour, sources, mid_stream=continue_with())
    assert "API key not valid" in str(error)
    assert len(harness.requests(models[1])) == 1


@FLAVOURS
def test_white_space_is_no_prefill(harness: Harness, flavour: str) -> None:
    """If only white space came before the break, the next provider gets the plain question."""
    models = harness.scripted([CHAT.token("\n\n", 0)]), harness.model("ok")
    sources = [
        harness.source(OPENAI, flavour, models[0]),
        harness.source(CLAUDE, flavour, models[1]),
    ]
    items, error = harness.deliver(flavour, sources, mid_stream=continue_with("prefill"))
    assert (error, collect(items).text) == (None, "\n\n" + BACKUP_TEXT)
    assert last_roles(harness, models[1]) == ["user"]


@FLAVOURS
@pytest.mark.parametrize("with_tools", ["raise", "restart", "continue"])
def test_a_request_with_tools(harness: Harness, flavour: str, with_tools: Any) -> None:
    """It is not continued by default: the model may forget the call that it was about to make."""
    models = harness.model("cut-after-3"), harness.model("rest")
    sources = [harness.source(OPENAI, flavour, model, tools=TOOLS) for model in models]
    mode = continue_with("instruct", with_tools=with_tools)
    items, error = harness.deliver(flavour, sources, mid_stream=mode)
    text = {"raise": PARTIAL_TEXT, "restart": FULL_TEXT[len(PARTIAL_TEXT) :], "continue": FULL_TEXT}
    assert (error is None, collect(items).text) == (with_tools != "raise", text[with_tools])


def test_vllm_alone_gets_its_arguments(harness: Harness) -> None:
    """They belong to the source; the provider after it gets none of them."""
    models = harness.model("cut-after-3"), harness.model("cut-after-3"), harness.model("rest")
    extra = {"extra_body": {"top_k": 1}}
    sources = [
        harness.source(OPENAI, "sync", models[0]),
        harness.source(OPENAI, "sync", models[1], prefill="vllm", **extra),
        harness.source(CLAUDE, "sync", models[2]),
    ]
    harness.deliver("sync", sources, mid_stream=continue_with("prefill"))
    (vllm,), (claude,) = harness.requests(models[1]), harness.requests(models[2])
    assert (vllm["continue_final_message"], vllm["add_generation_prompt"]) == (True, False)
    assert (vllm["top_k"], vllm["messages"][-1]["role"]) == (1, "assistant")
    assert "continue_final_message" not in claude


def test_deepseek_marks_the_prefix(harness: Harness) -> None:
    """Its last message has the mark; another endpoint that takes a prefill needs none."""
    for prefill, mark in (("deepseek", {"prefix": True}), ("plain", {})):
        models = harness.model("cut-after-3"), harness.model("rest")
        sources = [harness.source(OPENAI, "sync", model, prefill=prefill) for model in models]
        items, error = harness.deliver("sync", sources, mid_stream=continue_with("prefill"))
        assert (error, text_of(items)) == (None, FULL_TEXT)
        message = {"role": "assistant", "content": PARTIAL_TEXT.rstrip(), **mark}
        assert harness.requests(models[1])[0]["messages"][-1] == message


def test_prefill_is_checked() -> None:
    """Another word is refused at the call."""
    with pytest.raises(ValueError, match="prefill must be one of 'plain', 'vllm', 'deepseek'"):
        openai_chat(Client(), model="m", messages=MESSAGES, prefill="tgi")  # type: ignore[call-overload]


@FLAVOURS
def test_a_ladder_of_one_source(harness: Harness, flavour: str) -> None:
    """A source may bring its own; that of the stream holds for the others."""
    models = harness.model("cut-after-3"), harness.model("cut-after-3"), harness.model("rest")
    first, own, last = (harness.source(CLAUDE, flavour, model) for model in models)
    own = replace(own, mid_stream=continue_with("instruct", instruction="WEITER"))
    items, _ = harness.deliver(flavour, [first, own, last], mid_stream=continue_with("prefill"))
    assert text_of(items).startswith(PARTIAL_TEXT)
    assert harness.requests(models[1])[0]["messages"][-1]["content"] == "WEITER"
    assert last_roles(harness, models[2]) == ["assistant"]


def test_nothing_left_to_ask() -> None:
    """An opening by hand whose provider rejects everything raises that rejection."""
    source: Any = source_of("openai_chat", Client())
    factory = replace(source.factory, continuation=continue_with("restart"))
    with pytest.raises(Exception, match="rejected every continuation"):
        list(factory(Progress(delivered=1, items=(Chunk(text="It"),))))
