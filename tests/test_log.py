"""The logger `failover_iter`: what it says to an operator about a stream, and how often."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from failover_iter import (
    Decide,
    Policy,
    Progress,
    Resume,
    Source,
    TruncatedStream,
    failover_stream,
)
from failover_iter._drivers import log
from support.play import named, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HINT = "items are delivered again; set mid_stream"
LOST = ConnectionError("lost")


def yields(*items: int, error: Exception | None = LOST) -> Callable[[], Iterator[int]]:
    def factory() -> Iterator[int]:
        yield from items
        if error is not None:
            raise error

    return factory


GOOD_ONCE = yields(1)
GOOD = yields(1, 2, 3, error=None)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    assert {record.name for record in caplog.records} <= {"failover_iter"}
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def level_of(name: str, attempt: int = 1, failures: int = 0) -> Any:
    """A level of the stream, with the fields that the log reads."""
    return SimpleNamespace(
        source=SimpleNamespace(name=name),
        attempt=attempt,
        within="",
        failures=SimpleNamespace(count=failures),
    )


def test_a_source_that_is_reopened(caplog: pytest.LogCaptureFixture) -> None:
    """A watch that ends every five minutes deserves no warning."""
    caplog.set_level(logging.INFO, "failover_iter")
    log.reopened(level_of("watch", 2), "reopening in 1 s")
    assert logged(caplog) == [("INFO", "watch (attempt 2) ended; reopening in 1 s")]
    caplog.clear()
    watch = failover_stream(
        [yields(1, error=None)],
        retry_on=OSError,
        attempts=2,
        mid_stream="skip",
        complete_when=lambda item: item == 2,
    )
    with pytest.raises(TruncatedStream):
        list(watch)
    assert [level for level, _ in logged(caplog)] == ["INFO", "ERROR"]


@pytest.mark.parametrize(
    ("options", "listed"),
    [({}, "retry_on"), ({"switch_on": TimeoutError}, "switch_on or retry_on")],
)
def test_what_passes_for_want_of_a_match(
    options: dict[str, Any], listed: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At level DEBUG the log says which option does not list the error; no other level does."""
    caplog.set_level(logging.DEBUG, "failover_iter")
    broken = Source(yields(1, error=KeyError("k")), name="a")
    with pytest.raises(KeyError):
        list(failover_stream([broken, GOOD], retry_on=OSError, **options))
    said = f"a (attempt 1) failed: KeyError: 'k'; KeyError is not in {listed}"
    assert logged(caplog) == [("DEBUG", said)]


def test_levels_and_words(caplog: pytest.LogCaptureFixture) -> None:
    """A failure that the stream survives is a warning; an exhausted stream is an error."""
    log.survived(level_of("a", 2), LOST, "switching to b", hint=False)
    log.survived(level_of("a"), LOST, "retrying immediately", hint=True)
    log.exhausted(level_of("b", failures=3), KeyError())
    assert logged(caplog) == [
        ("WARNING", "a (attempt 2) failed: ConnectionError: lost; switching to b"),
        (
            "WARNING",
            f"a (attempt 1) failed: ConnectionError: lost; retrying immediately; {HINT}",
        ),
        ("ERROR", "b (attempt 1) failed: KeyError; no source is left after 3 failures"),
    ]
    assert [record.exc_info for record in caplog.records] == [None] * 3


@pytest.mark.parametrize("seconds", [0.001, 0.25, 30.0, 999.9, 3600.0, 86400.0, 1e6, 0.0, 0.0004])
def test_pauses_are_readable_numbers(seconds: float) -> None:
    """A pause is logged without an exponent, and right to one part in a hundred."""
    play = started([named("a")], attempts=2, wait=seconds)
    play.fail()
    if seconds < 0.001:
        assert play.log == ["a retrying immediately"]
        return
    found = re.fullmatch(r"a retrying in ([0-9.]+) s", play.log[0])
    assert found is not None
    assert float(found[1]) == pytest.approx(seconds, rel=0.01)


def test_a_message_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    """An error whose `__str__` raises, or with a % in its message, is logged all the same."""

    class Unreadable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    log.exhausted(level_of("a", failures=2), Unreadable())
    log.survived(level_of("50%s"), ValueError("100 %d"), "switching to b", hint=False)
    messages = [message for _, message in logged(caplog)]
    assert "failed: Unreadable: (its message cannot be shown); no source" in messages[0]
    assert messages[1] == "50%s (attempt 1) failed: ValueError: 100 %d; switching to b"


def test_an_abandoned_source(caplog: pytest.LogCaptureFixture) -> None:
    """Its late error is a warning with the traceback: it is raised to nobody."""
    log.log_abandoned("a", LOST, "after it was abandoned")
    message = "a raised ConnectionError: lost after it was abandoned"
    assert logged(caplog) == [("WARNING", message)]
    assert caplog.records[0].exc_info is not None


def test_sources_of_groups_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    """Each list numbers its own sources, so a line says which group they are in."""
    policy = Policy(retry_on=OSError)
    inner = replace(policy.source([yields()]), name="inner")
    one, two = (replace(policy.source([each]), name="eu") for each in (yields(), inner))
    with pytest.raises(ConnectionError):
        list(policy.stream([yields(), one, two]))
    attempts = [message.partition(" failed")[0] for _, message in logged(caplog)]
    assert attempts == [
        "factory (attempt 1)",
        "factory (attempt 1, in eu)",
        "eu (attempt 1)",
        "factory (attempt 1, in inner, in eu#2)",
        "inner (attempt 1, in eu#2)",
        "eu#2 (attempt 1)",
    ]


def test_what_a_stream_logs(caplog: pytest.LogCaptureFixture) -> None:
    """A stream logs a warning for each failure that it survives, and an error at its end."""
    with pytest.raises(ConnectionError):
        list(failover_stream([Source(yields(), name="a", attempts=2), yields()], retry_on=OSError))
    assert [level for level, _ in logged(caplog)] == ["WARNING", "WARNING", "ERROR"]
    caplog.clear()
    list(failover_stream([GOOD], retry_on=OSError))
    assert logged(caplog) == []


BREAKS = yields(1)
HINTED: list[tuple[list[Any], dict[str, Any], int]] = [
    ([BREAKS, BREAKS, BREAKS, GOOD], {}, 1),
    ([yields(), BREAKS, GOOD], {}, 1),
    ([BREAKS], {"attempts": 3}, 1),
    ([yields(), yields(), GOOD], {}, 0),
    ([yields(1, 2)], {"attempts": 3, "commit_when": 3}, 0),
    ([BREAKS], {}, 0),
    ([BREAKS, BREAKS, GOOD], {"mid_stream": "restart"}, 0),
    ([BREAKS, BREAKS, GOOD], {"mid_stream": "skip"}, 0),
    ([BREAKS, GOOD], {"mid_stream": "raise"}, 0),
    ([BREAKS, GOOD], {"mark_takeovers": True}, 0),
    ([BREAKS, Source(GOOD, mid_stream="restart")], {}, 0),
    ([BREAKS, Source(lambda progress: [1], mid_stream=Decide(lambda progress: "restart"))], {}, 0),
]


@pytest.mark.parametrize(("factories", "options", "times"), HINTED)
def test_the_hint_comes_once_and_only_unasked(
    factories: list[Any], options: dict[str, Any], times: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The hint is logged once in a stream, at the first takeover that repeats items unasked."""
    stream = failover_stream(factories, retry_on=OSError, **options)
    with suppress(ConnectionError):
        list(stream)
    hinted = [message for _, message in logged(caplog) if HINT in message]
    assert len(hinted) == times
    first = [message for _, message in logged(caplog) if "failed" in message]
    assert not hinted or hinted[0] in first[:2]


def test_each_stream_has_its_hint(caplog: pytest.LogCaptureFixture) -> None:
    """Two streams of one policy log it once each."""
    policy = Policy(retry_on=OSError)
    for _ in range(2):
        list(policy.stream([BREAKS, BREAKS, GOOD]))
    assert sum(HINT in message for _, message in logged(caplog)) == 2


def test_a_disabled_level_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """If the logger is off for a level, not even the text of the error is read."""

    class Shown(ConnectionError):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with caplog.at_level(logging.CRITICAL, "failover_iter"):
        log.survived(level_of("a"), Shown(), "switching to b", hint=False)
        log.exhausted(level_of("a"), Shown())
        log.passes(level_of("a"), Shown())
        log.reopened(level_of("a"), "reopening immediately")
    assert logged(caplog) == []


def count(cursor: int, _: object) -> int:
    return cursor + 1


def test_a_source_that_starts_over_beside_one_with_a_cursor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would glue two sequences: a warning says so, once, instead of the usual advice."""

    def reads(progress: Progress[int]) -> Iterator[int]:
        yield 1
        raise LOST

    with_cursor = Source(reads, mid_stream=Resume(start=0, advance=count))
    again = yields(7)
    with suppress(ConnectionError):
        list(failover_stream([with_cursor, again, again], retry_on=OSError))
    lines = [line for _, line in logged(caplog)]
    warning = (
        "factory has no mid_stream, but another source has a cursor: it starts over, so its items "
        "do not continue those that were delivered; set Source(mid_stream=...)"
    )
    assert lines.count(warning) == 1
    assert HINT not in caplog.text
    caplog.clear()
    for beside in (Source(again, mid_stream="restart"), Source(again, mid_stream="skip")):
        with suppress(ConnectionError):
            list(failover_stream([with_cursor, beside], retry_on=OSError))
    with suppress(ConnectionError):
        list(failover_stream([with_cursor, again], retry_on=OSError, mid_stream="skip"))
    group = Policy(retry_on=OSError, mid_stream=with_cursor.mid_stream).source([reads])
    with suppress(ConnectionError):
        list(failover_stream([GOOD_ONCE, group], retry_on=OSError))
    assert "beside a source" not in caplog.text
