"""The deadlines of an attempt: until when to wait, which limit was missed, and at which level."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Any

import pytest

from failover_iter import Policy, Source, SourceTimeout, StreamTimeout
from failover_iter._core.deadlines import SourceDeadline
from support.play import Play, named, show, started

A, B = named("a"), named("b")


def deadline_of(play: Play) -> SourceDeadline:
    assert play.attempt.deadline is not None
    return play.attempt.deadline


def opened(**options: Any) -> Play:
    """A source that was opened at 100 s; `own` are its own options."""
    return started([Source(A, **options.pop("own", {}))], now=100.0, **options)


@pytest.mark.parametrize(
    ("options", "first", "later", "lasting"),
    [
        ({"first_item_timeout": 3}, 103, inf, False),
        ({"idle_timeout": 5}, 105, 115, True),
        ({"idle_timeout": timedelta(seconds=5)}, 105, 115, True),
        ({"first_item_timeout": 3, "idle_timeout": 5}, 103, 115, True),
        ({"first_item_timeout": inf, "idle_timeout": 5}, inf, 115, True),
        ({"idle_timeout": 5, "own": {"idle_timeout": 2}}, 102, 112, True),
        ({"total_timeout": 12}, 112, 112, True),
        ({"total_timeout": 12, "idle_timeout": 5}, 105, 112, True),
    ],
)
def test_until_when_to_wait(
    options: dict[str, Any], first: float, later: float, lasting: bool
) -> None:
    """The first item is due some time after the opening; each other item after it is asked for."""
    play = opened(**options)
    deadline = deadline_of(play)
    assert deadline.until() == first
    play.attempt.receive("1")
    play.now = 110.0
    assert deadline.until() == later
    assert deadline.is_lasting == lasting


def test_a_source_without_a_limit_has_no_deadline() -> None:
    """`None` of a `Source` lifts the limit of the stream."""
    assert opened().attempt.deadline is None
    assert opened(idle_timeout=5, own={"idle_timeout": None}).attempt.deadline is None


@pytest.mark.parametrize(
    ("options", "received", "error", "message"),
    [
        (
            {"idle_timeout": 5},
            False,
            SourceTimeout,
            "a produced no first item within 5 s (idle_timeout)",
        ),
        (
            {"first_item_timeout": 0.25},
            False,
            SourceTimeout,
            "a produced no first item within 0.25 s (first_item_timeout)",
        ),
        ({"idle_timeout": 5}, True, SourceTimeout, "a produced no item for 5 s (idle_timeout)"),
        (
            {"idle_timeout": 5, "total_timeout": 2},
            True,
            StreamTimeout,
            "the stream did not end within 2 s (total_timeout)",
        ),
    ],
)
def test_the_error_names_the_limit(
    options: dict[str, Any], received: bool, error: type[Exception], message: str
) -> None:
    """It is the limit that expires first."""
    play = opened(**options)
    deadline = deadline_of(play)
    deadline.received = received
    expired = play.time_out()
    assert (type(expired), str(expired)) == (error, message)
    assert isinstance(expired, TimeoutError)
    assert deadline.raised is expired


def test_the_time_of_the_stream_has_expired() -> None:
    """From its last moment on the source is asked for nothing more."""
    play = opened(total_timeout=5)
    deadline = deadline_of(play)
    deadline.check_stream()
    play.now = 105.0
    with pytest.raises(StreamTimeout) as caught:
        deadline.check_stream()
    assert deadline.raised is caught.value
    assert show(play.fail(caught.value)) == "raise StreamTimeout"


#: options of the stream, of the group, of the `Source` of the group | first, later: until, level
LEVELS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], Any, Any]] = [
    ({"idle_timeout": 5}, {}, {}, (105, 0), (115, 0)),
    ({}, {"idle_timeout": 5}, {}, (105, 1), (115, 1)),
    ({"idle_timeout": 5}, {"idle_timeout": 5}, {}, (105, 1), (115, 1)),
    ({"idle_timeout": 2}, {"idle_timeout": 5}, {}, (105, 1), (115, 1)),
    ({"idle_timeout": 9}, {"idle_timeout": 5}, {"idle_timeout": 1}, (101, 0), (111, 0)),
    ({"idle_timeout": 9}, {"idle_timeout": 5}, {"idle_timeout": 7}, (105, 1), (115, 1)),
    ({"first_item_timeout": 3}, {"idle_timeout": 5}, {}, (105, 1), (115, 1)),
    ({"first_item_timeout": 3}, {}, {}, (103, 0), (inf, 1)),
    ({}, {"idle_timeout": 5}, {"first_item_timeout": 1}, (101, 0), (115, 1)),
    ({"total_timeout": 12}, {"idle_timeout": 5}, {}, (105, 1), (112, 0)),
    ({"total_timeout": 12}, {"total_timeout": 12}, {}, (112, 1), (112, 1)),
    ({"total_timeout": 4}, {"total_timeout": 12}, {}, (104, 0), (104, 0)),
]


@pytest.mark.parametrize(("outer", "inner", "own", "first", "later"), LEVELS)
def test_each_limit_has_its_level(
    outer: dict[str, Any], inner: dict[str, Any], own: dict[str, Any], first: Any, later: Any
) -> None:
    """An inner limit replaces the outer one; a limit of the group's `Source` holds beside it."""
    group = Policy(retry_on=OSError, **inner).source([A])
    play = started([Source(group.factory, **own)], now=100.0, **outer)
    deadline = deadline_of(play)

    def next_limit() -> tuple[float, int]:
        until = deadline.until()
        if until != inf:
            deadline.expired()
        return until, deadline.level

    assert next_limit() == first
    play.attempt.receive("1")
    play.now, deadline.level = 110.0, 1
    assert next_limit() == later


def test_the_outer_limit_for_the_first_item_is_met_once() -> None:
    """After an item of the group, the next inner source has no outer limit for its first item."""
    group = Policy(retry_on=OSError, mid_stream="skip").source([A, B])
    play = started([group], first_item_timeout=3, mid_stream="skip")
    assert deadline_of(play).until() == 3
    play.now = 1.0
    play.fail()
    assert deadline_of(play).until() == 3  # counted from the opening of the group
    play = started([group], first_item_timeout=3, mid_stream="skip")
    play.deliver("1")
    play.fail()
    assert deadline_of(play).until() == inf
