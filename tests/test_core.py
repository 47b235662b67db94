"""The core as a table: what it is told, and what it answers, without any driver or I/O."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from failover_iter import Decide, Exhausted, Failed, Source, Switched, Waiting
from failover_iter._core.run import Run
from failover_iter._core.sources import read_factories
from failover_iter._options import Options
from support.play import Play, named, run_of

A, B, C = (named(name) for name in "abc")


def is_three(item: str) -> bool:
    return item == "3"


def at_two(mode: Any) -> Any:
    return Decide(lambda progress: mode if progress.delivered == 2 else "restart")


#: sources, options, what the openings give | what the core answers, what is delivered in all
TABLE: dict[str, tuple[Any, dict[str, Any], str, str, str]] = {
    "end": ([A, B], {}, "12.", "open a, return value", "12"),
    "empty": ([A, B], {}, ".", "open a, return value", ""),
    "switch at once": ([A, B], {}, "x 1.", "open a, open b, return value", "1"),
    "restart": ([A, B], {}, "12x 123.", "open a, open b, return value", "12123"),
    "raise": ([A, B], {"mid_stream": "raise"}, "1x", "open a, raise ConnectionError", "1"),
    "raise counts only what was delivered": (
        [A, B],
        {"mid_stream": "raise"},
        "x 1x",
        "open a, open b, raise ConnectionError",
        "1",
    ),
    "skip": (
        [A, B],
        {"mid_stream": "skip"},
        "12x 123.",
        "open a, open b skip 2, return value",
        "123",
    ),
    "resume": (
        [A, B],
        {"mid_stream": "resume"},
        "12x 123.",
        "open a from 0, open b from 2, return value",
        "123",
    ),
    "decide to resume": (
        [A, B],
        {"mid_stream": at_two("resume")},
        "12x 123.",
        "open a from 0, open b from 2, return value",
        "123",
    ),
    "decide to restart": (
        [A, B],
        {"mid_stream": at_two("raise")},
        "1x 12.",
        "open a from 0, open b from 0, return value",
        "112",
    ),
    "decide to raise": (
        [A, B],
        {"mid_stream": at_two("raise")},
        "12x",
        "open a from 0, raise ConnectionError",
        "12",
    ),
    "not listed": ([A, B], {}, "1!", "open a, raise LookupError", "1"),
    "always a failure": ([A, B], {"retry_on": KeyError}, "s .", "open a, open b, return value", ""),
    "predicate": (
        [A, B],
        {"retry_on": lambda error: isinstance(error, LookupError)},
        "! x",
        "open a, open b, raise ConnectionError",
        "",
    ),
    "each leaf": ([A, B], {}, "g 1.", "open a, open b, return value", "1"),
    "not each leaf": ([A, B], {}, "m", "open a, raise ExceptionGroup", ""),
    "the group itself": (
        [A, B],
        {"retry_on": ExceptionGroup},
        "m 1.",
        "open a, open b, return value",
        "1",
    ),
    "wrong use": ([A, B], {"retry_on": Exception}, "w", "open a, raise ConnectionError", ""),
    "wrong use in a group": (
        [A, B],
        {"retry_on": lambda error: True},
        "v",
        "open a, raise ExceptionGroup",
        "",
    ),
    "exhausted": ([A, B], {}, "x 1x", "open a, open b, raise ConnectionError", "1"),
    "exhausted, as a group": (
        [A, B],
        {"on_exhausted": "group"},
        "x x",
        "open a, open b, raise AllSourcesFailed",
        "",
    ),
    "attempts": (
        [A, B],
        {"attempts": 2, "wait": 1.5},
        "x x x 1.",
        "open a, sleep 1.5, open a, open b, sleep 1.5, open b, return value",
        "1",
    ),
    "attempts of a source": (
        [Source(A, attempts=2), B],
        {},
        "x x x",
        "open a, sleep 0, open a, open b, raise ConnectionError",
        "",
    ),
    "a new count after progress": (
        [A],
        {"attempts": 2, "mid_stream": "skip", "reset_on_progress": True},
        "x 1x 1x 12x 12.",
        "open a, sleep 0, open a, sleep 0, open a skip 1, sleep 0, open a skip 1, sleep 0, "
        "open a skip 2, return value",
        "12",
    ),
    "no new count without progress": (
        [A],
        {"attempts": 2, "mid_stream": "skip", "reset_on_progress": True},
        "1x 1x 1x",
        "open a, sleep 0, open a skip 1, sleep 0, open a skip 1, raise ConnectionError",
        "1",
    ),
    "no bound": (
        [A],
        {"attempts": None, "wait": lambda failed: failed.consecutive},
        "x x 1x x 1.",
        "open a, sleep 1, open a, sleep 2, open a, sleep 1, open a, sleep 2, open a, return value",
        "11",
    ),
    "a pause before what was opened before": (
        cycle([A, B]),
        {"wait": 3},
        "x x x 1.",
        "open a, open b, sleep 3, open a, sleep 3, open b, return value",
        "1",
    ),
    "passed over midway": (
        [A, Source(B, mid_stream="raise"), C],
        {"mid_stream": "skip"},
        "1x 12.",
        "open a, open c skip 1, return value",
        "12",
    ),
    "not passed over at the start": (
        [A, Source(B, mid_stream="raise"), C],
        {"mid_stream": "skip"},
        "x 1x 12.",
        "open a, open b, open c skip 1, return value",
        "12",
    ),
    "all that is left is passed over": (
        [A, Source(B, mid_stream="raise"), Source(C, mid_stream="raise")],
        {},
        "1x",
        "open a, raise ConnectionError",
        "1",
    ),
    "an endless cycle of what cannot take over": (
        cycle([Source(B, mid_stream="raise")]),
        {},
        "1x",
        "open b, raise ConnectionError",
        "1",
    ),
    "cut": (
        [A, B],
        {"mid_stream": "skip", "complete_when": is_three},
        "12. 123.",
        "open a, open b skip 2, return value",
        "123",
    ),
    "complete after an attempt with nothing left": (
        [A, B],
        {"mid_stream": "skip", "complete_when": is_three},
        "123x 123.",
        "open a, open b skip 3, return value",
        "123",
    ),
    "nothing to judge": (
        [A],
        {"complete_when": is_three},
        ".",
        "open a, raise TruncatedStream",
        "",
    ),
    "cut after a restart that gave nothing": (
        [A, B],
        {"complete_when": is_three},
        "3x .",
        "open a, open b, raise TruncatedStream",
        "3",
    ),
}


@pytest.mark.parametrize("row", TABLE)
def test_what_it_answers(row: str) -> None:
    """Each row of the table is answered as it stands there, and no factory is ever called."""
    factories, options, openings, commands, delivered = TABLE[row]
    play = Play(run_of(factories, **options), openings).start()
    assert play.commands == commands.split(", ")
    assert play.delivered == delivered


def test_each_source_that_is_passed_over_is_another_one() -> None:
    """Sources that are made one by one are never taken for a cycle: the last of them is reached."""

    def factories() -> Iterator[Any]:
        yield A
        for name in ("b",) * 5:
            yield Source(named(name), mid_stream="raise")
        yield C

    play = Play(run_of(factories(), mid_stream="skip"), "1x 12.").start()
    assert play.commands == ["open a", "open c skip 1", "return value"]


def events_of(factories: Any, openings: str, **options: Any) -> list[Any]:
    """What the listener is told."""
    events: list[Any] = []
    Play(run_of(factories, on_event=events.append, **options), openings).start()
    return events


@pytest.mark.parametrize(
    ("openings", "told"),
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
def test_the_grammar_of_the_events(openings: str, told: str) -> None:
    """The events of a stream, each with source, attempt and the items delivered so far."""
    events = events_of([A, B], openings, attempts=2, mid_stream="skip")
    shown = [f"{type(e).__name__} {e.source}{e.attempt}/{e.delivered}" for e in events]
    assert shown == told.split(", ")


def test_the_figures_of_the_events() -> None:
    """Failures are counted in all and in a row; pauses, modes and the elapsed time are told."""
    events = events_of([A, B], "1x x 12x x", attempts=2, wait=2, mid_stream="skip")
    failed = [(e.failures, e.consecutive, e.elapsed) for e in events if isinstance(e, Failed)]
    assert failed == [(1, 1, 0.0), (2, 2, 2.0), (3, 1, 2.0), (4, 2, 4.0)]
    paused = [(type(e), e.seconds, e.mode) for e in events if isinstance(e, Waiting | Switched)]
    assert paused == [(Waiting, 2.0, "skip"), (Switched, 0.0, "skip"), (Waiting, 2.0, "skip")]
    assert events[-1] == Exhausted("b", 2, 2, 4.0, events[-1].error, 4)


def test_the_log_is_told_apart_from_the_listener() -> None:
    """The report gets what is survived or final, with the hint at the first unasked repetition."""
    told: list[tuple[str, bool]] = []
    options = Options(retry_on=OSError, attempts=2)
    run = Run(
        options,
        read_factories([A, B], "sync", options),
        flavour="sync",
        mark_takeovers=False,
        seed=None,
        report=lambda event, repeats: told.append((type(event).__name__, repeats)),
    )
    Play(run, "x 1x 1x x").start()
    waited, exhausted = ("Waiting", False), ("Exhausted", False)
    assert told == [waited, ("Switched", True), waited, exhausted]
