"""Measures in one process: many short rounds, in turn with the naive loop, and their median."""

from __future__ import annotations

import gc
import logging
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .cases import OPENING, PER_ITEM, SWITCH, SWITCHES
from .memory import (
    ASYNC_STREAMS,
    FAILING,
    FEW_FAILURES,
    MANY_FAILURES,
    SYNC_STREAMS,
    bytes_each,
    fail,
)
from .streams import quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cases import Case

#: Minimum number of rounds of a case, however slow it is.
ROUNDS = 11
#: Streams opened per round: enough to be timed, but few enough for stable conditions.
OPENINGS = 20
MICROSECONDS = 1e6


def times(seconds: float) -> dict[str, dict[str, list[float]]]:
    """Measure every case for the given number of seconds.

    Returns the median and the best round of each case. The time per item is a ratio. Opening and
    switching are in microseconds, followed by the microseconds of the naive loop.
    """
    quiet_logger()
    gc.collect()
    gc.disable()  # as timeit does, because a collection would distort a single round
    try:
        return {
            "per item": {name: _per_item(case, seconds) for name, case in PER_ITEM.items()},
            "opening": {name: _opening(case, seconds) for name, case in OPENING.items()},
            "switch": {name: _switch(case, seconds) for name, case in SWITCH.items()},
            "switch, logger off": _logger_off(seconds),
        }
    finally:
        gc.enable()


def _logger_off(seconds: float) -> dict[str, list[float]]:
    logger = quiet_logger()
    logger.setLevel(logging.CRITICAL)
    try:
        return {name: _switch(case, seconds) for name, case in SWITCH.items()}
    finally:
        logger.setLevel(logging.NOTSET)


def _per_item(case: Case, seconds: float) -> list[float]:
    def timed(make: Callable[[], Any]) -> float:
        stream = case.started(make)
        start = perf_counter()
        case.drain(stream)
        return perf_counter() - start

    pairs = in_turn(lambda: timed(case.naive), lambda: timed(case.ours), seconds)
    naive, ours = zip(*pairs, strict=True)
    return [median(each / other for other, each in pairs), min(ours) / min(naive)]


def _opening(case: Case, seconds: float) -> list[float]:
    return _microseconds(case, seconds, calls=OPENINGS, per=OPENINGS)


def _switch(case: Case, seconds: float) -> list[float]:
    return _microseconds(case, seconds, calls=1, per=SWITCHES)


def _microseconds(case: Case, seconds: float, *, calls: int, per: int) -> list[float]:
    def timed(function: Callable[[], Any]) -> float:
        start = perf_counter()
        for _ in range(calls):
            function()
        return (perf_counter() - start) / per * MICROSECONDS

    pairs = in_turn(lambda: timed(case.naive), lambda: timed(case.ours), seconds)
    naive, ours = zip(*pairs, strict=True)
    # The cost of opening is the time beyond the bare source; of a switch, beyond the naive loop.
    return [median(ours) - median(naive), min(ours) - min(naive), median(naive)]


def in_turn(
    naive: Callable[[], float], ours: Callable[[], float], seconds: float
) -> list[tuple[float, float]]:
    """Call both in turn for `seconds`, at least `ROUNDS` times each. Returns the results."""
    naive(), ours()  # warm up caches and specialised bytecode
    pairs: list[tuple[float, float]] = []
    end = perf_counter() + seconds
    while len(pairs) < ROUNDS or perf_counter() < end:
        pairs.append((naive(), ours()))
        gc.collect(0)
    return pairs


def memory() -> dict[str, dict[str, Any]]:
    """Measure memory. The figures are the same in every process, so one run is enough."""
    quiet_logger()
    return {
        "streams": {
            **_beyond_bare(SYNC_STREAMS, is_async=False),
            **_beyond_bare(ASYNC_STREAMS, is_async=True),
        },
        "failures": {
            kind: [fail(kind, number) for number in (FEW_FAILURES, MANY_FAILURES)]
            for kind in FAILING
        },
    }


def _beyond_bare(streams: dict[str, Callable[[], Any]], *, is_async: bool) -> dict[str, float]:
    each = {kind: bytes_each(make, is_async=is_async) for kind, make in streams.items()}
    bare = each.pop("bare")
    return {kind: size - bare for kind, size in each.items()}
