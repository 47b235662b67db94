"""Stalled and late sources with the time limits of failover_iter streams, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import Oracle, Plan, must_see, plans, verify
from failover_iter.testing._plan_strategies import DEFAULT_FAULTS

LIMIT = 10
#: Each of the three sources can reach the limit in at most five pulls.
MOST = 3 * 5 * LIMIT


def pipeline_of(flavour: str) -> Any:
    stream: Any = failover_stream if flavour == "sync" else afailover_stream

    def pipeline(*factories: Any) -> Any:
        return stream(factories, retry_on=ConnectionError, mid_stream="skip", idle_timeout=LIMIT)

    return pipeline


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_a_stall_is_a_failure(flavour: Any) -> None:
    """When the limit has expired, the next source takes over, and the stalled one is closed."""
    pipeline = pipeline_of(flavour)
    laws = ["exactly_once", "no_leak", "closed_once"]
    for marbles in ("ab", "a{90}bc|", "ab| open=90"):
        plan = Plan(marbles, "abc|", items="abc")
        run = verify(pipeline, plan, oracles=laws, flavour=flavour, awaited=True)
        assert (run.delivered, run.seconds) == (["a", "b", "c"], LIMIT)


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_time_is_bounded(flavour: Any) -> None:
    """The consumer never waits longer than the limits allow, and no law is broken.

    The sync flavour has one exception: an abandoned source is closed only when its blocked call
    returns. Another source may be open then, so `lazy` and `one_open` are not checked.
    """
    laws = ["at_most_once", "transparent", "no_leak", "closed_once", "no_reopen"]
    if flavour != "sync":
        laws += ["lazy", "one_open"]

    @must_see("switched mid-stream", "time passed")
    @given(plans(sources=3, faults=[*DEFAULT_FAULTS, "stalls", "late"]))
    def test(plan: Plan) -> None:
        verify(pipeline_of(flavour), plan, oracles=[*laws, Oracle.within(MOST)], flavour=flavour)

    test()
