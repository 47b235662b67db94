"""How the costs scale: nesting, ten million items, and ten thousand concurrent streams."""

from __future__ import annotations

import gc
import tracemalloc
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from . import streams
from .measure import fastest, rounds, seconds_to_drain
from .memory import ASYNC_STREAMS, MANY, SYNC_STREAMS
from .streams import POLICY, async_naive, drain, drain_async, naive, quiet_logger, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

DEEPEST = 6
ITEMS = 10_000_000


def everything(seconds: float) -> dict[str, Any]:
    """Run all measurements of this module."""
    return {"nesting": nesting(seconds), "at once": at_once(), "ten million": ten_million()}


def nesting(seconds: float) -> dict[str, dict[int, float]]:
    """The time per item by nesting depth, as a ratio to one naive loop."""
    quiet_logger()
    depths = range(1, DEEPEST + 1)
    return {
        "sync": {depth: _nested(depth, seconds) for depth in depths},
        "async": {depth: _async_nested(depth, seconds) for depth in depths},
        "naive loops, sync": {depth: _naive_nested(depth, seconds) for depth in depths},
    }


def _sources(factory: Callable[[], Any], depth: int) -> list[Any]:
    sources: list[Any] = [factory]
    for _ in range(depth - 1):
        sources = [POLICY.source(sources)]
    return sources


def _nested(depth: int, seconds: float) -> float:
    sources = _sources(streams.generator, depth)
    return _ratio(lambda: POLICY.stream(sources), seconds)


def _naive_nested(depth: int, seconds: float) -> float:
    def make(left: int) -> Iterator[int]:
        return naive([(lambda: make(left - 1)) if left > 1 else streams.generator])

    return _ratio(lambda: make(depth), seconds)


def _ratio(make: Callable[[], Iterator[int]], seconds: float) -> float:
    def timed(stream: Iterator[int]) -> float:
        next(stream)
        return seconds_to_drain(stream)

    return _slower(lambda: timed(naive([streams.generator])), lambda: timed(make()), seconds)


def _async_nested(depth: int, seconds: float) -> float:
    sources = _sources(streams.async_generator, depth)

    def timed(stream: AsyncIterator[int]) -> float:
        run(anext(stream))
        return seconds_to_drain(stream, is_async=True)

    return _slower(
        lambda: timed(async_naive([streams.async_generator])),
        lambda: timed(POLICY.astream(sources)),
        seconds,
    )


def _slower(plain: Callable[[], float], ours: Callable[[], float], seconds: float) -> float:
    """How many times as long `ours` takes as `plain`."""
    times = rounds({"plain": plain, "ours": ours}, seconds)
    return fastest(times["ours"]) / fastest(times["plain"])


def _long() -> Iterator[int]:
    yield from range(ITEMS)


async def _async_long() -> AsyncIterator[int]:
    for number in range(ITEMS):
        yield number


def ten_million() -> dict[str, dict[str, float]]:
    """Stream ten million items: the seconds, and the memory growth in bytes."""
    quiet_logger()
    return {
        "failover_stream": _watched(lambda: drain(POLICY.stream([_long])), _tail_sync),
        "afailover_stream": _watched(
            lambda: drain_async(POLICY.astream([_async_long])), _tail_async
        ),
    }


def _watched(drained: Callable[[], None], tail: Callable[[], int]) -> dict[str, float]:
    start = perf_counter()
    drained()
    seconds = perf_counter() - start
    return {"seconds": seconds, "bytes": tail()}


def _tail_sync() -> int:
    stream = POLICY.stream([_long])

    def take(many: int) -> None:
        for _ in range(many):
            next(stream)

    return _growth(take)


def _tail_async() -> int:
    stream = POLICY.astream([_async_long])

    async def take(many: int) -> None:
        for _ in range(many):
            await anext(stream)

    return _growth(lambda many: run(take(many)))


#: tracemalloc makes each item expensive, so memory is measured over a tenth of them.
WATCHED = ITEMS // 10


def _growth(take: Callable[[int], None]) -> int:
    """The difference in bytes held after very many items and after a thousand."""
    take(1_000)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    take(WATCHED)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


def at_once() -> dict[str, float]:
    """Open `MANY` streams, pull one item of each, and close them: microseconds per stream."""
    quiet_logger()
    return {
        **{f"{kind}": _at_once(make, is_async=False) for kind, make in SYNC_STREAMS.items()},
        **{
            f"async {kind}" if kind == "bare" else kind: _at_once(make, is_async=True)
            for kind, make in ASYNC_STREAMS.items()
        },
    }


def _at_once(make: Callable[[], Any], *, is_async: bool) -> float:
    figures = []
    for _ in range(5):
        gc.collect()
        start = perf_counter()
        opened = [make() for _ in range(MANY)]
        for stream in opened:
            run(anext(stream)) if is_async else next(stream)
        for stream in opened:
            run(stream.aclose()) if is_async else stream.close()
        figures.append((perf_counter() - start) / MANY * 1e6)
    return median(figures)
