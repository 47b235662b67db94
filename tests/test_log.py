"""The logger `failover_iter`: what an operator is told of a stream, and how often."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from failover_iter import Decide, Policy, Source, failover_stream
from failover_iter._drivers.log import log
from failover_iter.events import (
    Event,
    Exhausted,
    Switched,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HINT = "items are delivered again; set mid_stream"
LOST = ConnectionError("lost")


def gives(*items: int, error: Exception | None = LOST) -> Callable[[], Iterator[int]]:
    def factory() -> Iterator[int]:
        yield from items
        if error is not None:
            raise error

    return factory


GOOD = gives(1, 2, 3, error=None)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    assert {record.name for record in caplog.records} <= {"failover_iter"}
    return [(record.levelname, record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize(
    ("event", "level", "message"),
    [
        (
            Waiting("a", 1, 0, 0.0, LOST, 1.5, None),
            "WARNING",
            "a (attempt 1) failed: ConnectionError: lost; opening it again in 1.5 s",
        ),
        (
            Waiting("a", 1, 0, 0.0, LOST, 0.0, None),
            "WARNING",
            "a (attempt 1) failed: ConnectionError: lost; opening it again at once",
        ),
        (
            Waiting("a", 1, 0, 0.0, LOST, 0.0004, None),
            "WARNING",
            "a (attempt 1) failed: ConnectionError: lost; opening it again at once",
        ),
        (
            Switched("a", 2, 0, 0.0, "b", LOST, 0.0, "skip"),
            "WARNING",
            "a (attempt 2) failed: ConnectionError: lost; switching to b",
        ),
        (
            Exhausted("b", 1, 0, 0.0, KeyError(), 3),
            "ERROR",
            "b (attempt 1) failed: KeyError; no source is left after 3 failures",
        ),
    ],
)
def test_levels_and_words(
    event: Event, level: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure that is survived is a warning, an exhausted stream an error, in plain words."""
    log(event, repeats_unasked=False)
    assert told(caplog) == [(level, message)]
    assert caplog.records[0].exc_info is None


@pytest.mark.parametrize("seconds", [0.001, 0.25, 30.0, 999.9, 3600.0, 86400.0, 1e6])
def test_pauses_are_told_in_readable_numbers(
    seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """A pause is told without an exponent, and right to some part in a hundred."""
    log(Waiting("a", 1, 0, 0.0, LOST, seconds, None), repeats_unasked=False)
    found = re.search(r"again in ([0-9.]+) s$", told(caplog)[0][1])
    assert found is not None
    assert float(found[1]) == pytest.approx(seconds, rel=0.01)


@pytest.mark.parametrize(
    "event",
    [Waiting("a", 1, 2, 0.0, LOST, 0.0, "restart"), Switched("a", 1, 2, 0.0, "b", LOST, 0.0, None)],
)
def test_the_hint_ends_the_message(event: Event, caplog: pytest.LogCaptureFixture) -> None:
    """Where items are delivered again unasked, the same line says what to set."""
    log(event, repeats_unasked=True)
    assert told(caplog)[0][1].endswith(f"; {HINT}")


def test_a_message_that_cannot_be_had(caplog: pytest.LogCaptureFixture) -> None:
    """An error whose `__str__` raises, or with a % in its message, is logged all the same."""

    class Unreadable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    log(Exhausted("a", 1, 0, 0.0, Unreadable(), 2), repeats_unasked=False)
    log(Switched("50%s", 1, 0, 0.0, "b", ValueError("100 %d"), 0.0, None), repeats_unasked=False)
    messages = [message for _, message in told(caplog)]
    assert "failed: Unreadable: (its message cannot be shown); no source" in messages[0]
    assert messages[1] == "50%s (attempt 1) failed: ValueError: 100 %d; switching to b"


def test_what_a_stream_logs(caplog: pytest.LogCaptureFixture) -> None:
    """One warning for each failure that is survived, and an error at the end."""
    with pytest.raises(ConnectionError):
        list(failover_stream([Source(gives(), name="a", attempts=2), gives()], retry_on=OSError))
    assert [level for level, _ in told(caplog)] == ["WARNING", "WARNING", "ERROR"]
    caplog.clear()
    list(failover_stream([GOOD], retry_on=OSError))
    assert told(caplog) == []


BREAKS = gives(1)
HINTED: list[tuple[list[Any], dict[str, Any], int]] = [
    ([BREAKS, BREAKS, BREAKS, GOOD], {}, 1),
    ([gives(), BREAKS, GOOD], {}, 1),
    ([BREAKS], {"attempts": 3}, 1),
    ([gives(), gives(), GOOD], {}, 0),
    ([gives(1, 2)], {"attempts": 3, "commit_when": 3}, 0),
    ([BREAKS], {}, 0),
    ([BREAKS, BREAKS, GOOD], {"mid_stream": "restart"}, 0),
    ([BREAKS, BREAKS, GOOD], {"mid_stream": "skip"}, 0),
    ([BREAKS, GOOD], {"mid_stream": "raise"}, 0),
    ([BREAKS, Source(GOOD, mid_stream="restart")], {}, 0),
    ([BREAKS, Source(lambda progress: [1], mid_stream=Decide(lambda progress: "restart"))], {}, 0),
]


@pytest.mark.parametrize(("factories", "options", "times"), HINTED)
def test_the_hint_comes_once_and_only_unasked(
    factories: list[Any], options: dict[str, Any], times: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The hint comes once in a stream, at the first takeover that repeats items unasked."""
    stream = failover_stream(factories, retry_on=OSError, **options)
    with suppress(ConnectionError):
        list(stream)
    hinted = [message for _, message in told(caplog) if HINT in message]
    assert len(hinted) == times
    first = [message for _, message in told(caplog) if "failed" in message]
    assert not hinted or hinted[0] in first[:2]


def test_each_stream_has_a_hint_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Two streams of one policy each say it once."""
    policy = Policy(retry_on=OSError)
    for _ in range(2):
        list(policy.stream([BREAKS, BREAKS, GOOD]))
    assert sum(HINT in message for _, message in told(caplog)) == 2


def test_nothing_is_made_for_a_level_that_is_off(caplog: pytest.LogCaptureFixture) -> None:
    """Where the logger does not want a level, not even the text of the error is asked for."""

    class Shown(ConnectionError):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with caplog.at_level(logging.CRITICAL, "failover_iter"):
        log(Switched("a", 1, 0, 0.0, "b", Shown(), 0.0, None), repeats_unasked=False)
        log(Exhausted("a", 1, 0, 0.0, Shown(), 1), repeats_unasked=False)
    assert told(caplog) == []
