"""Events are assigned to attempts and streams, although they do not name their stream."""

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
    """The place of each row: stream, depth, source, attempt, outcome."""
    found = rows(*events)
    return [(row.stream, row.depth, row.source, row.attempt, row.outcome) for row in found]


def test_one_stream() -> None:
    """Each attempt is a frozen row with its times, its own item count and its takeover mode."""
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
    """A running attempt has no end and no item count."""
    (row,) = rows(Opening("a", 1, 0, 0.0), Committed("a", 1, 0, 0.5))
    assert (row.outcome, row.first, row.end, row.delivered) == ("running", 0.5, None, None)


def test_closed() -> None:
    """An attempt that was closed from outside keeps the exception that closed it."""
    stop = GeneratorExit()
    (row,) = rows(Opening("a", 1, 0, 0.0), Closed("a", 1, 2, 1.0, stop))
    assert (row.outcome, row.error, row.delivered) == ("closed", stop, 2)


@pytest.mark.parametrize("counts", [(None, 1), (0, None), (None, None)])
def test_not_counted(counts: tuple[int | None, int | None]) -> None:
    """If items are not counted, the row has no item count."""
    (row,) = rows(Opening("a", 1, counts[0], 0.0), Completed("a", 1, counts[1], 1.0))
    assert row.delivered is None


def test_exhausted_is_a_remark() -> None:
    """Exhaustion is reported in a line at the place where it happened."""
    end = Exhausted("a", 1, 0, 1.0, ERROR, 1)
    lines = read([Opening("a", 1, 0, 0.0), failed("a", 1, 0, 1.0), end])
    assert lines[1:] == [Remark(1, 0, end)]


def test_a_pause_is_a_remark_while_it_lasts() -> None:
    """A stream in a pause has a line that says so, until it continues."""
    pause = Waiting("a", 1, 0, 1.0, ERROR, 2.0, None)
    begun = (Opening("a", 1, 0, 0.0), failed("a", 1, 0, 1.0), pause)
    assert remarks(*begun) == [pause]
    assert remarks(*begun, Opening("a", 2, 0, 3.0)) == []


def test_one_stream_after_the_other() -> None:
    """Each stream has a number and its own timeline, which starts at 0."""
    one = (Opening("a", 1, 0, 0.0), Completed("a", 1, 1, 1.0))
    assert [(row.stream, row.depth, row.start) for row in rows(*one, *one)] == [
        (1, 0, 0.0),
        (2, 0, 0.0),
    ]


def test_an_inner_stream() -> None:
    """Its attempts follow the outer attempt, one level deeper, on the outer timeline."""
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


def test_two_inner_streams_of_one_attempt() -> None:
    """The second inner stream of an attempt does not start before the first one ended."""
    inner = (Opening("page", 1, 0, 0.0), Completed("page", 1, 1, 2.0))
    found = rows(Opening("pages", 1, 0, 0.0), *inner, *inner)
    assert [(row.depth, row.start, row.end) for row in found[1:]] == [(1, 0.0, 2.0), (1, 2.0, 4.0)]


def test_an_inner_stream_of_the_same_name() -> None:
    """The inner and the outer source may have the same name, as in `Policy.source([a])`."""
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


def test_an_error_that_ends_the_stream() -> None:
    """After an error outside `retry_on`, the next opening starts another stream."""
    events = (Opening("a", 1, 0, 0.0), failed("a", 1, 0, 1.0), Opening("a", 1, 0, 0.0))
    assert tree(*events) == [(1, 0, "a", 1, "failed"), (2, 0, "a", 1, "running")]


@pytest.mark.parametrize(
    ("attempt", "delivered", "elapsed"),
    [(1, 2, 1.0), (3, 0, 1.0), (2, 0, 0.0)],
    ids=["of another count", "of another attempt", "before the pause"],
)
def test_cancelled_in_a_pause(attempt: int, delivered: int, elapsed: float) -> None:
    """An opening that cannot be the end of the pause starts another stream."""
    events = (
        Opening("a", 1, 0, 0.0),
        failed("a", 1, 0, 1.0),
        Waiting("a", 1, 0, 1.0, ERROR, 2.0, None),
        Opening("a", attempt, delivered, elapsed),
    )
    assert [row.stream for row in rows(*events)] == [1, 2]
    assert remarks(*events) == [events[2]]


def test_a_switch_starts_from_attempt_1() -> None:
    """A switch is followed by attempt 1 of the source. Another attempt is another stream."""
    begun = (
        Opening("a", 1, 0, 0.0),
        failed("a", 1, 0, 1.0),
        Switched("a", 1, 0, 1.0, "b", ERROR, 0.0, None),
    )
    assert [row.stream for row in rows(*begun, Opening("b", 1, 0, 1.0))] == [1, 1]
    assert [row.stream for row in rows(*begun, Opening("b", 2, 0, 1.0))] == [1, 2]


def test_attempts_that_start_from_1_again() -> None:
    """With `reset_on_progress`, the attempt after a pause may have the number 1 again."""
    events = (
        Opening("a", 1, 0, 0.0),
        failed("a", 1, 2, 1.0),
        Waiting("a", 1, 2, 1.0, ERROR, 0.0, "resume"),
        Opening("a", 1, 2, 1.0),
    )
    assert tree(*events) == [(1, 0, "a", 1, "failed"), (1, 0, "a", 1, "running")]


def test_streams_at_the_same_time() -> None:
    """Two concurrent streams have a row per attempt. The second is shown as an inner stream."""
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
def test_events_after_the_opening_was_cleared(event: Event) -> None:
    """An event that belongs to no known attempt is ignored."""
    assert read([event]) == []
    assert len(read([Opening("b", 1, 0, 0.0), event])) == 1


@pytest.mark.parametrize("elapsed", [nan, inf, -inf])
def test_a_clock_that_returns_no_finite_number(elapsed: float) -> None:
    """A time that is not finite is replaced by the latest known one."""
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
    """Ten times as many streams take about ten times as long, not a hundred times."""
    took = []
    for streams in (2_000, 20_000):
        events = busy(kind, streams)
        began = process_time()
        assert len(rows(*events)) == streams
        took.append(process_time() - began)
    assert took[1] < 40 * max(took[0], 0.005)
