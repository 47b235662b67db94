"""The memory that many streams and many failures use, according to tracemalloc."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from failover_iter import Policy, afailover_stream, failover_stream

from .streams import POLICY, async_generator, drain, drain_async, generator, quiet_logger, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

#: Number of concurrent streams.
MANY = 10_000
#: Numbers of consecutive failures. The memory used must not grow between them.
FEW_FAILURES, MANY_FAILURES = 1_000, 20_000

#: The streams to open: the bare source, a stream of a function call, and one of a policy.
SYNC_STREAMS: dict[str, Callable[[], Any]] = {
    "bare": generator,
    "failover_stream": lambda: failover_stream([generator], retry_on=OSError),
    "Policy.stream": lambda: POLICY.stream([generator]),
}
ASYNC_STREAMS: dict[str, Callable[[], Any]] = {
    "bare": async_generator,
    "afailover_stream": lambda: afailover_stream([async_generator], retry_on=OSError),
    "Policy.astream": lambda: POLICY.astream([async_generator]),
}


def bytes_each(make: Callable[[], Any], *, is_async: bool, many: int = MANY) -> float:
    """Bytes per stream while `many` streams are open and each has yielded one item."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    open_streams = [make() for _ in range(many)]
    for stream in open_streams:
        run(anext(stream)) if is_async else next(stream)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for stream in open_streams:
        run(stream.aclose()) if is_async else stream.close()
    return (after - before) / many


def beyond_bare(streams: dict[str, Callable[[], Any]], *, is_async: bool) -> dict[str, float]:
    """Bytes per stream of each kind, in addition to the bare source."""
    each = {kind: bytes_each(make, is_async=is_async) for kind, make in streams.items()}
    bare = each.pop("bare")
    return {kind: size - bare for kind, size in each.items()}


def everything() -> dict[str, dict[str, Any]]:
    """Measure memory. The figures are the same in every process, so one run is enough."""
    quiet_logger()
    return {
        "streams": {
            **beyond_bare(SYNC_STREAMS, is_async=False),
            **beyond_bare(ASYNC_STREAMS, is_async=True),
        },
        "failures": {
            kind: [fail(kind, number) for number in (FEW_FAILURES, MANY_FAILURES)]
            for kind in FAILING
        },
    }


class Failures(NamedTuple):
    """The resources used by very many consecutive failures."""

    peak: int
    """Peak of the allocated bytes, in addition to those at the start."""
    depth: int
    """Maximum number of stack frames at an opening, in addition to those of the caller."""
    errors: int
    """Number of errors chained to the last one as contexts. A long chain would be a leak."""


class _Depth:
    """Sources that fail immediately and record the depth of the stack at intervals."""

    def __init__(self) -> None:
        self._caller = _depth()
        self._openings = 0
        self.deepest = 0

    def _note(self) -> None:
        if self._openings % 100 == 0:
            self.deepest = max(self.deepest, _depth() - self._caller)
        self._openings += 1

    def refusing(self) -> Any:
        self._note()
        raise ConnectionError("refused")

    def failing(self) -> Iterator[int]:
        self._note()
        raise ConnectionError("reset")
        yield

    async def async_failing(self) -> AsyncIterator[int]:
        self._note()
        raise ConnectionError("reset")
        yield


def _depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


def _sources(number: int, source: _Depth) -> Any:
    return drain(POLICY.stream(repeat(source.refusing, number)))


def _attempts(number: int, source: _Depth) -> Any:
    return drain(Policy(retry_on=OSError, attempts=number).stream([source.failing]))


def _async_sources(number: int, source: _Depth) -> Any:
    return drain_async(POLICY.astream(repeat(source.refusing, number)))


def _async_attempts(number: int, source: _Depth) -> Any:
    policy = Policy(retry_on=OSError, attempts=number)
    return drain_async(policy.astream([source.async_failing]))


#: Ways to fail `number` times: with as many sources, or as many attempts on one source.
FAILING: dict[str, Callable[[int, _Depth], Any]] = {
    "sources": _sources,
    "attempts": _attempts,
    "async sources": _async_sources,
    "async attempts": _async_attempts,
}


def fail(kind: str, number: int) -> Failures:
    """Let a stream fail `number` times in a row."""
    source = _Depth()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    errors = 0
    try:
        FAILING[kind](number, source)
    except ConnectionError as last:
        _, peak = tracemalloc.get_traced_memory()
        errors = _chained(last)
    finally:
        tracemalloc.stop()
    return Failures(peak - before, source.deepest, errors)


def _chained(error: BaseException) -> int:
    chained = 0
    while error.__context__ is not None:
        error, chained = error.__context__, chained + 1
    return chained
