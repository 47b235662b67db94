"""The tasks and timers of a race under trio.

They are system tasks: a stream has no nursery, which could not stay open while it yields.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Tasks:
    """Tasks and timers of the running trio."""

    event = trio.Event
    cancelled: type[BaseException] = trio.Cancelled

    def call_at(self, when: float, call: Callable[[], object]) -> Callable[[], object]:
        """Call this at that time; return a function that prevents it."""
        scope = trio.CancelScope()

        async def wait() -> None:
            with scope:
                await trio.sleep_until(when)
            if not scope.cancel_called:
                call()

        trio.lowlevel.spawn_system_task(wait, context=copy_context())
        return scope.cancel

    def start(
        self, run: Callable[[], Coroutine[Any, Any, None]], done: Callable[[], object], name: str
    ) -> Callable[[], object]:
        """Start a task, call `done` at its end; return a function that cancels it."""
        scope = trio.CancelScope()

        async def task() -> None:
            try:
                with scope:
                    await run()
            finally:
                done()

        trio.lowlevel.spawn_system_task(task, name=name, context=copy_context())
        return scope.cancel

    async def wait(self, event: trio.Event, seconds: float) -> None:
        """Wait for an event, but not longer than this."""
        with trio.move_on_after(seconds):
            await event.wait()

    async def wait_shielded(self, event: trio.Event, cancel: Callable[[], object]) -> None:
        """Wait for an event. A cancellation is passed on, and raised when the event has come."""
        if event.is_set():
            return
        try:
            await event.wait()
        except trio.Cancelled:
            cancel()
            with trio.CancelScope(shield=True):
                await event.wait()
            raise
