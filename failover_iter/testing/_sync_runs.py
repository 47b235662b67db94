"""Runs a plan on a blocking pipeline."""

from __future__ import annotations

import contextvars
import gc
import threading
from typing import TYPE_CHECKING, Any

from failover_iter._drivers.clock import clock as library_clock
from failover_iter.testing._consumers import (
    Ended,
    Session,
    WrongFlavour,
    has_method,
    is_async_iterable,
    quietly,
)
from failover_iter.testing._runs import Interruption
from failover_iter.testing._sync_sources import SyncHost, sync_factory
from failover_iter.testing._virtual import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from failover_iter.testing._runs import Recorder
    from failover_iter.testing._virtual import VirtualClock

#: Real seconds for which it is waited for a thread that asks for an item too.
PATIENCE = 0.2


def run_sync(
    pipeline: Callable[..., Any], recorder: Recorder, clock: VirtualClock, tick: float
) -> None:
    """Run the plan of this recorder."""
    token = library_clock.set(clock)
    try:
        recorder.begin(clock.time)
        recorder.is_late = clock.is_late
        driver = _SyncDriver(clock)
        session = driver.session = Session(recorder, driver, tick)
        host = SyncHost(clock.sleep, driver.intrude)
        factories = [
            sync_factory(recorder, host, source, tick)
            for source in range(len(recorder.plan.sources))
        ]
        step(session.run(pipeline, factories))
        clock.wake_all()
        driver.settle()
    finally:
        library_clock.reset(token)
        recorder.sealed = True
        for kept in recorder.kept:
            quietly(getattr(kept, "close", None))


def step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a blocking session has waited")  # pragma: no cover


class _SyncDriver:
    cancelled: type[BaseException] | None = None
    session: Session

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.threads: list[threading.Thread] = []

    async def begin(self, given: Any) -> Any:
        if not has_method(given, "__iter__") and not has_method(given, "__next__"):
            if is_async_iterable(given) or has_method(given, "__await__"):
                quietly(getattr(given, "close", None))
                raise WrongFlavour("the pipeline is async")
            raise TypeError(f"the pipeline must give an iterator or async iterator, got {given!r}")
        return iter(given)

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
            raise Ended(stop.value) from None

    async def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def intrude(self, of: tuple[int, int]) -> None:
        """What the consumer does while a source is pulled or closed."""
        session = self.session
        if session.intrusion == "cancel":
            interruption = Interruption("interrupted")
            session.recorder.note("interrupt", of=of, value=interruption)
            raise interruption
        if session.intrusion == "reenter":
            step(session.nested())
        else:
            context = contextvars.copy_context()
            thread = threading.Thread(
                target=context.run, args=(step, session.nested()), daemon=True
            )
            thread.start()
            thread.join(PATIENCE)
            self.threads.append(thread)

    def settle(self) -> None:
        """Let what was let go be closed."""
        for thread in self.threads:
            thread.join(PATIENCE)
        if self.session.recorder.anything_open:
            gc.collect(1)  # what was let go just now is young
            for thread in threading.enumerate():
                if thread.name.startswith(WORKERS):  # it closes the source of a deleted stream
                    thread.join(PATIENCE)
