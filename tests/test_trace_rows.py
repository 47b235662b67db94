"""Events become rows: each attempt with its times, in its stream, at its depth."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
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
    PassedOver,
    Switched,
    Waiting,
)
from failover_iter.trace._attempts import Remark, TracedAttempt, read
from failover_iter.trace._text import render

ERROR = OSError("gone")


def rows(*events: Event) -> list[TracedAttempt]:
    return [line for line in read(events) if isinstance(line, TracedAttempt)]


def remarks(*events: Event) -> list[Event]:
    return [line.event for line in read(events) if isinstance(line, Remark)]


def failed(name: str, attempt: int, delivered: int, elapsed: float, **ids: Any) -> Failed:
    return Failed(name, attempt, delivered, elapsed, ERROR, 1, 1, None, **ids)


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
    events = [
        event
        for number in (7, 9)
        for event in (
            Opening("a", 1, 0, 0.0, stream=number),
            Completed("a", 1, 1, 1.0, stream=number),
        )
    ]
    found = rows(*events)
    assert [(row.stream, row.depth, row.start, row.end) for row in found] == [
        (1, 0, 0.0, 1.0),
        (2, 0, 0.0, 1.0),
    ]


def test_streams_at_the_same_time() -> None:
    """The rows of a stream are together. Streams are in the order in which they began."""
    one, two = {"stream": 9}, {"stream": 7}
    pause = Waiting("a", 1, 1, 1.5, ERROR, 2.0, None, **one)
    events: list[Event] = [
        Opening("a", 1, 0, 0.0, **one),
        Opening("a", 1, 0, 0.0, **two),
        Committed("a", 1, 0, 1.0, **two),
        Committed("a", 1, 0, 1.25, **one),
        failed("a", 1, 1, 1.5, **one),
        pause,
        Opening("b", 1, 0, 0.0, stream=8),
        Completed("a", 1, 2, 2.0, **two),
    ]
    assert tree(*events) == [
        (1, 0, "a", 1, "failed"),
        (2, 0, "a", 1, "completed"),
        (3, 0, "b", 1, "running"),
    ]
    assert [row.first for row in rows(*events)] == [1.25, 1.0, None]
    assert [row.delivered for row in rows(*events)] == [1, 2, None]
    assert read(events)[1] == Remark(1, 0, pause)
    events.append(Opening("a", 2, 1, 3.5, **one))
    assert tree(*events)[:2] == [(1, 0, "a", 1, "failed"), (1, 0, "a", 2, "running")]
    assert remarks(*events) == []


def test_a_group() -> None:
    """Its attempts follow the outer attempt, one level deeper, on the outer timeline."""
    outer, inner = {"stream": 4}, {"stream": 5, "parent": 4}
    switched = Switched("a", 1, 0, 1.0, "b", ERROR, 0.0, None, **inner)
    events = (
        Opening("out", 1, 0, 0.0, **outer),
        failed("out", 1, 0, 5.0, **outer),
        Switched("out", 1, 0, 5.0, "group", ERROR, 0.0, None, **outer),
        Opening("group", 1, 0, 5.0, **outer),
        Opening("a", 1, 0, 0.0, **inner),
        failed("a", 1, 0, 1.0, **inner),
        switched,
        Opening("b", 1, 0, 1.0, **inner),
        Committed("b", 1, 0, 2.0, **inner),
        Committed("group", 1, 0, 7.0, **outer),
        Completed("b", 1, 3, 3.0, **inner),
        Completed("group", 1, 3, 8.0, **outer),
    )
    assert tree(*events) == [
        (1, 0, "out", 1, "failed"),
        (1, 0, "group", 1, "completed"),
        (1, 1, "a", 1, "failed"),
        (1, 1, "b", 1, "completed"),
    ]
    assert [row.start for row in rows(*events)] == [0.0, 5.0, 5.0, 6.0]
    assert [row.end for row in rows(*events)] == [5.0, 8.0, 6.0, 8.0]


def test_a_group_that_is_opened_twice() -> None:
    """Each opening of a group has its own number, and is placed where the outer one opened it."""
    events = (
        Opening("group", 1, 0, 0.0, stream=1),
        Opening("a", 1, 0, 0.0, stream=2, parent=1),
        failed("a", 1, 2, 1.0, stream=2, parent=1),
        failed("group", 1, 2, 1.0, stream=1),
        Waiting("group", 1, 2, 1.0, ERROR, 2.0, "skip", stream=1),
        Opening("group", 2, 2, 3.0, stream=1),
        Opening("a", 1, 2, 0.0, stream=3, parent=1),
        failed("a", 1, 2, 0.5, stream=3, parent=1),
        Waiting("a", 1, 2, 0.5, ERROR, 0.5, "restart", stream=3, parent=1),
        Opening("a", 2, 2, 1.0, stream=3, parent=1),
    )
    found = rows(*events)
    assert [(row.source, row.depth, row.start, row.waited, row.takeover) for row in found] == [
        ("group", 0, 0.0, 0.0, None),
        ("a", 1, 0.0, 0.0, None),
        ("group", 0, 3.0, 2.0, "skip"),
        ("a", 1, 3.0, 0.0, "skip"),
        ("a", 1, 4.0, 0.5, "restart"),
    ]


def test_sources_that_are_passed_over() -> None:
    """Each has a line where it was passed over, at the beginning of a group as well."""
    outer, inner = {"stream": 1}, {"stream": 2, "parent": 1}
    told = [
        PassedOver("shy", 1, 1, 1.0, "mid_stream", **outer),
        PassedOver("coy", 1, 1, 0.0, "mid_stream", **inner),
    ]
    events: tuple[Event, ...] = (
        Opening("a", 1, 0, 0.0, **outer),
        failed("a", 1, 1, 1.0, **outer),
        told[0],
        Switched("a", 1, 1, 1.0, "group", ERROR, 0.0, "skip", **outer),
        Opening("group", 1, 1, 1.0, **outer),
        told[1],
        Opening("b", 1, 1, 0.5, **inner),
    )
    assert read(events)[1] == Remark(1, 0, told[0])
    assert read(events)[3] == Remark(1, 1, told[1])
    assert tree(*events) == [
        (1, 0, "a", 1, "failed"),
        (1, 0, "group", 1, "running"),
        (1, 1, "b", 1, "running"),
    ]
    assert rows(*events)[2].start == 1.5
    text = render(read(events), "utf-8")
    assert 'shy passed over (mid_stream="raise")' in text
    assert '  coy passed over (mid_stream="raise")' in text


def test_a_group_of_the_same_name() -> None:
    """The inner and the outer source may have the same name, as in `Policy.source([a])`."""
    outer, inner = {"stream": 1}, {"stream": 2, "parent": 1}
    events: tuple[Event, ...] = (
        Opening("a", 1, 0, 0.0, **outer),
        Opening("a", 1, 0, 0.0, **inner),
        Committed("a", 1, 0, 1.0, **inner),
        Committed("a", 1, 0, 1.5, **outer),
        failed("a", 1, 2, 2.0, **inner),
        Exhausted("a", 1, 2, 2.0, ERROR, 1, **inner),
        failed("a", 1, 2, 3.0, **outer),
        Exhausted("a", 1, 2, 3.0, ERROR, 1, **outer),
    )
    around, inside = rows(*events)
    assert (around.depth, around.first, around.end) == (0, 1.5, 3.0)
    assert (inside.depth, inside.first, inside.end) == (1, 1.0, 2.0)
    assert [line.depth for line in read(events) if isinstance(line, Remark)] == [1, 0]


def test_a_group_whose_outer_stream_is_not_traced() -> None:
    """If only the policy of the group reports to the trace, each opening is a stream."""
    events = (
        Opening("a", 1, 0, 0.0, stream=2, parent=1),
        failed("a", 1, 0, 1.0, stream=2, parent=1),
        Opening("a", 1, 0, 0.0, stream=3, parent=1),
    )
    assert tree(*events) == [(1, 0, "a", 1, "failed"), (2, 0, "a", 1, "running")]


def test_an_error_that_ends_the_stream() -> None:
    """After an error outside `retry_on`, the stream has no further row."""
    events = (
        Opening("a", 1, 0, 0.0, stream=1),
        failed("a", 1, 0, 1.0, stream=1),
        Opening("a", 1, 0, 0.0, stream=2),
    )
    assert tree(*events) == [(1, 0, "a", 1, "failed"), (2, 0, "a", 1, "running")]


def test_cancelled_in_a_pause() -> None:
    """A stream that was cancelled during a pause keeps its remark, whatever starts next."""
    events = (
        Opening("a", 1, 0, 0.0, stream=1),
        failed("a", 1, 0, 1.0, stream=1),
        Waiting("a", 1, 0, 1.0, ERROR, 2.0, None, stream=1),
        Opening("a", 2, 0, 3.0, stream=2),
    )
    assert [row.stream for row in rows(*events)] == [1, 2]
    assert remarks(*events) == [events[2]]


def test_attempts_that_start_from_1_again() -> None:
    """With `reset_on_progress`, the attempt after a pause may have the number 1 again."""
    events = (
        Opening("a", 1, 0, 0.0),
        failed("a", 1, 2, 1.0),
        Waiting("a", 1, 2, 1.0, ERROR, 0.0, "resume"),
        Opening("a", 1, 2, 1.0),
    )
    assert tree(*events) == [(1, 0, "a", 1, "failed"), (1, 0, "a", 1, "running")]


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
    """An event of a stream whose attempt is not known is ignored."""
    assert read([event]) == []
    assert len(read([Opening("b", 1, 0, 0.0, stream=1), event])) == 1


@pytest.mark.parametrize("elapsed", [nan, inf, -inf])
def test_a_clock_that_returns_no_finite_number(elapsed: float) -> None:
    """A time that is not finite is replaced by the latest known one."""
    (row,) = rows(Opening("a", 1, 0, 2.0), Completed("a", 1, 0, elapsed))
    assert row.end == 2.0


def busy(kind: str, streams: int) -> list[Any]:
    opening, end = Opening("a", 1, 0, 0.0), Completed("a", 1, 1, 1.0)
    failure, pause = failed("a", 1, 0, 1.0), Waiting("a", 1, 0, 1.0, ERROR, 0.0, None)
    if kind == "one stream":
        return [opening, failure, pause] * streams
    outer = Opening("out", 1, 0, 0.0, stream=0)
    parent = 0 if kind == "groups" else None
    numbers = range(1, streams)
    rest = (opening, failure, pause) if kind == "cancelled in a pause" else (opening, end)
    return [
        outer,
        *(
            replace(event, stream=number, parent=parent)
            for event in rest
            for number in numbers  # so all of them run at the same time
        ),
    ]


@pytest.mark.parametrize(
    "kind", ["one stream", "at the same time", "groups", "cancelled in a pause"]
)
def test_constant_time_per_event(kind: str) -> None:
    """Ten times as many streams take about ten times as long, not a hundred times."""
    took = []
    for streams in (500, 5_000):
        events = busy(kind, streams)
        began = process_time()
        assert len(rows(*events)) == streams
        took.append(process_time() - began)
    assert took[1] < 40 * max(took[0], 0.005)
