"""Runs a plan on an async pipeline under trio: only this module needs trio."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

import trio
import trio.testing

from failover_iter.testing._async_runs import FOREVER, FOREVER_MESSAGE, AsyncDriver
from failover_iter.testing._runs import Recorder, Runaway


class _TrioDriver(AsyncDriver):
    cancelled: type[BaseException] | None = trio.Cancelled
    nursery: trio.Nursery

    def __init__(self, recorder: Recorder, tick: float) -> None:
        super().__init__(recorder, tick)
        self.scope = trio.CancelScope()

    def time(self) -> float:
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def task(self) -> object:
        return trio.lowlevel.current_task()

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.nursery.start_soon(function)

    def cancel(self) -> None:
        self.scope.cancel()

    async def guard(self, session: Coroutine[Any, Any, None]) -> None:
        with trio.move_on_after(FOREVER) as forever, self.scope:
            await session
        if forever.cancelled_caught:
            raise Runaway(FOREVER_MESSAGE)


def run_trio(
    pipeline: Callable[..., Any], recorder: Recorder, tick: float, *, awaited: bool
) -> None:
    """Run the recorder's plan under trio with virtual time."""
    foreign: list[BaseException] = []  # kept here, or the nursery would wrap it in a group

    async def main() -> None:
        driver = _TrioDriver(recorder, tick)
        async with trio.open_nursery() as driver.nursery:
            try:
                await driver.run(pipeline, awaited=awaited)
            except BaseException as error:  # noqa: BLE001 (raised below)
                foreign.append(error)
            driver.nursery.cancel_scope.cancel()

    with warnings.catch_warnings(), _strays_noted(recorder):
        warnings.simplefilter("ignore", ResourceWarning)  # plans abandon streams on purpose
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    if foreign:
        raise foreign.pop()


@contextmanager
def _strays_noted(recorder: Recorder) -> Generator[None]:
    """Log the errors of async generators that trio closes."""
    logger = logging.getLogger("trio.async_generator_errors")

    def note(record: logging.LogRecord) -> bool:
        recorder.note("stray", value=record.exc_info[1] if record.exc_info else None)
        return False

    logger.addFilter(note)
    try:
        yield
    finally:
        logger.removeFilter(note)
