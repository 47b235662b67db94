"""Clocks: a replaceable one for blocking streams, the running library's for async streams."""

from __future__ import annotations

import sys
from _thread import TIMEOUT_MAX
from contextvars import ContextVar
from time import monotonic
from time import sleep as block
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from queue import SimpleQueue
    from typing import Protocol, TypeVar

    class Job(Protocol):
        """The work of a thread."""

        thread: int
        finished: bool

    _T = TypeVar("_T")

    class Clock(Protocol):
        """How a blocking stream reads the time and waits."""

        def time(self) -> float:
            """Return the seconds on a clock that never goes back."""
            ...

        def sleep(self, seconds: float, /) -> None:
            """Block for this number of seconds."""
            ...

        def get(self, queue: SimpleQueue[_T], seconds: float, jobs: Collection[Job], /) -> _T:
            """Return the next item of a queue; raise `queue.Empty` when the time is up.

            `jobs`: those that threads are doing, each of which puts an item.
            """
            ...


#: The longest sleep at a time, as in asyncio: systems refuse much longer ones.
_A_DAY = 24 * 3600.0


class SystemClock:
    """The clock of this machine."""

    time = staticmethod(monotonic)

    @staticmethod
    def sleep(seconds: float) -> None:
        """Block for this number of seconds, in pieces if that is more than the system accepts."""
        while seconds > _A_DAY:
            block(_A_DAY)
            seconds -= _A_DAY
        block(seconds)

    @staticmethod
    def get(queue: SimpleQueue[_T], seconds: float, jobs: Collection[Job] = ()) -> _T:  # noqa: ARG004 (for others)
        """Wait for an item. The seconds may be negative (do not wait) or infinite."""
        if seconds > TIMEOUT_MAX:
            return queue.get()
        return queue.get(True, max(0.0, seconds))


#: The clock of blocking streams. A stream reads this variable at its first pull.
clock: ContextVar[Clock] = ContextVar("failover_iter.clock", default=SystemClock())  # noqa: B039 (it has no state)


def async_library() -> str | None:
    """Return which library runs this task, "trio" or "asyncio", without importing either."""
    return _running()[0]


def async_time() -> Callable[[], float]:
    """Return the clock of the library that runs this task, which a test may have replaced."""
    return _running()[1]


def _running() -> tuple[str | None, Callable[[], float]]:
    trio, asyncio = sys.modules.get("trio"), sys.modules.get("asyncio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return "trio", trio.current_time
    loop = None if asyncio is None else asyncio._get_running_loop()  # noqa: SLF001 (the public one raises)
    return (None, monotonic) if loop is None else ("asyncio", loop.time)


def async_sleep(seconds: float) -> Awaitable[None]:
    """Sleep with the library that runs this task; 0 seconds let other tasks run."""
    match async_library():
        case "trio":
            import trio

            return trio.sleep(seconds)  # noqa: ASYNC105 (awaited by the caller)
        case "asyncio":
            import asyncio

            return asyncio.sleep(seconds)
        case _:
            return _no_sleep(seconds)


async def give_way() -> None:
    """Let other tasks run once; under trio, this cannot be cancelled."""
    match async_library():
        case "trio":
            import trio

            await trio.lowlevel.cancel_shielded_checkpoint()
        case "asyncio":
            await async_sleep(0)
        case _:
            return


async def _no_sleep(seconds: float) -> None:
    if seconds:
        raise RuntimeError(f"cannot wait {seconds:g} s: neither asyncio nor trio runs this stream")
