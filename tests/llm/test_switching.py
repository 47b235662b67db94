"""The stream leaves a provider at once if another attempt there is of no use."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter.llm import is_transient, is_unavailable, retry_after
from llm.cases import skip_unless_installed
from llm.faults import BACKUP_TEXT
from llm.harness import Harness
from llm.sdks import SDKS

SDK = SDKS["openai-chat"]
pytestmark = list(skip_unless_installed(SDK))
FLAVOURS = pytest.mark.parametrize("flavour", ["sync", "async"])
LASTING = ["status-401", "status-402", "status-403", "status-404", "status-429-quota"]


def deliver(harness: Harness, flavour: str, fault: str, **options: Any) -> tuple[str, Any, int]:
    """Return the text, the error, and the number of requests to the first provider."""
    models = harness.model(fault), harness.model("ok")
    sources = [harness.source(SDK, flavour, model) for model in models]
    items, error = harness.deliver(flavour, sources, attempts=3, **options)
    return "".join(item.text for item in items), error, len(harness.requests(models[0]))


@FLAVOURS
@pytest.mark.parametrize("fault", LASTING)
def test_lasting_failures_are_not_retried(harness: Harness, flavour: str, fault: str) -> None:
    """After one request the next provider answers; `switch_on` changes that."""
    assert deliver(harness, flavour, fault) == (BACKUP_TEXT, None, 1)
    _, error, requests = deliver(harness, flavour, fault, switch_on=None)
    assert (error is None) == is_transient(error or TimeoutError())
    assert requests == (3 if fault in {"status-402", "status-429-quota"} else 1)
    options = {"switch_on": None, "retry_on": is_unavailable}
    assert deliver(harness, flavour, fault, **options) == (BACKUP_TEXT, None, 3)


@FLAVOURS
def test_other_failures_are_retried(harness: Harness, flavour: str) -> None:
    """An overload is tried again, unless the user's `switch_on` names it."""
    assert deliver(harness, flavour, "status-503") == (BACKUP_TEXT, None, 3)
    import openai

    for switch_on in (
        openai.InternalServerError,
        (KeyError, openai.InternalServerError),
        lambda error: True,
    ):
        assert deliver(harness, flavour, "status-503", switch_on=switch_on)[2] == 1


@FLAVOURS
def test_a_pause_that_is_too_long(harness: Harness, flavour: str) -> None:
    """A provider that asks for more than the maximum is left; one that asks for less is not."""
    fault = "status-429-retry-after-1"
    wait = retry_after(maximum=0.5, otherwise=lambda failed: 0.0)
    assert deliver(harness, flavour, fault, wait=wait) == (BACKUP_TEXT, None, 1)
    assert deliver(harness, flavour, "status-429", wait=wait) == (BACKUP_TEXT, None, 3)
