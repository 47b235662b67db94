"""Random races: what the sources and the consumer do, and the options, drawn from a seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from random import Random
from typing import Any

import trio
import trio.testing

from failover_iter import Budget, Health


def _slow_health(clock: Callable[[], float]) -> Health:
    """A health that takes a while to answer."""
    return SlowHealth(failures=1, clock=clock)


#: Changes to the policy of the hedge, and to the outer stream.
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "attempts": ({"attempts": 2, "wait": 0.1}, {}),
    "commit_when": ({"commit_when": 2}, {}),
    "outer commit_when": ({}, {"commit_when": 3}),
    "allow_empty": ({"allow_empty": False}, {}),
    "complete_when": ({"complete_when": lambda item: item == LAST}, {"mid_stream": "skip"}),
    "skip": ({}, {"mid_stream": "skip"}),
    "resume": ({"mid_stream": "resume"}, {"mid_stream": "resume"}),
    "first_item_timeout": ({"first_item_timeout": 0.6}, {}),
    "idle_timeout": ({"idle_timeout": 0.7}, {"idle_timeout": 3}),
    "total_timeout": ({"total_timeout": 1.5}, {"mid_stream": "skip"}),
    "outer total_timeout": ({}, {"total_timeout": 1.5}),
    "switch_on": ({"switch_on": TimeoutError, "attempts": 2}, {"switch_on": KeyError}),
    "health": ({"health": Health}, {}),
    "a health that is slow": ({"health": _slow_health, "attempts": 2}, {}),
    "budget": ({"budget": Budget}, {}),
    "health and budget": (
        {"health": Health, "budget": partial(Budget, reserve=1, per_second=0), "attempts": 3},
        {"mid_stream": "skip"},
    ),
    "outer attempts": ({}, {"attempts": 2, "wait": 0.1, "mid_stream": "skip"}),
}
LAST = 3  # the last item of a source that comes to its end


class Delay:
    """A delay that is told no time before its source was opened."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def seconds(self) -> float:
        return self._seconds

    def won(self, seconds: float) -> None:
        assert seconds >= 0

    def lost(self, seconds: float) -> None:
        assert seconds >= 0


class SlowHealth(Health):
    """A health that takes a while to answer an async stream."""

    async def aadmit(self, key: str) -> Any:
        if trio.lowlevel.in_trio_task():
            await trio.sleep(0.2)
        else:
            await asyncio.sleep(0.2)
        return await super().aadmit(key)


@dataclass
class Script:
    """The behaviour of a source."""

    delay: float
    items: int
    pause: float
    fails_at: int | None
    error: type[Exception]
    closing: float
    close_raises: bool
    sets_context: bool
    swallows: bool
    #: Whether it returns an object around the generator, which is closed whatever it raised.
    is_object: bool


@dataclass
class Plan:
    """A race, and what the consumer does."""

    scripts: list[Script]
    after: float
    consumer: str
    pulls: int
    leaves_at: float
    in_group: bool
    has_last_resort: bool


def draw(seed: int) -> Plan:
    """A plan of this seed."""
    rng = Random(seed)

    def script() -> Script:
        usual = rng.choice([0, 0.1, 0.25, 0.5, 1, 2])
        return Script(
            delay=usual if rng.random() < 0.8 else rng.randrange(300) / 100,
            items=rng.choice([0, 2, 4, 4, 4]),
            pause=rng.choice([0, 0, 0.2]),
            fails_at=rng.choice([None, None, None, 0, 0, 1, 2]),
            error=rng.choice([ConnectionError, ConnectionError, TimeoutError, KeyError]),
            closing=rng.choice([0, 0, 0, 0.3]),
            close_raises=rng.random() < 0.1,
            sets_context=rng.random() < 0.4,
            swallows=rng.random() < 0.1,
            is_object=rng.random() < 0.3,
        )

    return Plan(
        scripts=[script() for _ in range(rng.randint(1, 4))],
        after=rng.choice([0, 0.1, 0.25, 0.3, 1, inf]),
        consumer=rng.choice(["drains", "drains", "drains", "breaks", "leaves", "throws"]),
        pulls=rng.randint(1, 3),
        leaves_at=rng.randrange(1, 250) / 100,
        in_group=rng.random() < 0.2,
        has_last_resort=rng.random() < 0.5,
    )
