"""The limits of one attempt, as a table: until when to wait, and what to say past that."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Any

import pytest

from failover_iter import Policy, Source, SourceTimeout, StreamTimeout
from failover_iter._core.deadlines import Limits
from failover_iter._core.sources import read_entry


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def limits_of(clock: Clock, *, stream: float = inf, own: Any = None, **options: Any) -> Limits:
    policy = Policy(retry_on=OSError, **options)
    entry = read_entry(Source(lambda: [1], name="a", **(own or {})), 0, "sync", policy)
    return Limits(entry, clock, stream, clock.now + stream)


@pytest.mark.parametrize(
    ("options", "first", "later", "lasting"),
    [
        ({"first_item_timeout": 3}, 103, inf, False),
        ({"idle_timeout": 5}, 105, 115, True),
        ({"idle_timeout": timedelta(seconds=5)}, 105, 115, True),
        ({"first_item_timeout": 3, "idle_timeout": 5}, 103, 115, True),
        ({"first_item_timeout": inf, "idle_timeout": 5}, inf, 115, True),
        ({"idle_timeout": 5, "own": {"idle_timeout": 2}}, 102, 112, True),
        ({"idle_timeout": 5, "own": {"idle_timeout": None}}, inf, inf, False),
        ({"stream": 12}, 112, 112, True),
        ({"stream": 12, "idle_timeout": 5}, 105, 112, True),
    ],
)
def test_until_when_to_wait(
    options: dict[str, Any], first: float, later: float, lasting: bool
) -> None:
    """The first item has its own limit, counted from the opening; others from when they are due."""
    clock = Clock()
    limits = limits_of(clock, **options)
    assert limits.until() == first
    limits.received = True
    clock.now = 110.0
    assert limits.until() == later
    assert limits.lasting == lasting


@pytest.mark.parametrize(
    ("options", "received", "error", "message"),
    [
        (
            {"idle_timeout": 5},
            False,
            SourceTimeout,
            "a gave no first item within 5 s (idle_timeout)",
        ),
        (
            {"first_item_timeout": 0.25},
            False,
            SourceTimeout,
            "a gave no first item within 0.25 s (first_item_timeout)",
        ),
        ({"idle_timeout": 5}, True, SourceTimeout, "a gave no item for 5 s (idle_timeout)"),
        (
            {"idle_timeout": 5, "stream": 2},
            True,
            StreamTimeout,
            "the stream was not at its end after 2 s (total_timeout)",
        ),
    ],
)
def test_what_to_say(
    options: dict[str, Any], received: bool, error: type[Exception], message: str
) -> None:
    """The limit that was met first, by its name."""
    limits = limits_of(Clock(), **options)
    limits.received = received
    limits.until()
    told = limits.over()
    assert (type(told), str(told)) == (error, message)
    assert isinstance(told, TimeoutError)
    assert limits.over_with is told


def test_the_stream_is_over() -> None:
    """From its last moment on nothing is asked of the source any more."""
    clock = Clock()
    limits = limits_of(clock, stream=5)
    limits.check_stream()
    clock.now = 105.0
    with pytest.raises(StreamTimeout) as caught:
        limits.check_stream()
    assert limits.over_with is caught.value
