"""The library's streams obey `check_failover_laws`, in every mode and flavour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import Policy
from failover_iter.testing import check_failover_laws
from failover_iter.testing._laws import LAWS
from support.runners import quiet
from support.size import FEW

MODES = ["skip", "restart", "raise", "resume"]
FLAVOURS = ["sync", "asyncio", "trio"]


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """Log nothing: pytest keeps each record, and the laws make 100,000 failures."""
    with quiet():
        yield


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
    by_flavour = {"sync": policy.stream, "async": policy.astream}
    ours, theirs = ("sync", "async") if flavour == "sync" else ("async", "sync")
    check_failover_laws(
        lambda factories: by_flavour[ours](factories),
        mode=mode,
        flavour=flavour,
        nest=policy.source,
        twin=lambda factories: by_flavour[theirs](factories),
        laws=[law],
        max_examples=2 * FEW if law == "identity" else FEW,
    )
