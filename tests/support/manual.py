"""asyncio and trio with clocks that a thread moves on, for sources that live in threads.

A clock that jumps by itself does so while a thread is at work. These stand still until a source
says that it blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing

from support.loops import Asyncio, Trio


class _StandingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def jump(self, seconds: float) -> None:
        self.now += seconds


class ManualAsyncio(Asyncio):
    """asyncio, on a loop whose clock is moved."""

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        async def awaited() -> Any:
            return await main()

        with asyncio.Runner(loop_factory=_StandingLoop) as runner:
            return runner.run(awaited())

    def jumper(self) -> Callable[[float], object]:
        """A function that moves the clock, from any thread."""
        loop: Any = asyncio.get_running_loop()
        return lambda seconds: loop.call_soon_threadsafe(loop.jump, seconds)


class ManualTrio(Trio):
    """trio, with a clock that is moved."""

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        self.clock = trio.testing.MockClock()
        return trio.run(main, clock=self.clock)

    def jumper(self) -> Callable[[float], object]:
        """A function that moves the clock, from any thread."""
        token, clock = trio.lowlevel.current_trio_token(), self.clock
        return lambda seconds: token.run_sync_soon(clock.jump, seconds)


MANUAL = [ManualAsyncio(), ManualTrio()]
