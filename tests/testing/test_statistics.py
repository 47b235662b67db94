"""`verify` reports to the statistics of Hypothesis what the plans did."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from failover_iter import failover_stream
from failover_iter.testing import Plan, _verify, verify


def pipeline(*factories: Any) -> Any:
    return failover_stream(factories, retry_on=ConnectionError, mid_stream="skip")


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Plan("a#", "ab|"), "switches: 1, switched mid-stream, consumer: drain, ended normally"),
        (
            Plan(*["#"] * 6),
            "switches: 3+, no switch mid-stream, consumer: drain, the consumer got ConnectionError",
        ),
        (
            Plan("ab|", "|", consumer="close 1"),
            "switches: 0, no switch mid-stream, consumer: close, the consumer left",
        ),
    ],
)
def test_what_the_plans_did(monkeypatch: pytest.MonkeyPatch, plan: Plan, expected: str) -> None:
    """Switches, mid-stream or not, and what the consumer did and got are counted as events."""
    told: list[str] = []
    monkeypatch.setattr(_verify, "event", told.append)

    @settings(max_examples=1, database=None)
    @example(plan)
    @given(st.nothing() | st.just(plan))
    def test(plan: Plan) -> None:
        verify(pipeline, plan)

    test()
    assert ", ".join(told[:4]) == expected


def test_nothing_is_told_outside_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that is verified on its own has no statistics."""
    told: list[str] = []
    monkeypatch.setattr(_verify, "event", told.append)
    verify(pipeline, Plan("a|"))
    assert told == []
