"""A source of the user: sync or async, the same coroutines pull and close it."""

from __future__ import annotations

import inspect
from typing import Any

from failover_iter.testing._consumers import is_async_iterable


async def user_source(opened: Any) -> UserSource:
    """Wrap what a factory returned; await it first if it has to be awaited."""
    return UserSource(opened if is_async_iterable(opened) else await result_of(opened))


async def result_of(value: Any) -> Any:
    """Return the value, or what it returns when it is awaited."""
    return await value if inspect.isawaitable(value) else value


class UserSource:
    """An opened source of either flavour. Over a sync source, its coroutines never suspend."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.is_async = is_async_iterable(source)
        self.closes_by = "aclose" if self.is_async else "close"
        self.iterator = aiter(source) if self.is_async else iter(source)
        #: The return value of a generator.
        self.value: Any = None

    async def next(self) -> Any:
        """Return the next item, or raise `StopAsyncIteration`."""
        if self.is_async:
            return await anext(self.iterator)
        try:
            return next(self.iterator)
        except StopIteration as stop:
            self.value = stop.value
            raise StopAsyncIteration from None

    async def pull(self, times: int) -> int:
        """Pull this many times, and return how many items arrived."""
        for count in range(times):
            try:
                await self.next()
            except (StopAsyncIteration, ValueError):  # ValueError: a closed file
                return count
        return times

    async def drained(self) -> list[Any]:
        """Return all items, and close the source."""
        items: list[Any] = []
        try:
            while True:
                items.append(await self.next())
        except StopAsyncIteration:
            return items
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the iterator and the iterable that it came from."""
        for close in self.closers():
            await result_of(close())

    def closers(self) -> list[Any]:
        """Return the close methods of the iterator and of its iterable, if they have one."""
        both = [self.iterator] if self.source is self.iterator else [self.iterator, self.source]
        return [getattr(one, self.closes_by) for one in both if hasattr(one, self.closes_by)]
