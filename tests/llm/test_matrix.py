"""The matrix: each SDK, blocking and async, with each fault of the wire."""

from __future__ import annotations

import pytest

from failover_iter.llm import is_transient, is_unavailable
from llm.cases import cases
from llm.faults import (
    ACCESS_ERRORS,
    BACKUP_TEXT,
    BEFORE_CONTENT,
    HEALTHY,
    MID_STREAM,
    PARTIAL_TEXT,
    REQUEST_ERRORS,
    UNICODE_TEXT,
)
from llm.harness import Harness, Outcome
from llm.sdks import SDK

#: What an SDK does to healthy streams: it raises, so the stream fails over; it hides nothing.
KNOWN = {
    (
        "google-genai",
        "async",
        "slow-tokens",
    ): "its time-out with aiohttp is one for the whole answer",
    ("ollama", "sync", "ok-u2028"): "it takes U+2028 for the end of a line of JSON",
    ("ollama", "async", "ok-u2028"): "it takes U+2028 for the end of a line of JSON",
}


def served_by_the_backup(outcome: Outcome) -> bool:
    """Whether the good source's answer came whole, and was asked for once."""
    served = (outcome.error, outcome.text, outcome.asked[1]) == (None, BACKUP_TEXT, 1)
    return served and outcome.last.finish_reason == "stop"


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(BEFORE_CONTENT))
def test_a_failure_before_any_content(harness: Harness, sdk: SDK, flavour: str, fault: str) -> None:
    """Nothing of the failed provider is seen, it was asked once, and the next one answers."""
    outcome = harness.outcome(sdk, flavour, fault)
    assert served_by_the_backup(outcome)
    assert outcome.before == ""
    # On a busy machine a client may give up before the server has read what it is asked.
    at_least = fault not in {"conn-refused", "slow-headers"}
    assert at_least <= outcome.asked[0] <= (fault != "conn-refused")


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(MID_STREAM))
def test_a_failure_midway(harness: Harness, sdk: SDK, flavour: str, fault: str) -> None:
    """What was delivered is a part of the failed answer; then the next one starts over."""
    outcome = harness.outcome(sdk, flavour, fault)
    assert served_by_the_backup(outcome)
    assert outcome.before == PARTIAL_TEXT
    assert outcome.asked[0] == 1


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(REQUEST_ERRORS))
def test_an_error_of_the_request(harness: Harness, sdk: SDK, flavour: str, fault: str) -> None:
    """No other provider is asked; the SDK's own error is the consumer's."""
    outcome = harness.outcome(sdk, flavour, fault)
    assert outcome.asked == (1, 0)
    assert not is_transient(outcome.error)
    assert is_unavailable(outcome.error) == (fault in ACCESS_ERRORS)
    assert not type(outcome.error).__module__.startswith("failover_iter")


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(HEALTHY))
def test_a_healthy_stream(harness: Harness, sdk: SDK, flavour: str, fault: str) -> None:
    """It is delivered whole, with its usage, and nobody else is asked."""
    outcome = harness.outcome(sdk, flavour, fault)
    if (sdk.name, flavour, fault) in KNOWN:
        assert served_by_the_backup(outcome)
        return
    assert outcome.error is None
    assert outcome.text == (UNICODE_TEXT if fault == "ok-u2028" else BACKUP_TEXT)
    assert outcome.asked == (1, 0)
    assert outcome.last.finish_reason == "stop"
    usage = outcome.last.usage
    assert (usage.input_tokens, usage.output_tokens) == (7, 12)


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(["cut-after-3", "drop-after-3"]))
def test_by_default_a_failure_midway_is_the_consumers(
    harness: Harness, sdk: SDK, flavour: str, fault: str
) -> None:
    """Without being told how to take over, the error is raised after what was delivered."""
    bad, good = harness.model(fault), harness.model("ok")
    sources = [harness.source(sdk, flavour, model) for model in (bad, good)]
    chunks, error = harness.deliver(flavour, sources)
    assert "".join(chunk.text for chunk in chunks) == PARTIAL_TEXT
    assert is_transient(error)
    assert not harness.asked(good)
