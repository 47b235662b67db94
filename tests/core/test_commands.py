"""The decisions of the core, without a driver and without I/O: inputs and commands."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest

from failover_iter import Decide, Source
from support.play import A, B, C, Play


def is_three(item: str) -> bool:
    return item == "3"


def at_two(mode: Any) -> Any:
    return Decide(lambda progress: mode if progress.delivered == 2 else "restart")


AB = [A, B]
RAISE, SKIP, RESUME = ({"mid_stream": mode} for mode in ("raise", "skip", "resume"))
RESETS = {"attempts": 2, "mid_stream": "skip", "reset_on_progress": True}

#: sources, options, "what each opening does | what the core answers | what is delivered"
TABLE: dict[str, tuple[Any, dict[str, Any], str]] = {
    "end": (AB, {}, "12. | open a, return value | 12"),
    "empty": (AB, {}, ". | open a, return value |"),
    "switch at once": (AB, {}, "x 1. | open a, open b, return value | 1"),
    "restart": (AB, {}, "12x 123. | open a, open b, return value | 12123"),
    "raise": (AB, RAISE, "1x | open a, raise ConnectionError | 1"),
    "raise counts only delivered items": (
        AB,
        RAISE,
        "x 1x | open a, open b, raise ConnectionError | 1",
    ),
    "skip": (AB, SKIP, "12x 123. | open a, open b skip 2, return value | 123"),
    "resume": (AB, RESUME, "12x 123. | open a from 0, open b from 2, return value | 123"),
    "decide to resume": (
        AB,
        {"mid_stream": at_two("resume")},
        "12x 123. | open a from 0, open b from 2, return value | 123",
    ),
    "decide to restart": (
        AB,
        {"mid_stream": at_two("raise")},
        "1x 12. | open a from 0, open b from 0, return value | 112",
    ),
    "decide to raise": (
        AB,
        {"mid_stream": at_two("raise")},
        "12x | open a from 0, raise ConnectionError | 12",
    ),
    "not listed": (AB, {}, "1! | open a, raise LookupError | 1"),
    "always a failure": (AB, {"retry_on": KeyError}, "s . | open a, open b, return value |"),
    "predicate": (
        AB,
        {"retry_on": lambda error: isinstance(error, LookupError)},
        "! x | open a, open b, raise ConnectionError |",
    ),
    "each leaf": (AB, {}, "g 1. | open a, open b, return value | 1"),
    "not each leaf": (AB, {}, "m | open a, raise ExceptionGroup |"),
    "the group itself": (
        AB,
        {"retry_on": ExceptionGroup},
        "m 1. | open a, open b, return value | 1",
    ),
    "wrong use": (AB, {"retry_on": Exception}, "w | open a, raise ConnectionError |"),
    "wrong use in a group": (
        AB,
        {"retry_on": lambda error: True},
        "v | open a, raise ExceptionGroup |",
    ),
    "exhausted": (AB, {}, "x 1x | open a, open b, raise ConnectionError | 1"),
    "exhausted, as a group": (
        AB,
        {"on_exhausted": "group"},
        "x x | open a, open b, raise AllSourcesFailed |",
    ),
    "attempts": (
        AB,
        {"attempts": 2, "wait": 1.5},
        "x x x 1. | open a, sleep 1.5, open a, open b, sleep 1.5, open b, return value | 1",
    ),
    "attempts of a source": (
        [Source(A, attempts=2), B],
        {},
        "x x x | open a, sleep 0, open a, open b, raise ConnectionError |",
    ),
    "a new count after progress": (
        [A],
        RESETS,
        "x 1x 1x 12x 12. | open a, sleep 0, open a, sleep 0, open a skip 1, sleep 0, "
        "open a skip 1, sleep 0, open a skip 2, return value | 12",
    ),
    "no new count without progress": (
        [A],
        RESETS,
        "1x 1x 1x | open a, sleep 0, open a skip 1, sleep 0, open a skip 1, "
        "raise ConnectionError | 1",
    ),
    "no bound": (
        [A],
        {"attempts": None, "wait": lambda failed: failed.consecutive},
        "x x 1x x 1. | open a, sleep 1, open a, sleep 2, open a, sleep 1, open a, sleep 2, "
        "open a, return value | 11",
    ),
    "a pause before a source that was opened before": (
        cycle([A, B]),
        {"wait": 3},
        "x x x 1. | open a, open b, sleep 3, open a, sleep 3, open b, return value | 1",
    ),
    "passed over mid-stream": (
        [A, Source(B, mid_stream="raise"), C],
        SKIP,
        "1x 12. | open a, open c skip 1, return value | 12",
    ),
    "not passed over at the start": (
        [A, Source(B, mid_stream="raise"), C],
        SKIP,
        "x 1x 12. | open a, open b, open c skip 1, return value | 12",
    ),
    "all other sources are passed over": (
        [A, Source(B, mid_stream="raise"), Source(C, mid_stream="raise")],
        {},
        "1x | open a, raise ConnectionError | 1",
    ),
    "an endless cycle of sources that cannot take over": (
        cycle([Source(B, mid_stream="raise")]),
        {},
        "1x | open b, raise ConnectionError | 1",
    ),
    "cut": (
        AB,
        {"mid_stream": "skip", "complete_when": is_three},
        "12. 123. | open a, open b skip 2, return value | 123",
    ),
    "complete after an attempt with nothing left": (
        AB,
        {"mid_stream": "skip", "complete_when": is_three},
        "123x 123. | open a, open b skip 3, return value | 123",
    ),
    "no item to check": ([A], {"complete_when": is_three}, ". | open a, raise TruncatedStream |"),
    "cut after a restart without an item": (
        AB,
        {"complete_when": is_three},
        "3x . | open a, open b, raise TruncatedStream | 3",
    ),
    "an empty source is a failure": (
        AB,
        {"allow_empty": False},
        ". 1. | open a, open b, return value | 1",
    ),
    "too short a replay": (
        [A, B, C],
        SKIP,
        "12x 1. 123. | open a, open b skip 2, open c skip 2, return value | 123",
    ),
}


@pytest.mark.parametrize("row", TABLE)
def test_commands(row: str) -> None:
    """The core answers as each row of the table says, and calls no factory."""
    factories, options, text = TABLE[row]
    openings, commands, delivered = text.split("|")
    play = Play(factories, **options)
    assert play.through(openings) == commands.strip().split(", ")
    assert "".join(play.delivered) == delivered.strip()
