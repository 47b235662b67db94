"""Runs a plan on an async pipeline: what asyncio and trio share, and a run under asyncio."""

from __future__ import annotations

import asyncio
import gc
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from failover_iter.testing._consumers import Session, StreamEnded, is_async_iterable
from failover_iter.testing._loop import JumpingLoop
from failover_iter.testing._runs import Recorder, Runaway
from failover_iter.testing._sources import async_factory, step

#: Virtual seconds after which a run is stopped: longer than any stall.
FOREVER: Final = 1_000_000.0
FOREVER_MESSAGE: Final = "the pipeline waits for something that never happens"


class AsyncDriver(ABC):
    """Carries out the moves of an async session."""

    cancelled: type[BaseException] | None

    def __init__(self, recorder: Recorder, tick: float) -> None:
        self.recorder = recorder
        self.tick = tick
        self.session = Session(recorder, self, tick)

    # The functions of asyncio or trio that a run needs.

    @abstractmethod
    def time(self) -> float:
        """Return the virtual time in seconds."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time."""

    @abstractmethod
    def task(self) -> object:
        """Return the current task."""

    @abstractmethod
    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a function concurrently with the session; cancel it when the run ends."""

    @abstractmethod
    def cancel(self) -> None:
        """Cancel the session."""

    @abstractmethod
    async def guard(self, session: Coroutine[Any, Any, None]) -> None:
        """Run the session; raise `Runaway` if it does not end."""

    # The moves.

    async def begin(self, returned: Any) -> Any:
        """Await what the pipeline returned if necessary, and return its async iterator."""
        if not is_async_iterable(returned) and inspect.isawaitable(returned):
            returned = await returned
        if not is_async_iterable(returned):
            raise TypeError(f"the pipeline must return an async iterator, got {returned!r}")
        return aiter(returned)

    async def next(self, stream: Any) -> Any:
        """Pull the next item, or raise `StreamEnded`."""
        return await _ask(stream.__anext__)

    async def call(self, stream: Any, method: str, *args: Any) -> Any:
        """Call `asend`, `athrow` or `aclose`."""
        if method == "close":
            close = getattr(stream, "aclose", None)
            return await close() if close is not None else None
        return await _ask(getattr(stream, f"a{method}"), *args)

    def cancel_after(self, seconds: float) -> None:
        """Cancel the session after this time, whatever it then waits for."""

        async def cancel() -> None:
            await self.sleep(seconds)
            if not self.session.is_over:
                self.recorder.note("interrupt", of=self.recorder.waits_in)
                self.cancel()

        self.spawn(cancel)

    async def intrude(self, of: tuple[int, int]) -> None:
        """Do what the consumer does while a source is being pulled or closed."""
        session, how = self.session, self.session.recorder.plan.consumer.how
        if how in ("cancel", "cancel_close"):
            self.recorder.note("interrupt", of=of)
            self.cancel()
            await self.sleep(self.tick)
        elif how == "reenter":
            await session.nested()
        else:
            self.spawn(session.nested)
            for _ in range(3):
                await self.sleep(0)

    async def settle(self) -> None:
        """Let the loop close abandoned generators."""
        for pause in (0, 0, self.tick, 100 * self.tick):
            await self.sleep(pause)
            if not self.recorder.anything_open:
                return
            gc.collect(1)  # recently abandoned objects are in the young generations

    async def run(self, pipeline: Callable[..., Any], *, awaited: bool) -> None:
        """Run the session under `guard`, then let the loop settle."""
        recorder = self.recorder
        recorder.begin(self.time)
        factories = [
            async_factory(recorder, self, source, self.tick, awaited=awaited)
            for source in range(len(recorder.plan.sources))
        ]
        try:
            try:
                await self.guard(self.session.run(pipeline, factories))
            except Runaway as runaway:
                recorder.note("raised", value=runaway)
            await self.settle()
        finally:
            recorder.sealed = True
            for kept in recorder.kept:
                await _aclose_quietly(kept)


async def _ask(ask: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    try:
        return await ask(*args)
    except StopAsyncIteration:
        raise StreamEnded from None


async def _aclose_quietly(kept: Any) -> None:
    close = getattr(kept, "aclose", None)
    if close is not None:
        try:
            await close()
        except Exception:  # noqa: BLE001 (the run has ended: errors no longer matter)
            return


class _AsyncioDriver(AsyncDriver):
    cancelled: type[BaseException] | None = asyncio.CancelledError
    running: asyncio.Task[None]

    def __init__(self, recorder: Recorder, tick: float) -> None:
        super().__init__(recorder, tick)
        self.beside: list[asyncio.Task[None]] = []

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def task(self) -> object:
        return asyncio.current_task()

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.beside.append(asyncio.create_task(function()))

    def cancel(self) -> None:
        self.running.cancel()

    async def guard(self, session: Coroutine[Any, Any, None]) -> None:
        self.running = task = asyncio.create_task(session)
        await asyncio.wait({task}, timeout=FOREVER)
        waits = not task.done()
        task.cancel()
        for beside in self.beside:
            beside.cancel()
        await asyncio.wait({task, *self.beside})
        if waits:
            raise Runaway(FOREVER_MESSAGE)
        if not task.cancelled():
            task.result()


def run_asyncio(
    pipeline: Callable[..., Any], recorder: Recorder, tick: float, *, awaited: bool
) -> None:
    """Run the recorder's plan on an asyncio loop with virtual time."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.get_loop().set_exception_handler(
            lambda _, context: recorder.note("stray", value=context.get("exception"))
        )
        runner.run(_AsyncioDriver(recorder, tick).run(pipeline, awaited=awaited))


def run_coroutine(flavour: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a flavour, in real time; in the sync flavour, it never suspends."""
    if flavour == "sync":
        return step(coroutine)
    if flavour == "trio":
        import trio

        return trio.run(lambda: coroutine)
    with asyncio.Runner() as runner:
        return runner.run(coroutine)
