"""The library's streams obey `check_failover_laws`, in every mode and flavour."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from failover_iter import Policy
from laws.conformance import LAWS, check_failover_laws
from support.size import FEW

pytestmark = pytest.mark.usefixtures("no_log")

MODES = ["skip", "restart", "raise", "resume"]
FLAVOURS = ["sync", "asyncio", "trio"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_identity_with_time_limits(flavour: Any) -> None:
    """Law 1 holds with time limits, which add a thread (sync) or timers (async)."""
    policy = Policy(retry_on=ConnectionError, idle_timeout=1e6, total_timeout=1e7)
    check_failover_laws(
        policy.stream if flavour == "sync" else policy.astream,
        mode="restart",
        flavour=flavour,
        laws=["identity"],
        max_examples=FEW,
    )


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_law(flavour: Any, mode: Any, law: str) -> None:
    """The streams obey each law in each mode and flavour, also nested by `Policy.source`."""
    policy = Policy(retry_on=ConnectionError, mid_stream=mode)
    patient = replace(policy, attempts=2, wait=2)
    by_flavour = {"sync": policy.stream, "async": policy.astream}
    ours, theirs = ("sync", "async") if flavour == "sync" else ("async", "sync")
    # asyncio and trio run the same driver: together they try as many examples as sync.
    few = FEW if flavour == "sync" else -(-FEW // 2)
    check_failover_laws(
        lambda factories: by_flavour[ours](factories),
        mode=mode,
        flavour=flavour,
        nest=policy.source,
        # Compared once: the twin of the async stream is the sync one.
        twin=by_flavour[theirs] if flavour != "sync" else None,
        waiting=patient.stream if flavour == "sync" else patient.astream,
        laws=[law],
        max_examples=2 * few if law == "identity" else few,
    )
