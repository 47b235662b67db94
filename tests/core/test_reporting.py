"""The events and log lines of the core."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import Exhausted, Failed, Switched, Waiting
from support.play import A, B, Play


@pytest.mark.parametrize(
    ("openings", "expected"),
    [
        ("1.", "Opening a1/0, Committed a1/0, Completed a1/1"),
        (".", "Opening a1/0, Completed a1/0"),
        ("1!", "Opening a1/0, Committed a1/0, Failed a1/1"),
        (
            "1x x 12x x",
            "Opening a1/0, Committed a1/0, Failed a1/1, Waiting a1/1, Opening a2/1, Failed a2/1, "
            "Switched a2/1, Opening b1/1, Committed b1/1, Failed b1/2, Waiting b1/2, "
            "Opening b2/2, Failed b2/2, Exhausted b2/2",
        ),
    ],
)
def test_events_come_in_order(openings: str, expected: str) -> None:
    """Each event has its source, attempt and the number of items delivered so far."""
    events: list[Any] = []
    Play([A, B], on_event=events.append, attempts=2, mid_stream="skip").through(openings)
    shown = [f"{type(e).__name__} {e.source}{e.attempt}/{e.delivered}" for e in events]
    assert shown == expected.split(", ")


def test_the_numbers_in_the_events() -> None:
    """Failures are counted in all and in a row; pauses, modes and the elapsed time are there."""
    events: list[Any] = []
    play = Play([A, B], on_event=events.append, attempts=2, wait=2, mid_stream="skip", now=100.0)
    play.through("1x x 12x x")
    failed = [(e.failures, e.consecutive, e.elapsed) for e in events if isinstance(e, Failed)]
    assert failed == [(1, 1, 0.0), (2, 2, 2.0), (3, 1, 2.0), (4, 2, 4.0)]
    paused = [(type(e), e.seconds, e.mode) for e in events if isinstance(e, Waiting | Switched)]
    assert paused == [(Waiting, 2.0, "skip"), (Switched, 0.0, "skip"), (Waiting, 2.0, "skip")]
    assert events[-1] == Exhausted("b", 2, 2, 4.0, events[-1].error, 4)


def test_the_log_gets_each_failure() -> None:
    """The log says what follows each failure, with a hint at the first unasked repetition."""
    play = Play([A, B], attempts=2, wait=0.5)
    play.through("x 1x 1x x")
    retrying = "retrying in 0.5 s"
    assert play.log == [
        f"a {retrying}",
        "a switching to b (hint)",
        f"b {retrying}",
        "b exhausted",
    ]
