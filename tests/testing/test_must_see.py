"""`must_see` fails a test in which something never happens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.statistics import collector

from failover_iter import failover_stream
from failover_iter.testing import Plan, must_see, plans, run_plan, verify


def pipeline(*factories: Any) -> Any:
    return failover_stream(factories, retry_on=ConnectionError, mid_stream="skip")


def test_nothing_happened() -> None:
    """A test that passes without a mid-stream switch fails, with the name of the condition."""

    @must_see()
    def test() -> None:
        verify(pipeline, Plan("a|"))

    with pytest.raises(AssertionError, match="this never happened in 1 runs: switched mid-stream"):
        test()


def test_it_happened() -> None:
    """One run is enough, and the return value of the test is passed on."""

    @must_see("switched", "ended normally", lambda run: run.seconds > 0)
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
        ("ended normally", Plan("a|")),
        ("raised", Plan("#")),
        ("left early", Plan("ab|", consumer="close 1")),
        ("time passed", Plan("-a|")),
    ],
)
def test_conditions(condition: str, plan: Plan) -> None:
    """Each named condition is true for a matching plan."""

    @must_see(condition)
    def test() -> None:
        verify(pipeline, plan, oracles="ends")

    test()


def test_conditions_are_checked_at_once() -> None:
    """An unknown name is rejected when the test is decorated."""
    with pytest.raises(ValueError, match="a condition must be a predicate or one of 'switched'"):
        must_see("the moon is full")


def test_a_failing_test_is_not_replaced() -> None:
    """If the test itself fails, its error is raised, and conditions are not checked."""

    @must_see()
    def test() -> None:
        raise LookupError("bug")

    with pytest.raises(LookupError):
        test()


def test_around_given() -> None:
    """All examples of a Hypothesis test count, and its statistics show the switches."""

    @must_see("switched mid-stream")
    @settings(database=None)
    @given(plans())
    def test(plan: Plan) -> None:
        verify(pipeline, plan)

    statistics: list[Any] = []
    with collector.with_value(statistics.append):
        test()
    events = {
        event for one in statistics[0]["generate-phase"]["test-cases"] for event in one["events"]
    }
    assert {"switched mid-stream", "no switch mid-stream", "switches: 0", "switches: 1"} <= events


def test_many_switches_are_one_event() -> None:
    """More than three switches are counted as "3+"."""

    @settings(database=None, max_examples=1)
    @given(plans())
    def test(_: Plan) -> None:
        verify(pipeline, Plan("#", "#", "#", "#", "a|"))

    statistics: list[Any] = []
    with collector.with_value(statistics.append):
        test()
    assert "switches: 3+" in statistics[0]["generate-phase"]["test-cases"][0]["events"]


def test_run_plan_is_not_watched() -> None:
    """Only runs of `verify` count."""

    @must_see("ended normally")
    def test() -> None:
        run_plan(pipeline, Plan("a|"))

    with pytest.raises(AssertionError, match="in 0 runs"):
        test()
