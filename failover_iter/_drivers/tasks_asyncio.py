"""The tasks and timers of a race under asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Tasks:
    """Tasks and timers of the running event loop."""

    event = asyncio.Event
    cancelled: type[BaseException] = asyncio.CancelledError

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def call_at(self, when: float, call: Callable[[], object]) -> Callable[[], object]:
        """Call this at that time; return a function that prevents it."""
        return self._loop.call_at(when, call).cancel

    def start(
        self, run: Callable[[], Coroutine[Any, Any, None]], done: Callable[[], object], name: str
    ) -> Callable[[], object]:
        """Start a task, call `done` at its end; return a function that cancels it."""
        task = self._loop.create_task(run(), name=name)
        # Not in a `finally` of the task: one that is cancelled before its first step never runs.
        task.add_done_callback(lambda _: done())
        return task.cancel

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for an event, but not longer than this."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return

    async def wait_shielded(self, event: asyncio.Event, cancel: Callable[[], object]) -> None:
        """Wait for an event. A cancellation is passed on, and raised when the event has come."""
        cancelled: BaseException | None = None
        while not event.is_set():
            try:
                await event.wait()
            except asyncio.CancelledError as error:
                cancelled = error
                cancel()
        try:
            if cancelled is not None:
                raise cancelled
        finally:
            del cancelled
