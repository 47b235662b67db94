"""A test in which nothing ever happens says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.statistics import collector

from failover_iter import failover_stream
from failover_iter.testing import NeverHappened, Plan, must_see, plans, run_plan, verify


def pipeline(*factories: Any) -> Any:
    return failover_stream(factories, retry_on=ConnectionError, mid_stream="skip")


def test_nothing_happened() -> None:
    """A test that passed without a switch midway fails by name."""

    @must_see()
    def test() -> None:
        verify(pipeline, Plan("a|"))

    with pytest.raises(NeverHappened, match="this never happened in 1 runs: switched mid-stream"):
        test()


def test_it_happened() -> None:
    """One run is enough, and what the test gives comes through."""

    @must_see("switched", "ended well", lambda run: run.seconds > 0)
    @must_see("a source failed")
    def test(marbles: str) -> str:
        verify(pipeline, Plan("ab|"))
        verify(pipeline, Plan(marbles, "ab|"))
        return "done"

    assert test("-a#") == "done"


@pytest.mark.parametrize(
    ("condition", "plan"),
    [
        ("switched", Plan("#", "a|")),
        ("switched mid-stream", Plan("a#", "ab|")),
        ("a source failed", Plan("#")),
        ("ended well", Plan("a|")),
        ("raised", Plan("#")),
        ("left early", Plan("ab|", consumer="close 1")),
        ("time passed", Plan("-a|")),
    ],
)
def test_conditions(condition: str, plan: Plan) -> None:
    """Each name is met by what it says."""

    @must_see(condition)
    def test() -> None:
        verify(pipeline, plan, oracles="ends")

    test()


def test_conditions_are_checked_at_once() -> None:
    """A name that there is not is refused where the test is decorated."""
    with pytest.raises(ValueError, match="a condition must be a predicate or one of 'switched'"):
        must_see("the moon is full")


def test_a_test_that_fails_fails_as_it_is() -> None:
    """What never happened is of no interest then."""

    @must_see()
    def test() -> None:
        raise LookupError("bug")

    with pytest.raises(LookupError):
        test()


def test_around_given() -> None:
    """All examples of a Hypothesis test count together, and its statistics tell of switches."""

    @must_see("switched mid-stream")
    @settings(database=None)
    @given(plans())
    def test(plan: Plan) -> None:
        verify(pipeline, plan)

    told: list[Any] = []
    with collector.with_value(told.append):
        test()
    events = {event for one in told[0]["generate-phase"]["test-cases"] for event in one["events"]}
    assert {"switched mid-stream", "no switch mid-stream", "switches: 0", "switches: 1"} <= events


def test_many_switches_are_one_event() -> None:
    """Of more than three it is only told that they were more."""

    @settings(database=None, max_examples=1)
    @given(plans())
    def test(_: Plan) -> None:
        verify(pipeline, Plan("#", "#", "#", "#", "a|"))

    told: list[Any] = []
    with collector.with_value(told.append):
        test()
    assert "switches: 3+" in told[0]["generate-phase"]["test-cases"][0]["events"]


def test_run_plan_is_not_watched() -> None:
    """Only what was judged counts."""

    @must_see("ended well")
    def test() -> None:
        run_plan(pipeline, Plan("a|"))

    with pytest.raises(NeverHappened, match="in 0 runs"):
        test()
