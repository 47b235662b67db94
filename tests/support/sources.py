"""Sources made from plans, sync and async, that write down what is done to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from failover_iter import Progress, Source
from failover_iter._clock import async_sleep, clock

from .case import Opening, SourcePlan, make_error

Log = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Nap:
    """A pull takes so long."""

    seconds: float


class Closer:
    """Something with a `close`, sync or async, that is written down."""

    def __init__(self, log: Log, name: str, opening: Opening) -> None:
        self.log = log
        self.name = name
        self.opening = opening

    def closed(self) -> None:
        self.log.append(("close", self.name))
        if self.opening.closing is not None:
            raise make_error(self.opening.closing)


def script(log: Log, name: str, opening: Opening, items: tuple[int, ...]) -> Iterator[int]:
    """What a pull does, as a plain generator that never is a source itself."""
    for pull, item in enumerate(items):
        log.append(("pull", name))
        if opening.delay(pull):
            yield Nap(opening.delay(pull))
        yield item
    log.append(("pull", name))
    if opening.delay(len(items)):
        yield Nap(opening.delay(len(items)))
    if opening.fault is not None:
        raise make_error(opening.fault)


def pulled(pulls: Iterator[Any]) -> Any:
    """The next item, waited for on the blocking clock."""
    for item in pulls:
        if not isinstance(item, Nap):
            return item
        clock.get().sleep(item.seconds)
    raise StopIteration


async def apulled(pulls: Iterator[Any]) -> Any:
    """The next item, waited for on the clock of the library that runs the task."""
    for item in pulls:
        if not isinstance(item, Nap):
            return item
        await nap(item.seconds)
    raise StopAsyncIteration


async def nap(seconds: float) -> None:
    """Sleep under asyncio or trio."""
    await async_sleep(seconds)


class SyncBare:
    """An iterator with nothing but `__next__` and `__iter__`."""

    def __init__(self, pulls: Iterator[int]) -> None:
        self.pulls = pulls

    def __iter__(self) -> SyncBare:
        return self

    def __next__(self) -> int:
        return pulled(self.pulls)  # type: ignore[no-any-return]  # an item


class SyncIterator(SyncBare):
    """An iterator that can be closed."""

    def __init__(self, pulls: Iterator[int], closer: Closer) -> None:
        super().__init__(pulls)
        self.closer = closer

    def close(self) -> None:
        self.closer.closed()


class SyncIterable:
    """An iterable that can be closed, over an iterator that cannot."""

    def __init__(self, pulls: Iterator[int], closer: Closer) -> None:
        self.pulls = pulls
        self.closer = closer

    def __iter__(self) -> Iterator[int]:
        if self.closer.opening.iterating is not None:
            raise make_error(self.closer.opening.iterating)
        return SyncBare(self.pulls)

    def close(self) -> None:
        self.closer.closed()


def sync_generator(pulls: Iterator[Any], closer: Closer) -> Iterator[int]:
    try:
        for item in pulls:
            if isinstance(item, Nap):
                clock.get().sleep(item.seconds)
            else:
                yield item
    finally:
        closer.closed()


class AsyncBare:
    """An async iterator with nothing but `__anext__` and `__aiter__`."""

    def __init__(self, pulls: Iterator[int]) -> None:
        self.pulls = pulls

    def __aiter__(self) -> AsyncBare:
        return self

    async def __anext__(self) -> int:
        return await apulled(self.pulls)  # type: ignore[no-any-return]  # an item


class ClosingAsyncIterator(AsyncBare):
    """An async iterator that can be closed."""

    def __init__(self, pulls: Iterator[int], closer: Closer) -> None:
        super().__init__(pulls)
        self.closer = closer

    async def aclose(self) -> None:
        self.closer.closed()


class ClosingAsyncIterable:
    """An async iterable whose `close` gives an awaitable, over an iterator that has none."""

    def __init__(self, pulls: Iterator[int], closer: Closer) -> None:
        self.pulls = pulls
        self.closer = closer

    def __aiter__(self) -> AsyncIterator[int]:
        if self.closer.opening.iterating is not None:
            raise make_error(self.closer.opening.iterating)
        return AsyncBare(self.pulls)

    async def close(self) -> None:
        self.closer.closed()


async def async_generator(pulls: Iterator[Any], closer: Closer) -> AsyncIterator[int]:
    try:
        for item in pulls:
            if isinstance(item, Nap):
                await nap(item.seconds)
            else:
                yield item
    finally:
        closer.closed()


SYNC: dict[str, Callable[..., Any]] = {
    "bare": lambda pulls, _: SyncBare(pulls),
    "iterator": SyncIterator,
    "iterable": SyncIterable,
    "generator": sync_generator,
}
ASYNC: dict[str, Callable[..., Any]] = {
    "bare": lambda pulls, _: AsyncBare(pulls),
    "iterator": ClosingAsyncIterator,
    "iterable": ClosingAsyncIterable,
    "generator": async_generator,
}


def make_factory(log: Log, plan: SourcePlan, kinds: dict[str, Callable[..., Any]]) -> Any:
    """A factory that does what the plan says, and takes a `Progress` if it gets one."""
    count = 0

    def next_opening() -> Opening:
        nonlocal count
        count += 1
        log.append(("open", plan.name))
        return plan.openings[min(count, len(plan.openings)) - 1]

    def factory(progress: Progress[int] | None = None) -> Any:
        opening = next_opening()
        if opening.opening_delay:
            clock.get().sleep(opening.opening_delay)
        return opened(opening, progress)

    async def slow_factory(progress: Progress[int] | None = None) -> Any:
        opening = next_opening()
        await nap(opening.opening_delay)
        return opened(opening, progress)

    def opened(opening: Opening, progress: Progress[int] | None) -> Any:
        if opening.opening is not None:
            raise make_error(opening.opening)
        items = opening.items if progress is None else opening.items[progress.delivered :]
        pulls = script(log, plan.name, opening, items)
        return kinds[opening.kind](pulls, Closer(log, plan.name, opening))

    factory.__name__ = slow_factory.__name__ = plan.name
    is_slow = kinds is ASYNC and any(opening.opening_delay for opening in plan.openings)
    return slow_factory if is_slow else factory


def make_source(log: Log, plan: SourcePlan, kinds: dict[str, Callable[..., Any]]) -> Any:
    """The factory, or a `Source` where the plan has settings of its own."""
    factory = make_factory(log, plan, kinds)
    own: dict[str, Any] = {}
    if plan.mid_stream is not None:
        own["mid_stream"] = plan.mid_stream
    if plan.attempts is not None:
        own["attempts"] = plan.attempts
    return Source(factory, **own) if own else factory
