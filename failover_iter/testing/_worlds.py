"""The worlds in which runs take place: sync, asyncio, and what trio shares with that."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, TypeAlias, TypeVar

from failover_iter._drivers.clock import async_library
from failover_iter._drivers.clock import clock as library_clock
from failover_iter.testing._either import WrongFlavour, step
from failover_iter.testing._run import Function, PlanRun, World
from failover_iter.testing._runs import Interruption, Runaway
from failover_iter.testing._virtual import WORKERS, VirtualClock

Result = TypeVar("Result")
Flavour: TypeAlias = Literal["sync", "asyncio", "trio"]
FLAVOURS: Final = ("sync", "asyncio", "trio")

#: How many real seconds to wait for a thread that asks for an item concurrently.
CONCURRENT_PATIENCE = 0.2
#: And how many for the thread of an abandoned stream, which ends when it has closed its source.
CLOSING_PATIENCE = 5.0
#: Virtual seconds after which a run is stopped: longer than any stall.
FOREVER: Final = 1_000_000.0


class SyncWorld(World):
    """Blocking streams, on a virtual clock."""

    is_async = False

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.threads: list[threading.Thread] = []

    def play(self, run: PlanRun) -> None:
        token = library_clock.set(self.clock)
        try:
            step(run.main())
        finally:
            self._wake_all()  # an interrupt may have left the run before
            library_clock.reset(token)

    async def guard(self, consumer: Coroutine[Any, Any, None]) -> None:
        await consumer

    async def settle(self, run: PlanRun) -> None:
        self._wake_all()
        for thread in self.threads:
            thread.join(CONCURRENT_PATIENCE)
        if run.anything_open:
            gc.collect(1)  # recently abandoned objects are in the young generations
            for thread in threading.enumerate():
                if thread.name.startswith(WORKERS):
                    thread.join(CLOSING_PATIENCE)

    def _wake_all(self) -> None:
        self.clock.interrupt_after(None)
        self.clock.wake_all()

    async def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def task(self) -> object:
        return None

    async def spawn(self, function: Function) -> None:
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: context.run(step, function()), daemon=True)
        thread.start()
        thread.join(CONCURRENT_PATIENCE)
        self.threads.append(thread)

    async def call_after(self, seconds: float, call: Callable[[], object]) -> None:
        self.clock.interrupt_after(seconds, call)

    def cancel(self) -> Interruption:
        return Interruption("interrupted")

    def time(self) -> float:
        return self.clock.time()

    def is_late(self) -> bool:
        return self.clock.is_late()


class AsyncWorld(World):
    """What asyncio and trio share."""

    @abstractmethod
    def start(self, function: Function) -> None:
        """Start a task that is cancelled when the run ends."""

    async def spawn(self, function: Function) -> None:
        self.start(function)
        for _ in range(3):
            await self.sleep(0)

    async def call_after(self, seconds: float, call: Callable[[], object]) -> None:
        async def later() -> None:
            await self.sleep(seconds)
            call()

        self.start(later)

    async def settle(self, run: PlanRun) -> None:
        for pause in (0, 0, run.tick, 100 * run.tick):
            await self.sleep(pause)
            if not run.anything_open:
                return
            gc.collect(1)  # recently abandoned objects are in the young generations


class AsyncioWorld(AsyncWorld):
    """An asyncio loop in virtual time."""

    cancelled = asyncio.CancelledError
    consumer: asyncio.Task[None]

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.beside: list[asyncio.Task[None]] = []

    def play(self, run: PlanRun) -> None:
        with asyncio.Runner(loop_factory=self.clock.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(
                lambda _, context: run.stray(context.get("exception"))
            )
            runner.run(run.main())

    async def guard(self, consumer: Coroutine[Any, Any, None]) -> None:
        self.consumer = asyncio.create_task(consumer)
        await asyncio.wait({self.consumer}, timeout=FOREVER)
        waits = not self.consumer.done()
        for task in (tasks := {self.consumer, *self.beside}):
            task.cancel()
        await asyncio.wait(tasks)
        if waits:
            raise Runaway("the pipeline waits for something that never happens")
        if not self.consumer.cancelled():
            self.consumer.result()

    def time(self) -> float:
        return self.clock.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def task(self) -> object:
        return asyncio.current_task()

    def start(self, function: Function) -> None:
        self.beside.append(asyncio.create_task(function()))

    def cancel(self) -> None:
        self.consumer.cancel()


def in_flavour(flavour: Flavour | None, run: Callable[[Flavour], Result]) -> Result:
    """Run in this flavour. Without one, find out: run sync, and under asyncio if that is wrong."""
    if flavour not in (None, *FLAVOURS):
        raise ValueError(f"flavour must be one of {', '.join(FLAVOURS)}, or None; got {flavour!r}")
    try:
        check_not_within(flavour or "sync")
        return run(flavour or "sync")
    except WrongFlavour:
        if flavour is not None:
            raise
    check_not_within("asyncio")
    return run("asyncio")


def check_not_within(flavour: Flavour) -> None:
    """Check that no event loop of this flavour runs in this thread: it could not run another."""
    if async_library() == flavour:
        raise RuntimeError(
            f"this starts an event loop, so it cannot run within {flavour}: call it from a plain "
            f"function, or in a thread with `{flavour}.to_thread`"
        )


def run_coroutine(flavour: Flavour, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a flavour, in real time; in the sync flavour, it never suspends."""
    if flavour == "sync":
        return step(coroutine)
    if flavour == "trio":
        import trio

        return trio.run(lambda: coroutine)
    with asyncio.Runner() as runner:
        return runner.run(coroutine)
