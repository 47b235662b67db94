"""Scenarios that are written once, as coroutines, and played by sync streams, asyncio and trio.

A scenario awaits what a `World` offers. In the sync world nothing waits: time is virtual there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import Policy
from failover_iter.testing import VirtualClock
from support.runners import quiet
from support.virtual import virtual_time

Scenario = Callable[["World"], Awaitable[None]]
Source = Callable[..., AsyncIterator[Any]]


def place_of(flavour: str) -> object:
    """The task or thread that runs now."""
    match flavour:
        case "sync":
            return threading.get_ident()
        case "asyncio":
            return asyncio.current_task()
        case _:
            return trio.lowlevel.current_task()


class World:
    """The means of a scenario, and the names of the sources that were opened, in order."""

    def __init__(self, flavour: str) -> None:
        self.flavour = flavour
        self.asked: list[str] = []
        self.events: list[Any] = []
        self.clock = VirtualClock()

    def time(self) -> float:
        match self.flavour:
            case "sync":
                return self.clock.time()
            case "asyncio":
                return asyncio.get_running_loop().time()
            case _:
                return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        match self.flavour:
            case "sync":
                self.clock.sleep(seconds)
            case "asyncio":
                await asyncio.sleep(seconds)
            case _:
                await trio.sleep(seconds)

    def source(self, name: str, body: Source) -> Any:
        """A factory of this flavour; it notes each opening."""

        def opened(*args: Any) -> AsyncIterator[Any]:
            self.asked.append(name)
            return body(*args)

        def sync(*args: Any) -> Iterator[Any]:
            yield from blocking(opened(*args))

        factory = sync if self.flavour == "sync" else opened
        factory.__name__ = name
        return factory

    def stream(self, policy: Policy, factories: Any) -> Any:
        return (policy.stream if self.flavour == "sync" else policy.astream)(factories)

    def place(self) -> object:
        """The task or thread that runs now."""
        return place_of(self.flavour)

    async def next(self, stream: Any) -> Any:
        return next(stream) if self.flavour == "sync" else await anext(stream)

    async def close(self, stream: Any) -> None:
        if self.flavour == "sync":
            stream.close()
        else:
            await stream.aclose()

    async def throw(self, stream: Any, error: BaseException) -> None:
        try:
            if self.flavour == "sync":
                stream.throw(error)
            else:
                await stream.athrow(error)
        finally:
            del error  # or its traceback holds this frame, and this frame the error

    async def drain(self, policy: Policy, factories: Any) -> list[Any]:
        return await self.rest(self.stream(policy, factories))

    async def rest(self, stream: Any) -> list[Any]:
        return list(stream) if self.flavour == "sync" else [item async for item in stream]

    async def asked_by(self, policy: Policy, factories: Any) -> list[str]:
        """Drain a stream, which may fail; the sources that it has opened."""
        before = len(self.asked)
        with suppress(OSError):
            await self.drain(policy, factories)
        return self.asked[before:]


def at_once(awaitable: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        awaitable.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def blocking(items: Any) -> Iterator[Any]:
    """A blocking source of an async generator that waits for nothing."""
    try:
        while True:
            try:
                item = at_once(items.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        at_once(items.aclose())


def play(flavour: str, scenario: Scenario) -> None:
    """Play a scenario in one flavour."""
    world = World(flavour)
    with quiet():
        match flavour:
            case "sync":
                with virtual_time(world.clock):
                    at_once(scenario(world))
            case "asyncio":
                loop = VirtualClock().new_event_loop()
                try:
                    loop.run_until_complete(scenario(world))
                    loop.run_until_complete(loop.shutdown_asyncgens())
                finally:
                    loop.close()
            case _:
                trio.run(scenario, world, clock=trio.testing.MockClock(autojump_threshold=0))


FLAVOURS = ["sync", "asyncio", "trio"]


def check_law(law: Any, flavour: str, **options: Any) -> None:
    """Play a law with random data; the options are those of Hypothesis."""

    @settings(**options)
    @given(data=st.data())
    def check(data: Any) -> None:
        async def scenario(world: World) -> None:
            await law(world, data)

        play(flavour, scenario)

    check()
