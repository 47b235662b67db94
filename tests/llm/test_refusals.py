"""A refusal is an answer, or with refusals="switch" a reason to ask the next provider."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import Takeover
from failover_iter.llm import Chunk, achat_stream, chat_stream, error_kind
from llm.cases import cases, skip_unless_installed
from llm.fakes import Client, records, source_of
from llm.faults import BACKUP_TEXT
from llm.harness import Harness
from llm.other_protocols import PROTOCOLS
from llm.protocols import sse
from llm.sdks import SDK, SDKS

#: What these SDKs' providers never say.
NEVER_REFUSE = {"cohere", "ollama"}
OPENAI: Any = PROTOCOLS["openai"]
CLAUDE: Any = PROTOCOLS["anthropic"]
RESPONSES: Any = PROTOCOLS["responses"]
FILTERED = (400, {"error": {"message": "no", "type": None, "code": "content_filter"}})


def text_of(items: list[Any]) -> str:
    """Return the text after the last takeover."""
    text = ""
    for item in items:
        text = "" if isinstance(item, Takeover) else text + item.text
    return text


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_an_answer_that_was_filtered(harness: Harness, sdk: SDK, flavour: str) -> None:
    """By default it is delivered; else the next provider answers, after text under "restart"."""
    if sdk.name in NEVER_REFUSE:
        return
    model, backup = harness.model("filtered"), harness.model("ok")
    sources = [harness.source(sdk, flavour, each) for each in (model, backup)]
    items, error = harness.deliver(flavour, sources)
    assert (error, items[-1].finish_reason) == (None, "content_filter")
    assert harness.requests(backup) == []
    options = {"refusals": "switch", "mid_stream": "restart", "mark_takeovers": True}
    items, error = harness.deliver(flavour, sources, **options)
    assert (error, text_of(items), items[-1].finish_reason) == (None, BACKUP_TEXT, "stop")


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        pytest.param(name, refusal, marks=list(skip_unless_installed(SDKS[name])))
        for name, refusal in [
            ("openai-chat", [*OPENAI.start(), *OPENAI.finish("content_filter")]),
            ("openai-chat", [OPENAI.chunk({"refusal": "I cannot"}), *OPENAI.finish()]),
            ("openai-chat", FILTERED),
            ("openai-responses", FILTERED),
            (
                "openai-responses",
                [RESPONSES.event("response.refusal.delta", delta="No.")],
            ),
            ("anthropic", [*CLAUDE.start(), *CLAUDE.finish("refusal")]),
            ("google-genai", [sse({"promptFeedback": {"blockReason": "SAFETY"}})]),
        ]
    ],
)
def test_before_any_text_under_the_defaults(
    harness: Harness, name: str, refusal: Any, flavour: str
) -> None:
    """Nothing was delivered, so the next provider answers, in the stream or by an HTTP 400."""
    models = harness.scripted(refusal), harness.model("ok")
    sources = [harness.source(SDKS[name], flavour, model) for model in models]
    items, error = harness.deliver(flavour, sources, refusals="switch")
    assert (error, text_of(items)) == (None, BACKUP_TEXT)
    items, error = harness.deliver(flavour, sources[:1], refusals="switch")
    assert (items, error_kind(error)) == ([], "filtered")


@pytest.mark.skipif(not SDKS["openai-chat"].installed, reason="openai is not installed ('.[test]')")
def test_other_failures_keep_their_meaning(harness: Harness) -> None:
    """The user's `retry_on` still decides about everything else, in each of its forms."""
    sdk = SDKS["openai-chat"]
    for retry_on in (lambda error: False, KeyError, (KeyError, IndexError)):
        models = harness.model("status-503"), harness.model("ok")
        sources = [harness.source(sdk, "sync", model) for model in models]
        items, error = harness.deliver("sync", sources, refusals="switch", retry_on=retry_on)
        assert (items, error.status_code) == ([], 503)
    wanted = [harness.source(sdk, "sync", harness.model(each)) for each in ("status-503", "ok")]
    items, error = harness.deliver("sync", wanted, refusals="switch", retry_on=Exception)
    assert (error, text_of(items)) == (None, BACKUP_TEXT)


def test_bedrock_and_gemini_from_fakes() -> None:
    """A guardrail and a blocked prompt cause a switch."""
    refusals: dict[str, Any] = {
        "bedrock_converse": {"messageStop": {"stopReason": "guardrail_intervened"}},
        "gemini_chat": records({"candidates": None, "prompt_feedback": {"block_reason": "SAFETY"}}),
    }
    for adapter, event in refusals.items():
        source = source_of(adapter, Client(event))

        def backup() -> list[Chunk]:
            return [Chunk(text="Hi"), Chunk(finish_reason="stop")]

        (only,) = chat_stream([source, backup])
        assert only.finish_reason == "content_filter"
        assert text_of(list(chat_stream([source, backup], refusals="switch"))) == "Hi"


def test_another_word() -> None:
    """It is refused at the call."""
    for stream in (chat_stream, achat_stream):
        with pytest.raises(ValueError, match="refusals must be 'answer' or 'switch', got 'ask'"):
            stream([], refusals="ask")  # type: ignore[operator]
