"""asyncio and trio behind one face, each with a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import trio
import trio.testing

from failover_iter import afailover_stream
from failover_iter.testing import VirtualClock


class Asyncio:
    """asyncio, on a loop that jumps."""

    name = "asyncio"
    cancelled: type[BaseException] = asyncio.CancelledError
    too_slow: type[Exception] = TimeoutError

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        async def awaited() -> Any:
            return await main()

        with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
            return runner.run(awaited())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def task(self) -> object:
        return asyncio.current_task()

    def fail_after(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(seconds)

    async def cancel_at(self, seconds: float, main: Callable[[], Awaitable[Any]]) -> None:
        """Cancel a consumer at that moment, and say that it was."""

        async def awaited() -> None:
            await main()

        task = asyncio.ensure_future(awaited())
        asyncio.get_running_loop().call_later(seconds, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return
        raise AssertionError("the cancellation was swallowed")


class Trio:
    """trio, with its own mock clock."""

    name = "trio"
    cancelled: type[BaseException] = trio.Cancelled
    too_slow: type[Exception] = trio.TooSlowError

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def time(self) -> float:
        return trio.current_time()

    def task(self) -> object:
        return trio.lowlevel.current_task()

    @asynccontextmanager
    async def fail_after(self, seconds: float) -> Any:
        with trio.fail_after(seconds):
            yield

    async def cancel_at(self, seconds: float, main: Callable[[], Awaitable[Any]]) -> None:
        with trio.CancelScope(deadline=trio.current_time() + seconds) as scope:
            await main()
        assert scope.cancelled_caught, "the cancellation was swallowed"


LOOPS = [Asyncio(), Trio()]

FOREVER = 1e6  # seconds, of which none passes


def stream_of(*factories: Any, **options: Any) -> Any:
    """An async stream over these."""
    return afailover_stream(list(factories), **{"retry_on": ConnectionError, **options})


async def fallback() -> AsyncIterator[Any]:
    """A source that is good."""
    yield "fallback"


async def drained(stream: Any) -> list[Any]:
    """All that a stream delivers; it is closed at the end."""
    async with aclosing(stream):
        return [item async for item in stream]
