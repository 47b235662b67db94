"""The sources, sync and async, and the naive loops that everything is measured against."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

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

#: Made once, so that a source costs little itself: the hardest case for what is around it.
ITEMS = list(range(20_000))


def generator() -> Iterator[int]:
    """Make the items in a generator, as generators do."""
    for number in range(len(ITEMS)):
        yield number


def cheapest_generator() -> Iterator[int]:
    """Give the items from a generator that makes nothing itself."""
    for item in ITEMS:
        yield item


def list_iterator() -> Iterator[int]:
    """Give the items from the iterator of a list."""
    return iter(ITEMS)


def map_object() -> Iterator[int]:
    """Give the items from an iterator written in C that calls a function for each."""
    return map(abs, ITEMS)


class ClassIterator:
    """Give the items from a class with a `__next__` in Python."""

    def __init__(self) -> None:
        self._next = iter(ITEMS).__next__

    def __iter__(self) -> ClassIterator:
        return self

    def __next__(self) -> int:
        return self._next()


async def async_generator() -> AsyncIterator[int]:
    """Make the items in an async generator."""
    for number in range(len(ITEMS)):
        yield number


class AsyncClassIterator:
    """Give the items from a class with an `__anext__` in Python."""

    def __init__(self) -> None:
        self._items = iter(ITEMS)

    def __aiter__(self) -> AsyncClassIterator:
        return self

    async def __anext__(self) -> int:
        for item in self._items:
            return item
        raise StopAsyncIteration


def one_item() -> Iterator[int]:
    """Give a single item."""
    yield 1


def no_item() -> Iterator[int]:
    """Give nothing."""
    yield from ()


async def async_one_item() -> AsyncIterator[int]:
    """Give a single item."""
    yield 1


async def async_no_item() -> AsyncIterator[int]:
    """Give nothing."""
    for number in range(0):
        yield number


def naive(factories: Iterable[Callable[[], Iterable[T]]]) -> Iterator[T]:
    """Go on with the next source when one fails, as one would write it by hand.

    The `yield` inside the `try` takes an error that the consumer throws for one of the source.
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
    """Consume it, as most consumers do: with a `for` loop."""
    for _ in stream:
        pass


async def async_drain(stream: AsyncIterable[object]) -> None:
    """Consume it with an `async for` loop."""
    async for _ in stream:
        pass


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing, without the cost of an event loop's turn.

    Called while asyncio runs, it sees asyncio all the same: its clock and its hooks for async
    generators, whose cost belongs to what is measured.
    """
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # the coroutine's result


def drain_async(stream: AsyncIterable[object]) -> None:
    """Consume an async stream from blocking code."""
    run(async_drain(stream))


def quiet_logger() -> logging.Logger:
    """The library's logger at its default level, with a handler that does nothing.

    Without any handler Python writes each warning to stderr, which would be measured instead.
    """
    logger = logging.getLogger("failover_iter")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
