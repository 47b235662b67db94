"""Measures in one process: many short rounds, each case in turn, and the fastest fifth of them."""

from __future__ import annotations

import gc
import logging
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .streams import drain, drain_async, quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Minimum number of rounds of a case, however slow it is.
ROUNDS = 11
#: Streams opened per round: enough to be timed, but few enough for stable conditions.
OPENINGS = 20
MICROSECONDS = 1e6


def fastest(times: Sequence[float]) -> float:
    """The median of the fastest fifth: other work on the machine only ever adds time."""
    return median(sorted(times)[: max(3, len(times) // 5)])


def rounds(timers: Mapping[str, Callable[[], float]], seconds: float) -> dict[str, list[float]]:
    """Call all timers in turn for `seconds`, at least `ROUNDS` times each. Returns the results."""
    for timer in timers.values():
        timer()  # warm up caches and specialised bytecode
    results: dict[str, list[float]] = {name: [] for name in timers}
    done, end = 0, perf_counter() + seconds
    while done < ROUNDS or perf_counter() < end:
        for name, timer in timers.items():
            results[name].append(timer())
        gc.collect(0)
        done += 1
    return results


def seconds_to_drain(stream: Any, *, is_async: bool = False) -> float:
    """The seconds that it takes to consume the rest of a stream."""
    consume = drain_async if is_async else drain
    start = perf_counter()
    consume(stream)
    return perf_counter() - start


def with_logger_off(timer: Callable[[], float]) -> Callable[[], float]:
    """Return the same timer, with the library's logger disabled."""

    def timed() -> float:
        logger = quiet_logger()
        logger.setLevel(logging.CRITICAL)
        try:
            return timer()
        finally:
            logger.setLevel(logging.NOTSET)

    return timed
