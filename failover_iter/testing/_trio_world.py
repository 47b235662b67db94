"""Where a run under trio takes place: only this module needs trio."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Coroutine
from typing import Any

import trio
import trio.abc
import trio.testing

from failover_iter.testing._run import Function, PlanRun
from failover_iter.testing._runs import Runaway
from failover_iter.testing._virtual import LEAST_PATIENCE, THREAD_PATIENCE
from failover_iter.testing._worlds import FOREVER, AsyncWorld


class _StopsForThreads(trio.abc.Instrument):
    """Lets no time pass while a function runs in a thread of trio, if it returns soon."""

    limiter: trio.CapacityLimiter | None = None
    patience = THREAD_PATIENCE
    now = 0.0
    #: Whether a thread has worked since the last step of a task.
    is_working = False

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self.clock = clock

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Look for threads."""
        del task
        self.limiter = self.limiter or trio.to_thread.current_default_thread_limiter()
        before, has_worked = self.now, self.is_working
        self.now, self.is_working = self.clock.current_time(), bool(self.limiter.borrowed_tokens)
        if has_worked and self.is_working and self.now != before:  # a wait in vain
            self.patience = max(self.patience / 10, LEAST_PATIENCE)
        threshold = self.patience if self.is_working else 0.0
        if threshold != self.clock.autojump_threshold:
            self.clock.autojump_threshold = threshold


class TrioWorld(AsyncWorld):
    """Trio in virtual time."""

    cancelled = trio.Cancelled
    nursery: trio.Nursery

    def __init__(self) -> None:
        self.scope = trio.CancelScope()

    def play(self, run: PlanRun) -> None:
        foreign: list[BaseException] = []  # kept here, or the nursery would wrap it in a group

        async def nursed() -> None:
            async with trio.open_nursery() as self.nursery:
                try:
                    await run.main()
                except BaseException as error:  # noqa: BLE001 (raised below)
                    foreign.append(error)
                self.nursery.cancel_scope.cancel()

        def note(record: logging.LogRecord) -> bool:
            run.stray(record.exc_info[1] if record.exc_info else None)
            return False

        logger = logging.getLogger("trio.async_generator_errors")  # of those that trio closes
        logger.addFilter(note)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # streams are abandoned on purpose
                clock = trio.testing.MockClock(autojump_threshold=0)
                trio.run(nursed, clock=clock, instruments=[_StopsForThreads(clock)])
        finally:
            logger.removeFilter(note)
        if foreign:
            raise foreign.pop()

    async def guard(self, consumer: Coroutine[Any, Any, None]) -> None:
        with trio.move_on_after(FOREVER) as forever, self.scope:
            await consumer
        if forever.cancelled_caught:
            raise Runaway("the pipeline waits for something that never happens")

    def time(self) -> float:
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def task(self) -> object:
        return trio.lowlevel.current_task()

    def start(self, function: Function) -> None:
        self.nursery.start_soon(function)

    def cancel(self) -> None:
        self.scope.cancel()
