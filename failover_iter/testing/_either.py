"""Iterators of either flavour: read by coroutines, and made out of coroutines.

Sources, consumers, checks and faults are written once, as coroutines. In the sync
flavour, none of them ever suspends, and `step` runs it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Literal, TypeAlias

Function: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]


class Ended(Exception):
    """An iterator has ended and returned this value."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class WrongFlavour(TypeError):
    """Something is async where a sync flavour was tried."""


def step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a coroutine of a blocking run was suspended")  # pragma: no cover


def has_method(value: Any, name: str) -> bool:
    """Whether the class of `value` has a method of this name: Python, too, looks there."""
    return any(name in vars(kind) for kind in type(value).__mro__)


def is_async_iterable(value: Any) -> bool:
    """Whether `async for` accepts it."""
    return has_method(value, "__aiter__")


async def result_of(value: Any) -> Any:
    """Return the value, or what it returns when it is awaited."""
    return await value if inspect.isawaitable(value) else value


async def await_if_needed(opened: Any) -> Any:
    """Return what a call returned; await it first, if only that returns an async iterable."""
    return opened if is_async_iterable(opened) else await result_of(opened)


# Out of coroutines.


def iterator_of(pull: Function, *, is_async: bool, **methods: Function) -> Any:
    """Return an iterator of either flavour; `methods` are its `send`, `throw` and `close`."""
    prefix = "a" if is_async else ""
    body: dict[str, Any] = {
        f"{prefix}{name}": _method(method, is_async=is_async) for name, method in methods.items()
    }
    body[f"__{prefix}next__"] = _method(pull, is_async=is_async)
    body[f"__{prefix}iter__"] = _itself
    return type("Iterator", (), body)()


def _itself(me: Any) -> Any:
    return me


def iterable_of(iterator: Callable[[], Any], close: Function, *, is_async: bool) -> Any:
    """Return an iterable of either flavour with a method `close`."""

    def begin(_: Any) -> Any:
        return iterator()

    name = "__aiter__" if is_async else "__iter__"
    return type("Iterable", (), {name: begin, "close": _method(close, is_async=is_async)})()


def _method(function: Function, *, is_async: bool) -> Any:
    def blocking(_: Any, *args: Any) -> Any:
        try:
            return step(function(*args))
        except Ended as end:
            raise StopIteration(end.value) from None

    async def asynchronous(_: Any, *args: Any) -> Any:
        try:
            return await function(*args)
        except Ended:
            raise StopAsyncIteration from None

    return asynchronous if is_async else blocking


def blocking_generator(source: AsyncGenerator[Any, Any], opened: Any) -> Generator[Any, Any, Any]:
    """Step an async generator that never suspends, and return the `value` of what opened it."""
    pull = source.__anext__()
    while True:
        try:
            item = step(pull)
        except StopAsyncIteration:
            return opened.value
        try:
            sent = yield item
        except GeneratorExit:
            step(source.aclose())
            raise
        except BaseException as error:  # noqa: BLE001 (whatever the consumer throws)
            pull = source.athrow(error)
        else:
            pull = source.asend(sent)


# As coroutines.


class Either:
    """An opened source, and its iterator."""

    def __init__(self, opened: Any, *, is_async: bool | None = None) -> None:
        self.opened = opened
        self.is_async = is_async_iterable(opened) if is_async is None else is_async
        self.iterator: Any = aiter(opened) if self.is_async else iter(opened)
        self._ends: type[Exception] = StopAsyncIteration if self.is_async else StopIteration

    def method(self, name: Literal["send", "throw", "close"]) -> str:
        """Return the name of this method in the flavour of the iterator."""
        return f"a{name}" if self.is_async else name

    async def next(self) -> Any:
        """Return the next item, or raise `Ended`."""
        return await self._ask("__anext__" if self.is_async else "__next__")

    async def call(self, name: Literal["send", "throw"], value: Any) -> Any:
        """Send or throw a value; return the next item, or raise `Ended`."""
        return await self._ask(self.method(name), value)

    async def _ask(self, name: str, *args: Any) -> Any:
        try:
            answer = getattr(self.iterator, name)(*args)
            return await answer if self.is_async else answer
        except self._ends as stop:
            raise Ended(getattr(stop, "value", None)) from None

    async def drained(self) -> list[Any]:
        """Return all items, and close."""
        items: list[Any] = []
        try:
            while True:
                items.append(await self.next())
        except Ended:
            return items
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the iterator and the iterable that it came from."""
        for close in self.closers():
            await result_of(close())

    def closers(self) -> list[Any]:
        """Return the close methods of the iterator and of its iterable, if they have one."""
        both = [self.iterator] if self.opened is self.iterator else [self.iterator, self.opened]
        return [getattr(each, name) for each in both if hasattr(each, name := self.method("close"))]


async def close_quietly(opened: Any, *, is_async: bool) -> None:
    """Close what nobody uses any more, and ignore errors."""
    close = getattr(opened, "aclose" if is_async else "close", bool)
    with suppress(Exception):
        await result_of(close())
