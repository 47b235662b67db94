"""Mutants: pipelines that a user might write, each with one bug that `verify` finds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from typing import Any

RETRY = ConnectionError


def naive_loop(*factories: Any) -> Iterator[Any]:
    """Wraps the factory call in `try`, not the iteration."""
    for factory in factories:
        try:
            items = factory()
        except RETRY:
            continue
        yield from items
        return


def switches_on_the_consumers_exception(*factories: Any) -> Iterator[Any]:
    """Yields inside the `try`, so it handles the consumer's errors as failures."""
    delivered = 0
    error: Exception | None = None
    for factory in factories:
        try:
            with closing_if_it_can(factory()) as items:
                for place, item in enumerate(items):
                    if place >= delivered:
                        delivered += 1
                        yield item
            return
        except RETRY as failed:
            error = failed
    if error is not None:
        raise error


def closing_if_it_can(items: Any) -> Any:
    return closing(items if hasattr(items, "close") else closable(items))


def closable(items: Any) -> Iterator[Any]:
    yield from items


def retries_while_being_closed(*factories: Any) -> Iterator[Any]:
    """Handles GeneratorExit as a failure."""
    delivered = 0
    for factory in factories:
        items = factory()
        try:
            for place, item in enumerate(items):
                if place >= delivered:
                    delivered += 1
                    yield item
            return
        except (RETRY, GeneratorExit):
            if hasattr(items, "close"):
                items.close()


class LeaksOnBreak:
    """Closes a source that fails or ends, but has no `close` for a consumer that leaves early."""

    def __init__(self, *factories: Any) -> None:
        self.factories = iter(factories)
        self.source: Any = None
        self.delivered = 0

    def __iter__(self) -> LeaksOnBreak:
        return self

    def __next__(self) -> Any:
        while True:
            try:
                if self.source is None:
                    self.source = next(self.factories)()
                    self.items = iter(self.source)
                    for _ in range(self.delivered):
                        next(self.items)
                item = next(self.items)
            except StopIteration:
                self.close_source()
                raise
            except RETRY as error:
                self.close_source()
                self.factories, more = iter(rest := list(self.factories)), bool(rest)
                if not more:
                    raise error
            else:
                self.delivered += 1
                return item

    def close_source(self) -> None:
        source, self.source = self.source, None
        if hasattr(source, "close"):
            source.close()


def leaks_on_break(*factories: Any) -> Any:
    return LeaksOnBreak(*factories)


def eager_list(*factories: Any) -> Any:
    """Reads the whole source before it delivers anything."""
    error: Exception | None = None
    for factory in factories:
        try:
            source = factory()
            items = list(source)
        except RETRY as failed:
            error = failed
            continue
        return iter(items)
    raise error or LookupError


def silent_truncator(*factories: Any) -> Iterator[Any]:
    """Handles a mid-stream failure as the end."""
    for factory in factories:
        delivered = False
        try:
            for item in factory():
                delivered = True
                yield item
            return
        except RETRY:
            if delivered:
                return


def falsy_swallower(*factories: Any) -> Iterator[Any]:
    """Tests the truth of the error instead of `error is not None`."""
    error, delivered = None, 0
    for factory in factories:
        source, error = None, None
        try:
            source = factory()
            for item in without_the_first(source, delivered):
                delivered += 1
                yield item
        except RETRY as failed:
            error = failed
        finally:
            if hasattr(source, "close"):
                source.close()
        if not error:
            return
    raise error  # type: ignore[misc]  # there was one


def without_the_first(source: Any, number: int) -> Iterator[Any]:
    for place, item in enumerate(source):
        if place >= number:
            yield item


def duplicates_on_restart(*factories: Any) -> Iterator[Any]:
    """Restarts, and delivers items again."""
    *most, last = factories
    for factory in most:
        try:
            yield from factory()
            return
        except RETRY:
            continue
    yield from last()


def reads_ahead(*factories: Any) -> Iterator[Any]:
    """Pulls the next item before it yields the current one."""
    from failover_iter import failover_stream

    stream = failover_stream(factories, retry_on=RETRY, mid_stream="skip")
    missing = object()
    item = next(stream, missing)
    while item is not missing:
        following = next(stream, missing)
        yield item
        item = following


def recursion(*factories: Any, delivered: int = 0) -> Iterator[Any]:
    """Calls itself inside the `except` block for the next source."""
    factory, *others = factories
    try:
        for place, item in enumerate(factory()):
            if place >= delivered:
                delivered += 1
                yield item
    except RETRY:
        if not others:
            raise
        yield from recursion(*others, delivered=delivered)


async def async_naive_loop(*factories: Any) -> AsyncIterator[Any]:
    """Wraps the factory call in `try`, not the iteration."""
    for factory in factories:
        try:
            items = factory()
        except RETRY:
            continue
        async for item in items:
            yield item
        return


async def async_switches_on_the_consumers_exception(*factories: Any) -> AsyncIterator[Any]:
    """Yields inside the `try`, so it handles the consumer's errors as failures."""
    delivered = 0
    *most, last = factories
    for factory in most:
        try:
            place = 0
            async for item in factory():
                place += 1
                if place > delivered:
                    delivered += 1
                    yield item
            return
        except RETRY:
            continue
    async for item in last():
        if not delivered:
            yield item
        delivered = max(delivered - 1, 0)


async def async_leaks_on_break(*factories: Any) -> AsyncIterator[Any]:
    """Never closes its sources."""
    error: Exception | None = None
    delivered = 0
    for factory in factories:
        place = 0
        try:
            iterator = aiter(factory())
        except RETRY as failed:
            error = failed
            continue
        while True:
            try:
                item = await anext(iterator)
            except StopAsyncIteration:
                return
            except RETRY as failed:
                error = failed
                break
            place += 1
            if place > delivered:
                delivered += 1
                yield item
    raise error or LookupError


async def async_eager_list(*factories: Any) -> AsyncIterator[Any]:
    """Reads the whole source before it delivers anything."""
    error: Exception | None = None
    for factory in factories:
        try:
            items = [item async for item in factory()]
        except RETRY as failed:
            error = failed
            continue
        for item in items:
            yield item
        return
    raise error or LookupError


#: Each mutant, with the oracles of which it breaks at least one.
MUTANTS: dict[Callable[..., Any], set[str]] = {
    naive_loop: {"no_loss"},
    switches_on_the_consumers_exception: {"transparent", "no_reopen"},
    retries_while_being_closed: {"no_reopen", "transparent"},
    leaks_on_break: {"no_leak"},
    eager_list: {"lazy", "no_read_ahead"},
    silent_truncator: {"no_loss", "same_error"},
    falsy_swallower: {"no_loss", "same_error"},
    duplicates_on_restart: {"no_duplicates"},
    reads_ahead: {"no_read_ahead"},
    recursion: {"transparent", "no_reopen"},
    async_naive_loop: {"no_loss"},
    async_switches_on_the_consumers_exception: {"transparent", "no_reopen"},
    async_leaks_on_break: {"no_leak"},
    async_eager_list: {"no_read_ahead"},
}
