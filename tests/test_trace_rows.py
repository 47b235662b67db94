"""Which attempt and which stream each event belongs to, though events do not say it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from math import inf, nan
from time import process_time
from typing import Any

import pytest

from failover_iter.events import (
    Closed,
    Committed,
    Completed,
    Event,
    Exhausted,
    Failed,
    Opening,
    Switched,
    Waiting,
)
from failover_iter.trace._attempts import Remark, TracedAttempt, read

ERROR = OSError("gone")


def rows(*events: Event) -> list[TracedAttempt]:
    return [line for line in read(events) if isinstance(line, TracedAttempt)]


def remarks(*events: Event) -> list[Event]:
    return [line.event for line in read(events) if isinstance(line, Remark)]


def failed(name: str, attempt: int, delivered: int | None, elapsed: float) -> Failed:
    return Failed(name, attempt, delivered, elapsed, ERROR, 1, 1, None)


def tree(*events: Event) -> list[tuple[int, int, str, int, str]]:
    """What says where a row stands: stream, depth, source, attempt, outcome."""
    found = rows(*events)
    return [(row.stream, row.depth, row.source, row.attempt, row.outcome) for row in found]


def test_one_stream() -> None:
    """Each attempt is a frozen row with its times, what it delivered itself and how it began."""
    close_error = OSError("already closed")
    found = rows(
        Opening("a", 1, 0, 0.0),
        Committed("a", 1, 0, 0.5),
        Failed("a", 1, 3, 1.0, ERROR, 1, 1, close_error),
        Waiting("a", 1, 3, 1.0, ERROR, 2.0, "skip"),
        Opening("a", 2, 3, 3.25),
        failed("a", 2, 3, 3.5),
        Switched("a", 2, 3, 3.5, "b", ERROR, 0.0, "resume"),
        Opening("b", 1, 3, 3.5),
        Committed("b", 1, 3, 4.0),
        Completed("b", 1, 7, 6.0),
    )
    assert found == [
        TracedAttempt("a", 1, 1, 0, None, 0.0, 0.0, 0.5, 1.0, 3, "failed", ERROR, close_error),
        TracedAttempt("a", 2, 1, 0, "skip", 2.25, 3.25, None, 3.5, 0, "failed", ERROR, None),
        TracedAttempt("b", 1, 1, 0, "resume", 0.0, 3.5, 4.0, 6.0, 4, "completed", None, None),
    ]
    with pytest.raises(FrozenInstanceError):
        found[0].source = "b"  # type: ignore[misc]


def test_running() -> None:
    """An attempt that is not over has no end, and nobody knows yet what it delivered."""
    (row,) = rows(Opening("a", 1, 0, 0.0), Committed("a", 1, 0, 0.5))
    assert (row.outcome, row.first, row.end, row.delivered) == ("running", 0.5, None, None)


def test_closed() -> None:
    """An attempt that was ended from outside keeps what ended it."""
    stop = GeneratorExit()
    (row,) = rows(Opening("a", 1, 0, 0.0), Closed("a", 1, 2, 1.0, stop))
    assert (row.outcome, row.error, row.delivered) == ("closed", stop, 2)


@pytest.mark.parametrize("counts", [(None, 1), (0, None), (None, None)])
def test_not_counted(counts: tuple[int | None, int | None]) -> None:
    """Where nobody counts, nothing is said to be delivered."""
    (row,) = rows(Opening("a", 1, counts[0], 0.0), Completed("a", 1, counts[1], 1.0))
    assert row.delivered is None


def test_exhausted_is_a_remark() -> None:
    """That no source was left stands where it happened."""
    end = Exhausted("a", 1, 0, 1.0, ERROR, 1)
    lines = read([Opening("a", 1, 0, 0.0), failed("a", 1, 0, 1.0), end])
    assert lines[1:] == [Remark(1, 0, end)]


def test_a_pause_is_a_remark_while_it_lasts() -> None:
    """A stream that waits says so, until it goes on."""
    pause = Waiting("a", 1, 0, 1.0, ERROR, 2.0, None)
    begun = (Opening("a", 1, 0, 0.0), failed("a", 1, 0, 1.0), pause)
    assert remarks(*begun) == [pause]
    assert remarks(*begun, Opening("a", 2, 0, 3.0)) == []


def test_one_stream_after_the_other() -> None:
    """Each has a number, and a time line of its own that begins at 0."""
    one = (Opening("a", 1, 0, 0.0), Completed("a", 1, 1, 1.0))
    assert [(row.stream, row.depth, row.start) for row in rows(*one, *one)] == [
        (1, 0, 0.0),
        (2, 0, 0.0),
    ]


def test_a_stream_inside() -> None:
    """Its attempts stand one deeper below the one they belong to, on that one's time line."""
    events = (
        Opening("out", 1, 0, 0.0),
        failed("out", 1, 0, 5.0),
        Switched("out", 1, 0, 5.0, "group", ERROR, 0.0, None),
        Opening("group", 1, 0, 5.0),
        Opening("a", 1, 0, 0.0),
        failed("a", 1, 0, 1.0),
        Switched("a", 1, 0, 1.0, "b", ERROR, 0.0, None),
        Opening("b", 1, 0, 1.0),
        Committed("b", 1, 0, 2.0),
        Committed("group", 1, 0, 7.0),
        Completed("b", 1, 3, 3.0),
        Completed("group", 1, 3, 8.0),
    )
    assert tree(*events) == [
        (1, 0, "out", 1, "failed"),
        (1, 0, "group", 1, "completed"),
        (1, 1, "a", 1, "failed"),
        (1, 1, "b", 1, "completed"),
    ]
    assert [row.start for row in rows(*events)] == [0.0, 5.0, 5.0, 6.0]
    assert [row.end for row in rows(*events)] == [5.0, 8.0, 6.0, 8.0]


def test_a_later_stream_inside_one_attempt() -> None:
    """A second stream inside an attempt begins no earlier than the first one ended."""
    inner = (Opening("page", 1, 0, 0.0), Completed("page", 1, 1, 2.0))
    found = rows(Opening("pages", 1, 0, 0.0), *inner, *inner)
    assert [(row.depth, row.start, row.end) for row in found[1:]] == [(1, 0.0, 2.0), (1, 2.0, 4.0)]


def test_a_stream_inside_of_the_same_name() -> None:
    """Inside and outside may bear one name, as a `Policy.source` of one factory does."""
    events: tuple[Event, ...] = (
        Opening("a", 1, 0, 0.0),
        Opening("a", 1, 0, 0.0),
        Committed("a", 1, 0, 1.0),
        Committed("a", 1, 0, 1.5),
        failed("a", 1, 2, 2.0),
        Exhausted("a", 1, 2, 2.0, ERROR, 1),
        failed("a", 1, 2, 3.0),
        Exhausted("a", 1, 2, 3.0, ERROR, 1),
    )
    outer, inner = rows(*events)
    assert (outer.depth, outer.first, outer.end) == (0, 1.5, 3.0)
    assert (inner.depth, inner.first, inner.end) == (1, 1.0, 2.0)
    assert [line.depth for line in read(events) if isinstance(line, Remark)] == [1, 0]


def test_a_failure_that_ends_the_stream_without_a_word() -> None:
    """After an error that is no failure the next opening begins another stream."""
    events = (Opening("a", 1, 0, 0.0), failed("a", 1, 0, 1.0), Opening("a", 1, 0, 0.0))
    assert tree(*events) == [(1, 0, "a", 1, "failed"), (2, 0, "a", 1, "running")]


@pytest.mark.parametrize(
    ("attempt", "delivered", "elapsed"),
    [(1, 2, 1.0), (3, 0, 1.0), (2, 0, 0.0)],
    ids=["of another count", "of another attempt", "before the pause"],
)
def test_cancelled_in_a_pause(attempt: int, delivered: int, elapsed: float) -> None:
    """An opening that cannot be the one that was waited for begins another stream."""
    events = (
        Opening("a", 1, 0, 0.0),
        failed("a", 1, 0, 1.0),
        Waiting("a", 1, 0, 1.0, ERROR, 2.0, None),
        Opening("a", attempt, delivered, elapsed),
    )
    assert [row.stream for row in rows(*events)] == [1, 2]
    assert remarks(*events) == [events[2]]


def test_a_switch_starts_from_attempt_1() -> None:
    """What follows a switch to a source is its first attempt; another one is another stream."""
    begun = (
        Opening("a", 1, 0, 0.0),
        failed("a", 1, 0, 1.0),
        Switched("a", 1, 0, 1.0, "b", ERROR, 0.0, None),
    )
    assert [row.stream for row in rows(*begun, Opening("b", 1, 0, 1.0))] == [1, 1]
    assert [row.stream for row in rows(*begun, Opening("b", 2, 0, 1.0))] == [1, 2]


def test_attempts_that_count_anew() -> None:
    """Under `reset_on_progress` the attempt after a pause may be the first again."""
    events = (
        Opening("a", 1, 0, 0.0),
        failed("a", 1, 2, 1.0),
        Waiting("a", 1, 2, 1.0, ERROR, 0.0, "resume"),
        Opening("a", 1, 2, 1.0),
    )
    assert tree(*events) == [(1, 0, "a", 1, "failed"), (1, 0, "a", 1, "running")]


def test_streams_at_the_same_time() -> None:
    """Two streams at once give a row per attempt each, the second as if it were inside."""
    events = (
        Opening("a", 1, 0, 0.0),
        Opening("b", 1, 0, 0.0),
        Committed("a", 1, 0, 1.0),
        Committed("b", 1, 0, 1.0),
        Completed("a", 1, 1, 2.0),
        Completed("b", 1, 2, 2.0),
    )
    assert tree(*events) == [(1, 0, "a", 1, "completed"), (1, 1, "b", 1, "completed")]
    assert [row.delivered for row in rows(*events)] == [1, 2]


@pytest.mark.parametrize(
    "event",
    [
        Committed("a", 1, 0, 0.0),
        failed("a", 1, 0, 0.0),
        Completed("a", 1, 0, 0.0),
        Closed("a", 1, 0, 0.0, None),
        Waiting("a", 1, 0, 0.0, ERROR, 0.0, None),
        Switched("a", 1, 0, 0.0, "b", ERROR, 0.0, None),
        Exhausted("a", 1, 0, 0.0, ERROR, 1),
    ],
)
def test_events_whose_beginning_was_cleared(event: Event) -> None:
    """What belongs to no attempt that is known is passed over."""
    assert read([event]) == []
    assert len(read([Opening("b", 1, 0, 0.0), event])) == 1


@pytest.mark.parametrize("elapsed", [nan, inf, -inf])
def test_a_clock_that_gives_no_number(elapsed: float) -> None:
    """A time that lies nowhere is taken as the last one that was known."""
    (row,) = rows(Opening("a", 1, 0, 2.0), Completed("a", 1, 0, elapsed))
    assert row.end == 2.0


def busy(kind: str, streams: int) -> list[Any]:
    opening, end = Opening("a", 1, 0, 0.0), Completed("a", 1, 1, 1.0)
    committed = Committed("a", 1, 0, 0.5)
    if kind == "at the same time":
        return [opening] * streams + [committed] * streams + [end] * streams
    if kind == "one inside":
        return [opening, *[opening, committed, end] * (streams - 1)]
    pause = Waiting("a", 1, 0, 1.0, ERROR, 0.0, None)
    return [opening, failed("a", 1, 0, 1.0), pause] * streams


@pytest.mark.parametrize("kind", ["at the same time", "one inside", "cancelled in a pause"])
def test_constant_time_per_event(kind: str) -> None:
    """Ten times the streams take about ten times as long, not a hundred times."""
    took = []
    for streams in (2_000, 20_000):
        events = busy(kind, streams)
        began = process_time()
        assert len(rows(*events)) == streams
        took.append(process_time() - began)
    assert took[1] < 40 * max(took[0], 0.005)
