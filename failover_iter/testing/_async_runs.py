"""Runs a plan on an async pipeline, under asyncio or trio."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Protocol

from failover_iter.testing._consumers import Session, StreamEnded, is_async_iterable
from failover_iter.testing._loop import JumpingLoop
from failover_iter.testing._runs import Recorder, Runaway
from failover_iter.testing._sources import async_factory, step

#: Virtual seconds after which a run is stopped: longer than any stall.
FOREVER = 1_000_000.0
FOREVER_MESSAGE = "the pipeline waits for something that never happens"


class Library(Protocol):
    """The functions of asyncio or trio that a run needs."""

    cancelled: type[BaseException]

    def time(self) -> float:
        """Return the virtual time in seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time."""
        ...

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a function concurrently with the session; cancel it when the run ends."""
        ...

    def cancel(self) -> None:
        """Cancel the session."""
        ...

    def task(self) -> object:
        """Return the current task."""
        ...


class AsyncDriver:
    """Carries out the moves of an async session."""

    def __init__(self, library: Library, recorder: Recorder, tick: float) -> None:
        self.library = library
        self.recorder = recorder
        self.tick = tick
        self.cancelled: type[BaseException] | None = library.cancelled
        self.session = Session(recorder, self, tick)

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

    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time."""
        await self.library.sleep(seconds)

    def cancel_after(self, seconds: float) -> None:
        """Cancel the session after this time, whatever it then waits for."""

        async def cancel() -> None:
            await self.library.sleep(seconds)
            if not self.session.is_over:
                self.recorder.note("interrupt", of=self.recorder.waits_in)
                self.library.cancel()

        self.library.spawn(cancel)

    def task(self) -> object:
        """Return the current task."""
        return self.library.task()

    async def intrude(self, of: tuple[int, int]) -> None:
        """Do what the consumer does while a source is being pulled or closed."""
        session = self.session
        if session.intrusion == "cancel":
            self.recorder.note("interrupt", of=of)
            self.library.cancel()
            await self.library.sleep(self.tick)
        elif session.intrusion == "reenter":
            await session.nested()
        else:
            self.library.spawn(session.nested)
            for _ in range(3):
                await self.library.sleep(0)

    async def settle(self) -> None:
        """Let the loop close abandoned generators."""
        for pause in (0, 0, self.tick, 100 * self.tick):
            await self.library.sleep(pause)
            if not self.recorder.anything_open:
                return
            gc.collect(1)  # recently abandoned objects are in the young generations

    async def main(
        self,
        guard: Callable[[Coroutine[Any, Any, None]], Awaitable[None]],
        pipeline: Callable[..., Any],
        *,
        awaited: bool,
    ) -> None:
        """Run the session under `guard`, then let the loop settle."""
        recorder = self.recorder
        recorder.begin(self.library.time)
        factories = [
            async_factory(recorder, self, source, self.tick, awaited=awaited)
            for source in range(len(recorder.plan.sources))
        ]
        try:
            try:
                await guard(self.session.run(pipeline, factories))
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


class _Asyncio:
    cancelled: type[BaseException] = asyncio.CancelledError

    session: asyncio.Task[None]

    def __init__(self) -> None:
        self.beside: list[asyncio.Task[None]] = []

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.beside.append(asyncio.get_running_loop().create_task(function()))

    def cancel(self) -> None:
        self.session.cancel()

    def task(self) -> object:
        return asyncio.current_task()

    async def guard(self, session: Coroutine[Any, Any, None]) -> None:
        self.session = task = asyncio.get_running_loop().create_task(session)
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
    library = _Asyncio()
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.get_loop().set_exception_handler(
            lambda _, context: recorder.note("stray", value=context.get("exception"))
        )
        driver = AsyncDriver(library, recorder, tick)
        runner.run(driver.main(library.guard, pipeline, awaited=awaited))


def run_trio(  # noqa: C901 (everything that needs trio, which is imported here)
    pipeline: Callable[..., Any], recorder: Recorder, tick: float, *, awaited: bool
) -> None:
    """Run the recorder's plan under trio with virtual time."""
    import trio
    import trio.testing

    class Trio:
        cancelled: type[BaseException] = trio.Cancelled
        nursery: trio.Nursery

        def __init__(self) -> None:
            self.session_scope = trio.CancelScope()

        def time(self) -> float:
            return trio.current_time()

        async def sleep(self, seconds: float) -> None:
            await trio.sleep(seconds)

        def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
            self.nursery.start_soon(function)

        def cancel(self) -> None:
            self.session_scope.cancel()

        def task(self) -> object:
            return trio.lowlevel.current_task()

        async def guard(self, session: Coroutine[Any, Any, None]) -> None:
            with trio.move_on_after(FOREVER) as forever, self.session_scope:
                await session
            if forever.cancelled_caught:
                raise Runaway(FOREVER_MESSAGE)

    library = Trio()
    foreign: list[BaseException] = []  # kept here, or the nursery would wrap it in a group

    async def main() -> None:
        driver = AsyncDriver(library, recorder, tick)
        async with trio.open_nursery() as library.nursery:
            try:
                await driver.main(library.guard, pipeline, awaited=awaited)
            except BaseException as error:  # noqa: BLE001 (raised below)
                foreign.append(error)
            library.nursery.cancel_scope.cancel()

    with warnings.catch_warnings(), _strays_of_trio(recorder):
        warnings.simplefilter("ignore", ResourceWarning)  # plans abandon streams on purpose
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    if foreign:
        raise foreign.pop()


@contextmanager
def _strays_of_trio(recorder: Recorder) -> Generator[None]:
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


def run_coroutine(flavour: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a flavour, in real time; in the sync flavour, it never suspends."""
    if flavour == "sync":
        return step(coroutine)
    if flavour == "trio":
        import trio

        return trio.run(lambda: coroutine)
    with asyncio.Runner() as runner:
        return runner.run(coroutine)
