"""`continue_with`: the next provider continues an interrupted answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from failover_iter import Progress, Resume, Takeover, failover_stream
from failover_iter.llm import Chunk, ProviderError, continue_with, is_transient, openai_chat
from llm.cases import cases, skip_unless_installed
from llm.faults import BACKUP_TEXT, FULL_TEXT, PARTIAL_TEXT, REJECTS_CONTINUATION
from llm.harness import Harness
from llm.sdks import MESSAGES, SDK, SDKS

OPENAI = SDKS["openai-chat"]
ANTHROPIC = SDKS["anthropic"]
pytestmark = [mark for sdk in (OPENAI, ANTHROPIC) for mark in skip_unless_installed(sdk)]
PREFILL_SDKS = {"anthropic", "mistralai", "ollama", "groq"}  # bedrock only with Claude
INSTRUCTION = "Bitte fahre genau dort fort."


def text_of(items: list[Any]) -> str:
    """Return all text that was delivered."""
    return "".join(item.text for item in items if isinstance(item, Chunk))


def turns_of(body: dict[str, Any], protocol: str) -> list[tuple[str, str]]:
    """Return the turns of a request as pairs of role and text."""
    messages = body.get("messages") or body.get("input") or body["contents"]
    turns = []
    for turn in messages:
        content = turn.get("content") or turn.get("parts")
        parts = [content] if isinstance(content, str) else [part["text"] for part in content]
        turns.append((turn["role"].replace("model", "assistant"), "".join(parts)))
    return turns


@pytest.mark.parametrize("how", ["prefill", "instruct"])
@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_next_provider_continues(harness: Harness, sdk: SDK, flavour: str, how: Any) -> None:
    """The answer is in one piece, and the next provider receives the text so far."""
    models = harness.model("cut-after-3"), harness.model("rest")
    sources = [harness.source(sdk, flavour, model) for model in models]
    mode = continue_with(how, instruction=INSTRUCTION)
    items, error = harness.deliver(flavour, sources, mid_stream=mode)
    assert error is None
    assert text_of(items) == FULL_TEXT
    (body,) = harness.requests(models[1])
    turns = turns_of(body, sdk.protocol)
    if how == "prefill" and sdk.name in PREFILL_SDKS:
        assert turns[-1] == ("assistant", PARTIAL_TEXT.rstrip())
        assert INSTRUCTION not in json.dumps(body)
    else:
        # For Anthropic litellm joins messages and strips white space.
        assert [(role, text.strip()) for role, text in turns[-2:]] == [
            ("assistant", PARTIAL_TEXT.strip()),
            ("user", INSTRUCTION),
        ]


def test_mistral_prefill_is_marked(harness: Harness) -> None:
    """Mistral requires a mark on a last message that is the start of its answer."""
    sdk = SDKS["mistralai"]
    if not sdk.installed:
        pytest.skip("mistralai is not installed ('.[test-llm]')")
    models = harness.model("cut-after-3"), harness.model("echo")
    sources = [harness.source(sdk, "sync", model) for model in models]
    items, error = harness.deliver("sync", sources, mid_stream=continue_with("prefill"))
    assert (text_of(items), error) == (FULL_TEXT, None)  # although its answer repeats the prefill
    assert harness.requests(models[1])[0]["messages"][-1]["prefix"] is True


@pytest.mark.parametrize(
    ("answer", "text"),
    [("rest", FULL_TEXT), ("spaced-rest", FULL_TEXT), ("nothing-left", PARTIAL_TEXT)],
)
def test_the_seam(harness: Harness, answer: str, text: str) -> None:
    """White space at the seam is not repeated, and the continuation may be empty."""
    models = harness.model("cut-after-3"), harness.model(answer)
    sources = [harness.source(ANTHROPIC, "sync", model) for model in models]
    items, error = harness.deliver("sync", sources, mid_stream=continue_with("prefill"))
    assert error is None
    assert text_of(items) == text
    assert items[-1].finish_reason == "stop"


def test_a_function_makes_the_request(harness: Harness) -> None:
    """It receives the arguments in the provider's form and the text; its result is sent."""
    seen: list[Any] = []

    def go_on(arguments: dict[str, Any], text: str) -> dict[str, Any]:
        seen.append((arguments["model"], text))
        more = {"role": "assistant", "content": text}
        return arguments | {"messages": [more], "extra_body": {"continue_final_message": True}}

    models = harness.model("cut-after-3"), harness.model("rest")
    sources = [harness.source(OPENAI, "sync", model) for model in models]
    items, _ = harness.deliver("sync", sources, mid_stream=continue_with(go_on))
    assert text_of(items) == FULL_TEXT
    assert seen == [(models[1], PARTIAL_TEXT)]
    (body,) = harness.requests(models[1])
    assert body["continue_final_message"] is True
    assert turns_of(body, "openai") == [("assistant", PARTIAL_TEXT)]


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_a_rejected_continuation(harness: Harness, sdk: SDK, flavour: str) -> None:
    """The stream raises the error of the interruption, with the rejection in its notes."""
    models = harness.model("cut-after-3"), harness.model(REJECTS_CONTINUATION)
    sources = [harness.source(sdk, flavour, model) for model in models]
    items, error = harness.deliver(flavour, sources, mid_stream=continue_with("prefill"))
    assert text_of(items) == PARTIAL_TEXT
    assert is_transient(error)
    assert models[0] in str(error) or sdk.package == "litellm"
    assert any("rejected the continuation" in note for note in error.__notes__)
    assert len(harness.requests(models[1])) == 1


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_a_rejected_continuation_may_start_over(harness: Harness, sdk: SDK, flavour: str) -> None:
    """With "restart" at the end such a provider is asked again for a new answer, after a marker."""
    models = harness.model("cut-after-3"), harness.model(REJECTS_CONTINUATION)
    sources = [harness.source(sdk, flavour, model) for model in models]
    mode = continue_with(["prefill", "restart"])
    items, error = harness.deliver(flavour, sources, mid_stream=mode, mark_takeovers=True)
    assert error is None
    (place,) = [place for place, item in enumerate(items) if isinstance(item, Takeover)]
    assert items[place].mode == "restart"
    assert text_of(items[:place]) == PARTIAL_TEXT
    assert text_of(items[place:]) == BACKUP_TEXT
    assert len(harness.requests(models[1])) == 2


def test_provider_after_a_rejection(harness: Harness) -> None:
    """After a provider has rejected the continuation, the next one is tried."""
    models = [harness.model(fault) for fault in ("cut-after-3", REJECTS_CONTINUATION, "rest")]
    sources = [harness.source(OPENAI, "sync", model) for model in models]
    items, error = harness.deliver("sync", sources, mid_stream=continue_with("instruct"))
    assert (text_of(items), error) == (FULL_TEXT, None)


def test_bad_request_is_not_a_rejection(harness: Harness) -> None:
    """A 400 at the start of an answer is raised, as in any other mode."""
    models = harness.model("status-400"), harness.model("ok")
    sources = [harness.source(OPENAI, "sync", model) for model in models]
    mode = continue_with(["prefill", "restart"])
    items, error = harness.deliver("sync", sources, mid_stream=mode)
    assert items == []
    assert not is_transient(error)
    assert harness.requests(models[1]) == []


@pytest.mark.parametrize(
    ("fault", "more"),
    [("tool-cut", {}), ("cut-after-3", {"response_format": {"type": "json_object"}})],
)
def test_tool_calls_and_formats_are_not_continued(
    harness: Harness, fault: str, more: dict[str, Any]
) -> None:
    """After part of a tool call or of structured output the error is raised."""
    models = harness.model(fault), harness.model("rest")
    sources = [harness.source(OPENAI, "sync", model, **more) for model in models]
    items, error = harness.deliver("sync", sources, mid_stream=continue_with("prefill"))
    assert items
    assert isinstance(error, ProviderError)
    assert harness.requests(models[1]) == []


def test_error_of_the_interruption(harness: Harness) -> None:
    """The error raised is that of the interruption, not of a failure before any content."""
    faults = ("status-503", "cut-after-3", "status-500", REJECTS_CONTINUATION)
    models = [harness.model(fault) for fault in faults]
    sources = [harness.source(OPENAI, "sync", model) for model in models]
    _, error = harness.deliver("sync", sources, mid_stream=continue_with("instruct"))
    assert isinstance(error, ProviderError)
    assert (error.code, error.model) == ("cut", models[1])


def test_other_factories(harness: Harness) -> None:
    """A factory without an adapter is called with a Progress that holds the chunks so far."""

    def rest(progress: Progress[Chunk]) -> list[Chunk]:
        return [Chunk(text=f"[after {''.join(chunk.text for chunk in progress.items)}]")]

    first = harness.source(OPENAI, "sync", harness.model("cut-after-3"))
    items, error = harness.deliver("sync", [first, rest], mid_stream=continue_with("prefill"))
    assert (text_of(items), error) == (f"{PARTIAL_TEXT}[after {PARTIAL_TEXT}]", None)


def test_resume_without_the_text_is_refused(harness: Harness) -> None:
    """A source that should continue without the text raises an error that says how to fix it."""
    models = harness.model("cut-after-3"), harness.model("rest")
    sources = [harness.source(OPENAI, "sync", model) for model in models]
    _, error = harness.deliver("sync", sources, mid_stream="resume")
    assert isinstance(error, ValueError)
    assert "0 of 3 chunks were kept" in str(error)
    assert "continue_with" in str(error)


def test_plain_resume(harness: Harness) -> None:
    """In a plain failover stream that keeps all chunks, the source continues as by "prefill"."""
    models = harness.model("cut-after-3"), harness.model("rest")
    sources = [harness.source(ANTHROPIC, "sync", model) for model in models]
    mode = Resume(keep=None)
    chunks = list(failover_stream(sources, retry_on=is_transient, mid_stream=mode))
    assert text_of(chunks) == FULL_TEXT
    assert harness.requests(models[1])[0]["messages"][-1]["role"] == "assistant"


def test_rejection_without_an_interruption(harness: Harness) -> None:
    """Called by hand, with a Progress without failures, the provider's error is raised."""
    client = harness.client(OPENAI, "sync")
    source = openai_chat(client, model=harness.model(REJECTS_CONTINUATION), messages=MESSAGES)
    so_far = Progress(delivered=1, items=(Chunk(text=PARTIAL_TEXT),))
    with pytest.raises(Exception, match="400"):
        list(source.factory(so_far))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"how": "guess"}, ValueError, "how must be 'prefill', 'instruct', 'restart'"),
        ({"how": ["restart", "prefill"]}, ValueError, "'restart' \\(last\\)"),
        ({"how": []}, ValueError, "how must name at least one way"),
        ({"how": "prefill", "instruction": 1}, TypeError, "instruction must be a str, got 1"),
        (
            {"how": "prefill", "with_tools": "go"},
            ValueError,
            "with_tools must be 'raise', 'restart'",
        ),
    ],
)
def test_wrong_use(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """A wrong argument is refused at once, and the message says what is allowed."""
    with pytest.raises(error, match=message):
        continue_with(arguments.pop("how"), **arguments)
