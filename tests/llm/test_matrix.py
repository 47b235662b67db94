"""The matrix: each SDK, blocking and async, with each fault."""

from __future__ import annotations

import pytest

from failover_iter.llm import collect, has_content, is_transient, is_unavailable
from llm.cases import cases
from llm.contents import CONTENTS, DROPPED_BY_SDK, WHOLE
from llm.faults import (
    BACKUP_TEXT,
    BEFORE_CONTENT,
    HEALTHY,
    MID_STREAM,
    PARTIAL_TEXT,
    REQUEST_ERRORS,
    UNICODE_TEXT,
)
from llm.harness import Harness, Outcome
from llm.matrix_page import verdict
from llm.parts import is_whole, parts_of
from llm.sdks import SDK, is_older

#: Healthy streams on which an SDK raises, so that the next provider takes over.
RAISES_ON_HEALTHY = {
    (
        "google-genai",
        "async",
        "slow-tokens",
    ): "with aiohttp its timeout limits the whole answer",
    ("ollama", "sync", "ok-u2028"): "it treats U+2028 as the end of a line of JSON",
    ("ollama", "async", "ok-u2028"): "it treats U+2028 as the end of a line of JSON",
}
#: The first release of google-genai has these faults, which the newest has no more: it treats
#: U+2028 like ollama, and with aiohttp it makes a second request after a lost connection.
OLD_GEMINI = is_older("google-genai", 3)
if OLD_GEMINI:
    RAISES_ON_HEALTHY |= {
        ("google-genai", "sync", "ok-u2028"): "it treats U+2028 as the end of a line",
        ("google-genai-noaiohttp", "async", "ok-u2028"): "it treats U+2028 as the end of a line",
    }


def served_by_the_backup(outcome: Outcome) -> bool:
    """Whether the backup was asked once and delivered its whole answer."""
    served = (outcome.error, outcome.text, outcome.requests[1]) == (None, BACKUP_TEXT, 1)
    return served and outcome.last.finish_reason == "stop"


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(BEFORE_CONTENT))
def test_failure_before_any_content(harness: Harness, sdk: SDK, flavour: str, fault: str) -> None:
    """Nothing of the failed answer is delivered; after one request the next provider answers."""
    outcome = harness.outcome(sdk, flavour, fault)
    assert served_by_the_backup(outcome)
    assert outcome.before == ""
    # On a busy machine a client may time out before the server has read the request.
    at_least = fault not in {"conn-refused", "slow-headers"}
    at_most = int(fault != "conn-refused")
    if OLD_GEMINI and (sdk.name, flavour) == ("google-genai", "async"):
        at_most *= 2
    assert at_least <= outcome.requests[0] <= at_most


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(MID_STREAM))
def test_failure_mid_stream(harness: Harness, sdk: SDK, flavour: str, fault: str) -> None:
    """Part of the failed answer is delivered; then the next provider starts over."""
    if (sdk.name, fault) in DROPPED_BY_SDK:
        return
    outcome = harness.outcome(sdk, flavour, fault)
    assert served_by_the_backup(outcome)
    assert outcome.before == PARTIAL_TEXT
    assert outcome.requests[0] == 1


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(REQUEST_ERRORS))
def test_request_error(harness: Harness, sdk: SDK, flavour: str, fault: str) -> None:
    """The SDK's own error is raised, and no other provider is asked."""
    outcome = harness.outcome(sdk, flavour, fault)
    assert outcome.requests == (1, 0)
    assert not is_transient(outcome.error)
    assert not is_unavailable(outcome.error)
    assert not type(outcome.error).__module__.startswith("failover_iter")


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(HEALTHY))
def test_healthy_stream(harness: Harness, sdk: SDK, flavour: str, fault: str) -> None:
    """The whole answer is delivered with its usage, and no other provider is asked."""
    outcome = harness.outcome(sdk, flavour, fault)
    if (sdk.name, flavour, fault) in RAISES_ON_HEALTHY:
        assert served_by_the_backup(outcome)
        return
    assert outcome.error is None
    assert outcome.text == (UNICODE_TEXT if fault == "ok-u2028" else BACKUP_TEXT)
    assert outcome.requests == (1, 0)
    assert outcome.last.finish_reason == "stop"
    usage = outcome.last.usage
    assert (usage.input_tokens, usage.output_tokens) == (7, 12)


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(list(CONTENTS)))
def test_content(harness: Harness, sdk: SDK, flavour: str, fault: str) -> None:
    """All of the answer is delivered, with its usage, and no other provider is asked."""
    outcome = harness.outcome(sdk, flavour, fault)
    content = CONTENTS[fault][sdk.protocol]
    assert outcome.error is None
    if sdk.package == "litellm":
        assert verdict(fault, outcome, sdk) == DROPPED_BY_SDK.get((sdk.name, fault), WHOLE)
        return
    message = collect(outcome.items)
    assert parts_of(message, outcome.items) == content.has
    assert is_whole(outcome.items, content)
    assert outcome.requests == (1, 0)
    assert all(chunk.raw is not None for chunk in outcome.items if chunk.other or chunk.opaque)
    assert all(has_content(chunk) for chunk in outcome.items if chunk.other)


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(["cut-after-3", "drop-after-3"]))
def test_failure_mid_stream_is_raised_by_default(
    harness: Harness, sdk: SDK, flavour: str, fault: str
) -> None:
    """Without a `mid_stream` option the error is raised after the delivered text."""
    bad, good = harness.model(fault), harness.model("ok")
    sources = [harness.source(sdk, flavour, model) for model in (bad, good)]
    chunks, error = harness.deliver(flavour, sources)
    assert "".join(chunk.text for chunk in chunks) == PARTIAL_TEXT
    assert is_transient(error)
    assert not harness.requests(good)
