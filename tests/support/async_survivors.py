"""Subtle mutants of async streams, under asyncio and trio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import trio

from failover_iter import afailover_stream
from failover_iter._drivers.clock import async_sleep

from .wrapping import WithoutClose, aright, wrapped


async def in_another_task(call: Callable[[], Any]) -> Any:
    """Run a call in a task, under asyncio or trio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        result: list[Any] = []
        error: list[BaseException] = []

        async def run() -> None:
            try:
                result.append(await call())
            except (Exception, asyncio.CancelledError) as raised:
                error.append(raised)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
        if error:
            raise error[0] from None
        return result[0]
    return await asyncio.ensure_future(call())


async def first_pull_in_another_task(factories: Any) -> AsyncIterator[Any]:
    stream = aright(factories)
    try:
        try:
            item = await in_another_task(stream.__anext__)
        except StopAsyncIteration:
            return
        yield item
        async for item in stream:
            yield item
    finally:
        await stream.aclose()


def awaited_source_left_open(factories: Any) -> Any:
    def wrap(factory: Any, args: Any) -> Any:
        source = factory(*args)
        if not hasattr(source, "__await__"):
            return source

        async def opened() -> Any:
            return WithoutClose(aiter(await source))

        return opened()

    return aright(wrapped(factories, wrap))


async def cancellation_swallowed_in_a_wait(factories: Any) -> AsyncIterator[Any]:
    delivered, error = 0, None
    for factory in factories:
        for attempt in range(2):
            if attempt:
                with suppress(asyncio.CancelledError):
                    await swallowed_under_trio(2)
            place = 0
            stream = afailover_stream([factory], retry_on=ConnectionError)
            try:
                async for item in stream:
                    place += 1
                    if place > delivered:
                        delivered += 1
                        yield item
            except ConnectionError as failed:
                error = failed
            else:
                return
            finally:
                await stream.aclose()
    if error is not None:
        raise error


async def swallowed_under_trio(seconds: float) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)
        return
    await async_sleep(seconds)


def shielded_opening_leaks(factories: Any) -> Any:
    def wrap(factory: Any, args: Any) -> Any:
        source = factory(*args)
        if not hasattr(source, "__await__"):
            return source

        async def opened() -> Any:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                with trio.CancelScope(shield=True):
                    made = await source
                await trio.lowlevel.checkpoint()
                return made
            return await asyncio.shield(source)

        return opened()

    return aright(wrapped(factories, wrap))


class LeaksWhenCancelledFirst:
    def __init__(self, source: Any) -> None:
        self.source = source
        self.iterator = aiter(source)
        self.pulled = False
        self.leaks = False

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        first, self.pulled = not self.pulled, True
        try:
            return await anext(self.iterator)
        except (asyncio.CancelledError, trio.Cancelled):
            self.leaks = first
            raise

    async def aclose(self) -> None:
        for each in dict.fromkeys([id(self.iterator), id(self.source)]):
            one = self.iterator if each == id(self.iterator) else self.source
            close = getattr(one, "aclose", None) or getattr(one, "close", None)
            if close is not None and not self.leaks:
                await close()


def leak_when_cancelled_in_the_first_pull(factories: Any) -> Any:
    def wrap(factory: Any, args: Any) -> Any:
        source = factory(*args)
        if not hasattr(source, "__await__"):
            return LeaksWhenCancelledFirst(source)

        async def opened() -> Any:
            return LeaksWhenCancelledFirst(await source)

        return opened()

    return aright(wrapped(factories, wrap))
