"""The clocks: a replaceable one for blocking streams, the running library's for async ones."""

from __future__ import annotations

import sys
from _thread import TIMEOUT_MAX
from contextvars import ContextVar
from time import monotonic
from time import sleep as block
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from threading import Lock
    from typing import Protocol

    class Clock(Protocol):
        """What a blocking stream needs of time."""

        def time(self) -> float:
            """Seconds on a clock that only goes forward."""
            ...

        def sleep(self, seconds: float, /) -> None:
            """Block for so many seconds."""
            ...

        def acquire(self, lock: Lock, seconds: float, /) -> bool:
            """Block until the lock is there, for so many seconds at most; True: it is taken."""
            ...


class SystemClock:
    """The time of this machine."""

    time = staticmethod(monotonic)
    sleep = staticmethod(block)

    @staticmethod
    def acquire(lock: Lock, seconds: float) -> bool:
        """Wait for a lock for so many seconds, which may be none, or infinitely many."""
        if seconds > TIMEOUT_MAX:
            return lock.acquire()
        return lock.acquire(True, max(0, seconds))


#: The clock that a blocking stream takes at its first pull.
clock: ContextVar[Clock] = ContextVar("failover_iter.clock", default=SystemClock())  # noqa: B039 (it has no state)


#: Whether the thread that this runs in is that of a source which was given up.
is_abandoned: ContextVar[Callable[[], bool]] = ContextVar(
    "failover_iter.is_abandoned", default=lambda: False
)


def async_library() -> str | None:
    """Which library runs this task: "trio", "asyncio" or none; neither is imported for it."""
    return _running()[0]


def async_time() -> Callable[[], float]:
    """The clock of the library that runs this task, so that a test's own clock is obeyed."""
    return _running()[1]


def _running() -> tuple[str | None, Callable[[], float]]:
    trio, asyncio = sys.modules.get("trio"), sys.modules.get("asyncio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return "trio", trio.current_time
    loop = None if asyncio is None else asyncio._get_running_loop()  # noqa: SLF001 (the public one raises)
    return (None, monotonic) if loop is None else ("asyncio", loop.time)


def async_sleep(seconds: float) -> Awaitable[None]:
    """Sleep as the library that runs this task does; 0 lets the others run."""
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
    """Let other tasks run once; under trio no cancellation comes in here."""
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
