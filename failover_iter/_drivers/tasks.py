"""Tasks and timers, of asyncio or trio: for a race in an async stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from failover_iter._core.usage import mark_usage_error
from failover_iter._drivers.clock import async_library

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


class Event(Protocol):
    """An event of asyncio or trio."""

    def set(self) -> object:
        """Let all that wait for it go on."""
        ...

    def is_set(self) -> bool:
        """Whether it is set."""
        ...

    def wait(self) -> Awaitable[object]:
        """Wait for it."""
        ...


class Tasks(Protocol):
    """Tasks and timers of asyncio or trio."""

    #: The exceptions of a cancellation.
    cancelled: type[BaseException]

    def event(self) -> Event:
        """Return a new event."""
        ...

    def call_at(self, when: float, call: Callable[[], object]) -> Callable[[], object]:
        """Call this at that time; return a function that prevents it."""
        ...

    def start(
        self,
        run: Callable[[], Coroutine[Any, Any, None]],
        done: Callable[[], object],
        name: str,
    ) -> Callable[[], object]:
        """Start a task, call `done` at its end; return a function that cancels it."""
        ...

    async def wait(self, event: Any, seconds: float) -> None:
        """Wait for an event, but not longer than this."""
        ...

    async def wait_shielded(self, event: Any, cancel: Callable[[], object]) -> None:
        """Wait for an event. A cancellation is passed on, and raised when the event has come."""
        ...


def new_tasks() -> Tasks:
    """The tasks of the library that runs this one."""
    match async_library():
        case "trio":
            from failover_iter._drivers import tasks_trio

            return tasks_trio.Tasks()
        case "asyncio":
            from failover_iter._drivers import tasks_asyncio

            return tasks_asyncio.Tasks()
        case _:
            raise mark_usage_error(
                RuntimeError("a hedge needs asyncio or trio: neither runs this stream")
            )
