"""The cost of opening a stream: from the call to its first item, and to its end.

The sources yield a single item. Each figure is in addition to the bare generator.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

from failover_iter import Policy, afailover_stream, failover, failover_stream

from .measure import MICROSECONDS, OPENINGS, ROUNDS, fastest
from .streams import (
    POLICY,
    async_drain,
    async_no_item,
    async_one_item,
    drain,
    no_item,
    one_item,
    quiet_logger,
    run,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

#: The phases of a stream, in this order.
PHASES = ("created", "first item", "rest")
#: The goal for the time from the call to the first item, in microseconds.
GOAL = 10.0


@dataclass(frozen=True)
class Opening:
    """A function that returns a stream of one item."""

    make: Callable[[], Any]
    is_async: bool = False

    @property
    def bare(self) -> Callable[[], Any]:
        """The generator function that the stream is compared with."""
        return async_one_item if self.is_async else one_item


@failover(retry_on=OSError)
def _decorated() -> Iterator[int]:
    yield 1


@failover(retry_on=OSError)
async def _async_decorated() -> AsyncIterator[int]:
    yield 1


_THREE = [one_item, no_item, one_item]
_ASYNC_THREE = [async_one_item, async_no_item, async_one_item]

STREAMS: dict[str, Opening] = {
    "failover_stream": Opening(lambda: failover_stream([one_item], retry_on=OSError)),
    "failover_stream, three sources": Opening(lambda: failover_stream(_THREE, retry_on=OSError)),
    "failover_stream, mid_stream=skip, attempts=3": Opening(
        lambda: failover_stream([one_item], retry_on=OSError, mid_stream="skip", attempts=3)
    ),
    "Policy.stream": Opening(lambda: POLICY.stream([one_item])),
    "@failover": Opening(lambda: _decorated()),
    "afailover_stream": Opening(
        lambda: afailover_stream([async_one_item], retry_on=OSError), is_async=True
    ),
    "afailover_stream, three sources": Opening(
        lambda: afailover_stream(_ASYNC_THREE, retry_on=OSError), is_async=True
    ),
    "Policy.astream": Opening(lambda: POLICY.astream([async_one_item]), is_async=True),
    "@failover, async": Opening(lambda: _async_decorated(), is_async=True),
}

POLICIES: dict[str, Callable[[], Any]] = {
    "Policy(retry_on=...)": lambda: Policy(retry_on=OSError),
    "Policy, eight options": lambda: Policy(
        retry_on=OSError,
        mid_stream="skip",
        attempts=3,
        wait=0.5,
        commit_when=2,
        allow_empty=False,
        idle_timeout=5,
        on_exhausted="group",
    ),
}


def everything(seconds: float) -> dict[str, Any]:
    """Measure everything in this module: microseconds per stream in each phase, and per policy."""
    quiet_logger()
    gc.collect()
    gc.disable()
    try:
        return {
            "streams": {name: _beyond_bare(each, seconds) for name, each in STREAMS.items()},
            "policies": {name: _policy(make, seconds) for name, make in POLICIES.items()},
        }
    finally:
        gc.enable()


def _beyond_bare(opening: Opening, seconds: float) -> dict[str, float]:
    ours: list[list[float]] = []
    bare: list[list[float]] = []
    for _ in range(3):
        _phases(opening.make, is_async=opening.is_async)  # warm up
    end = perf_counter() + seconds
    while len(ours) < ROUNDS or perf_counter() < end:
        ours.append(_phases(opening.make, is_async=opening.is_async))
        bare.append(_phases(opening.bare, is_async=opening.is_async))
        gc.collect(0)
    return {
        phase: fastest([each[at] for each in ours]) - fastest([each[at] for each in bare])
        for at, phase in enumerate(PHASES)
    }


def _phases(make: Callable[[], Any], *, is_async: bool) -> list[float]:
    """Microseconds per stream to create it, to pull its first item, and to consume the rest."""
    marks = [perf_counter()]
    opened = [make() for _ in range(OPENINGS)]
    marks.append(perf_counter())
    for stream in opened:
        run(anext(stream)) if is_async else next(stream)
    marks.append(perf_counter())
    for stream in opened:
        run(async_drain(stream)) if is_async else drain(stream)
    marks.append(perf_counter())
    return [(after - before) / OPENINGS * MICROSECONDS for before, after in pairwise(marks)]


def _policy(make: Callable[[], Any], seconds: float) -> float:
    times = []
    end = perf_counter() + seconds / 2
    while len(times) < ROUNDS or perf_counter() < end:
        start = perf_counter()
        for _ in range(OPENINGS):
            make()
        times.append((perf_counter() - start) / OPENINGS * MICROSECONDS)
    return fastest(times)
