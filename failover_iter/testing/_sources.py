"""Sources that follow a plan: one opening of each, in the flavour and the shape of its script."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from failover_iter.testing._either import Ended, blocking_generator, iterable_of, iterator_of, step
from failover_iter.testing._faults import Bug, make_error
from failover_iter.testing._plans import GENERATORS

if TYPE_CHECKING:
    from failover_iter.testing._run import PlanRun

#: Virtual seconds until a stalled source raises: two hours, the default of TCP keepalive.
STALL: Final = 7200.0
#: How many ticks a slow close takes.
SLOW: Final = 10


class ScriptedSource:
    """A source that follows its script: one opening of it.

    `start` is how many items to leave out: a number, or an object that has it as `delivered`.
    """

    def __init__(self, run: PlanRun, source: int, start: Any) -> None:
        self.run = run
        self.of = run.open(source)
        self.script = run.plan.script(*self.of)
        self.place = int(getattr(start, "delivered", start))
        #: The return value of a generator.
        self.value = f"returned by source {source + 1}" if self.script.kind == "returning" else None
        self.has_ended = False

    def note(self, what: Any, **more: Any) -> None:
        """Log what happened to this opening."""
        self.run.note(what, of=self.of, **more)

    def fail(self, name: str, phase: str) -> NoReturn:
        """Raise a new error, and log it as a failure of this opening."""
        where = f"source {self.of[0] + 1}, opening {self.of[1] + 1}, {phase}"
        error = make_error(name, self.run.plan.errors, where)
        self.note("fail", value=error, phase=phase)
        if name != "chained":
            raise error
        error.add_note(f"noted by {where}")
        try:
            raise Bug(f"the cause in {where}")  # noqa: TRY301 (it becomes the context too)
        except Bug as cause:
            raise error from cause

    async def open(self, phase: str) -> None:
        """Do what the call or the await of the factory does, or `iter()`: it may fail.

        It may take time, except in the plain calls of an async source.
        """
        can_wait = phase == "await" or not self.run.world.is_async
        if can_wait and phase != "iter":
            await self._wait(self.script.opens)
        fails_here = (self.script.at == "iter") is (phase == "iter") and self.script.at != "pull"
        if self.script.end == "raises" and fails_here:
            if can_wait:
                await self._wait(self.script.ticks_before(0))
            self.fail(self.script.error, phase)

    def live(self, part: str = "") -> None:
        """Log that this part of the source must be closed from now on."""
        self.note("live", phase=part)

    async def pull(self) -> Any:
        """Return the next item, or raise `Ended` or the error of the script."""
        if self.has_ended:
            raise Ended(self.value)
        script = self.script
        self.note("pull")
        self.run.note_elsewhere(self.of)
        await self.run.intrude(self.of, "pull")
        await self._wait(script.ticks_before(min(self.place, len(script.items))))
        if self.place < len(script.items):
            item = self.run.item(script.items[self.place])
            self.place += 1
            self.note("yield", value=item)
            return item
        if script.end == "stalls":
            await self._sleep(STALL)
        self.has_ended = True
        if script.end != "ends":
            self.fail(script.error, "pull")
        self.note("stop", value=self.value)
        raise Ended(self.value)

    async def close(self, phase: str = "close", part: str = "") -> None:
        """Close this part of the source, unless the run has ended."""
        if self.run.sealed:
            return
        self.note("close", phase=part)
        await self.run.intrude(self.of, "close")
        if part == "iterable":
            return  # the iterator, which is closed first, does what the script says
        if self.script.closing == "slow":
            await self._wait(SLOW)
        elif self.script.closing == "raises":
            self.fail("", phase)
        elif self.script.closing in ("bug", "base"):
            self.fail(self.script.closing, phase)

    async def _wait(self, ticks: int) -> None:
        if ticks:
            await self._sleep(ticks * self.run.tick)

    async def _sleep(self, seconds: float) -> None:
        before, self.run.waits_in = self.run.waits_in, self.of
        try:
            await self.run.world.sleep(seconds)
        finally:
            self.run.waits_in = before

    # The shapes of a source.

    def made(self) -> Any:
        """Return what the factory returns."""
        run, source, kind = self.run, self.of[0], self.script.kind
        if kind == "same" and source in run.last:
            return run.last[source]
        shapes: dict[str, Callable[[], Any]] = {
            "iterable": self._iterable,
            "both": partial(self._iterable, both=True),
            "bare": self._bare,
            **dict.fromkeys(GENERATORS, self._generator),
        }
        made = run.last[source] = shapes.get(kind, self._iterator)()
        run.kept.append(made)
        return made

    def _bare(self) -> Any:
        return iterator_of(self.pull, is_async=self.run.world.is_async)

    def _iterator(self, part: str = "") -> Any:
        self.live(part)
        close = partial(self.close, part=part)
        return iterator_of(self.pull, is_async=self.run.world.is_async, close=close)

    def _iterable(self, *, both: bool = False) -> Any:
        """An iterable with a close method, over an iterator that may have one too.

        The async method is named `close`, not `aclose`, as in the streams of many SDKs.
        """
        part = "iterable" if both else ""
        self.live(part)

        def iterator() -> Any:
            step(self.open("iter"))
            return self._iterator("iterator") if both else self._bare()

        close = partial(self.close, part=part)
        return iterable_of(iterator, close, is_async=self.run.world.is_async)

    def _generator(self) -> Any:
        generator = self._async_generator()
        return generator if self.run.world.is_async else blocking_generator(generator, self)

    async def _async_generator(self) -> AsyncGenerator[Any, Any]:
        self.live()
        phase = "pull"
        try:
            while True:
                item = await self.pull()
                try:
                    sent = yield item
                except BaseException as error:
                    phase = "close" if isinstance(error, GeneratorExit) else "throw"
                    if phase == "throw":
                        self.note("thrown", value=error)
                    if phase == "close" or self.script.kind != "answering":
                        raise
                    phase, sent = "pull", None
                if sent is not None:
                    self.note("sent", value=sent)
        except Ended:
            return
        finally:
            await self.close(phase)
            if phase == "close" and self.script.closing == "yields":
                yield "an item from a close"


def factories_of(run: PlanRun) -> list[Any]:
    """Return a factory for each source of the plan."""
    return [factory_of(run, source) for source in range(len(run.plan.sources))]


def factory_of(run: PlanRun, source: int) -> Any:
    """Return the factory of one source; its argument is how many items to leave out."""

    async def opened(phase: str, start: Any) -> Any:
        opening = ScriptedSource(run, source, start)
        await opening.open(phase)
        return opening.made()

    def factory(start: Any = 0) -> Any:
        return step(opened("call", start))

    async def awaited_factory(start: Any = 0) -> Any:
        run.openings_in_progress += 1
        try:
            return await opened("await", start)
        finally:
            run.openings_in_progress -= 1

    is_awaited = run.world.is_async and run.awaited
    made: Any = awaited_factory if is_awaited else factory
    made.__name__ = made.__qualname__ = f"source_{source + 1}"
    return made
