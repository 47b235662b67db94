"""Sources that stall or come late, with the time limits of our own streams, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import DEFAULT_FAULTS, Plan, must_see, plans, verify, within

LIMIT = 10
#: Each of three sources may keep the consumer waiting for at most five pulls.
MOST = 3 * 5 * LIMIT


def pipeline_of(flavour: str) -> Any:
    stream: Any = failover_stream if flavour == "sync" else afailover_stream

    def pipeline(*factories: Any) -> Any:
        return stream(factories, retry_on=ConnectionError, mid_stream="skip", idle_timeout=LIMIT)

    return pipeline


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_a_stall_is_a_failure(flavour: Any) -> None:
    """The next source takes over when the limit has passed, and the stalled one is closed."""
    pipeline = pipeline_of(flavour)
    laws = ["exactly_once", "no_leak", "closed_once"]
    for marbles in ("ab", "a{90}bc|", "ab| open=90"):
        plan = Plan(marbles, "abc|", items="abc")
        run = verify(pipeline, plan, oracles=laws, flavour=flavour, awaited=True)
        assert (run.delivered, run.seconds) == (["a", "b", "c"], LIMIT)


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_time_is_bounded(flavour: Any) -> None:
    """No plan keeps the consumer waiting for longer than the limits allow, and no law is broken.

    But for the one exception that there is: a blocked source that was given up is closed when it
    comes back, which may be when another is open; it may not even have failed until then.
    """
    laws = ["at_most_once", "transparent", "no_leak", "closed_once", "no_reopen"]
    if flavour != "sync":
        laws += ["lazy", "one_open"]

    @must_see("switched mid-stream", "time passed")
    @given(plans(sources=3, faults=[*DEFAULT_FAULTS, "stalls", "late"]))
    def test(plan: Plan) -> None:
        verify(pipeline_of(flavour), plan, oracles=[*laws, within(MOST)], flavour=flavour)

    test()
