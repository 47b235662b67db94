"""The sources, sync and async, and the naive loops that everything is compared with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from failover_iter import Policy

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Callable,
        Coroutine,
        Iterable,
        Iterator,
    )

T = TypeVar("T")

POLICY = Policy(retry_on=OSError)
#: Number of failures before the working source, in streams that switch.
SWITCHES = 50

#: Created once, so that the source itself costs little and any overhead weighs most.
ITEMS = list(range(5_000))


def generator() -> Iterator[int]:
    """Compute the items in a generator, as most generators do."""
    for number in range(len(ITEMS)):
        yield number


async def async_generator() -> AsyncIterator[int]:
    """Compute the items in an async generator."""
    for number in range(len(ITEMS)):
        yield number


def one_item() -> Iterator[int]:
    """Yield a single item."""
    yield 1


def no_item() -> Iterator[int]:
    """Yield no item."""
    yield from ()


async def async_one_item() -> AsyncIterator[int]:
    """Yield a single item."""
    yield 1


async def async_no_item() -> AsyncIterator[int]:
    """Yield no item."""
    for number in range(0):
        yield number


def naive(factories: Iterable[Callable[[], Iterable[T]]]) -> Iterator[T]:
    """Continue with the next source when one fails, as a simple hand-written loop would.

    Because the `yield` is inside the `try`, an error that the consumer throws in looks like a
    failure of the source.
    """
    last: OSError | None = None
    for factory in factories:
        try:
            for item in factory():
                yield item
        except OSError as error:
            last = error
        else:
            return
    assert last is not None
    raise last


async def async_naive(factories: Iterable[Callable[[], AsyncIterable[T]]]) -> AsyncIterator[T]:
    """The async twin of `naive`."""
    last: OSError | None = None
    for factory in factories:
        try:
            async for item in factory():
                yield item
        except OSError as error:
            last = error
        else:
            return
    assert last is not None
    raise last


def drain(stream: Iterable[object]) -> None:
    """Consume the stream with a `for` loop, as most consumers do."""
    for _ in stream:
        pass


async def async_drain(stream: AsyncIterable[object]) -> None:
    """Consume the stream with an `async for` loop."""
    async for _ in stream:
        pass


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without the cost of an event loop iteration.

    If asyncio is running, the coroutine still uses its clock and its hooks for async generators,
    whose cost is part of the measurement.
    """
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # the coroutine's result


def drain_async(stream: AsyncIterable[object]) -> None:
    """Consume an async stream from sync code."""
    run(async_drain(stream))


def quiet_logger() -> logging.Logger:
    """Return the library's logger, with a handler that does nothing and without propagation.

    Without a handler, Python writes each warning to stderr, which would distort the measurement.
    """
    logger = logging.getLogger("failover_iter")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
