"""Runs a plan on a sync pipeline."""

from __future__ import annotations

import contextvars
import gc
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from failover_iter._drivers.clock import clock as library_clock
from failover_iter.testing._consumers import (
    Session,
    StreamEnded,
    WrongFlavour,
    has_method,
    is_async_iterable,
    quietly,
)
from failover_iter.testing._runs import Interruption, Recorder
from failover_iter.testing._sources import step, sync_factory
from failover_iter.testing._virtual import WORKERS, VirtualClock

#: How many real seconds to wait for a thread that asks for an item concurrently.
PATIENCE = 0.2
#: And how many for the thread of an abandoned stream, which ends when it has closed its source.
CLOSING_PATIENCE = 5.0


def run_sync(
    pipeline: Callable[..., Any], recorder: Recorder, clock: VirtualClock, tick: float
) -> None:
    """Run the recorder's plan."""
    token = library_clock.set(clock)
    try:
        recorder.begin(clock.time)
        recorder.is_late = clock.is_late
        driver = _SyncDriver(clock)
        session = driver.session = Session(recorder, driver, tick)
        factories = [
            sync_factory(recorder, driver, source, tick)
            for source in range(len(recorder.plan.sources))
        ]
        step(session.run(pipeline, factories))
        clock.interrupt_after(None)
        clock.wake_all()
        driver.settle()
    finally:
        clock.interrupt_after(None)
        clock.wake_all()  # an interrupt may have left the run before
        library_clock.reset(token)
        recorder.sealed = True
        for kept in recorder.kept:
            quietly(getattr(kept, "close", None))


class _SyncDriver:
    cancelled: type[BaseException] | None = None
    session: Session

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.threads: list[threading.Thread] = []

    async def begin(self, returned: Any) -> Any:
        if not has_method(returned, "__iter__") and not has_method(returned, "__next__"):
            if is_async_iterable(returned) or has_method(returned, "__await__"):
                quietly(getattr(returned, "close", None))
                raise WrongFlavour("the pipeline is async")
            raise TypeError(
                f"the pipeline must return an iterator or async iterator, got {returned!r}"
            )
        return iter(returned)

    async def next(self, stream: Any) -> Any:
        return self._ask(stream.__next__)

    async def call(self, stream: Any, method: str, *args: Any) -> Any:
        if method == "close":
            close = getattr(stream, "close", None)
            return close() if close is not None else None
        return self._ask(getattr(stream, method), *args)

    def _ask(self, ask: Callable[..., Any], *args: Any) -> Any:
        try:
            return ask(*args)
        except StopIteration as stop:
            raise StreamEnded(stop.value) from None

    async def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def cancel_after(self, seconds: float) -> None:
        self.clock.interrupt_after(seconds, self.interrupt)

    def interrupt(self, of: tuple[int | None, int] | None = None) -> NoReturn:
        interruption = Interruption("interrupted")
        of = of or self.session.recorder.waits_in
        self.session.recorder.note("interrupt", of=of, value=interruption)
        raise interruption

    def task(self) -> object:
        return None

    async def intrude(self, of: tuple[int, int]) -> None:
        """Do what the consumer does while a source is being pulled or closed."""
        session, how = self.session, self.session.recorder.plan.consumer.how
        if how in ("cancel", "cancel_close"):
            self.interrupt(of)
        if how == "reenter":
            await session.nested()
        else:
            context = contextvars.copy_context()
            thread = threading.Thread(
                target=context.run, args=(step, session.nested()), daemon=True
            )
            thread.start()
            thread.join(PATIENCE)
            self.threads.append(thread)

    def settle(self) -> None:
        """Wait for threads, and let Python close abandoned generators."""
        for thread in self.threads:
            thread.join(PATIENCE)
        if self.session.recorder.anything_open:
            gc.collect(1)  # recently abandoned objects are in the young generations
            for thread in threading.enumerate():
                if thread.name.startswith(WORKERS):
                    thread.join(CLOSING_PATIENCE)
