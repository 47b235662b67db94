"""Sources that follow a plan. Each step is written once, as a coroutine.

A blocking source runs the same coroutine by `step`: its driver sleeps without suspending it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from functools import partial
from typing import Any, Final, NoReturn

from failover_iter.testing._consumers import Driver
from failover_iter.testing._faults import Bug, make_error
from failover_iter.testing._runs import Recorder

#: Virtual seconds until a stalled source raises: two hours, the default of TCP keepalive.
STALL = 7200.0
#: How many ticks a slow close takes.
SLOW = 10


class SourceEnded(Exception):
    """The source has ended."""


def step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a coroutine of a blocking run was suspended")  # pragma: no cover


class OpenedSource:
    """One opening of a source.

    `start` is how many items to leave out: a number, or an object that has it as `delivered`.
    """

    def __init__(
        self, recorder: Recorder, driver: Driver, source: int, tick: float, start: Any
    ) -> None:
        number = recorder.open(source)
        self.recorder = recorder
        self.driver = driver
        self.of = (source, number)
        self.script = recorder.plan.script(source, number)
        self.tick = tick
        self.place = int(getattr(start, "delivered", start))
        #: The return value of a generator.
        self.value = f"returned by source {source + 1}" if self.script.kind == "returning" else None
        self.has_ended = False

    def note(self, what: Any, **more: Any) -> None:
        """Log what happened to this opening."""
        self.recorder.note(what, of=self.of, **more)

    def fail(self, name: str, phase: str) -> NoReturn:
        """Raise a new error, and log it as a failure of this opening."""
        where = f"source {self.of[0] + 1}, opening {self.of[1] + 1}, {phase}"
        error = make_error(name, self.recorder.plan.errors, where)
        self.note("fail", value=error, phase=phase)
        if name != "chained":
            raise error
        error.add_note(f"noted by {where}")
        try:
            raise Bug(f"the cause in {where}")  # noqa: TRY301 (it becomes the context too)
        except Bug as cause:
            raise error from cause

    def fails_at(self, *phases: str) -> bool:
        """Whether this opening fails in one of these phases."""
        return self.script.end == "raises" and self.script.at in phases

    async def open(self, phase: str) -> None:
        """Do what the call, or the await, of the factory does: it may take time, and may fail."""
        await self._wait(self.script.opens)
        if self.fails_at("call", "await"):
            await self._wait(self.script.ticks_before(0))
            self.fail(self.script.error, phase)

    async def enter(self) -> None:
        """Do what `iter()` does."""
        if self.fails_at("iter"):
            await self._wait(self.script.ticks_before(0))
            self.fail(self.script.error, "iter")

    def live(self, part: str = "") -> None:
        """Log that this part of the source must be closed from now on."""
        self.note("live", phase=part)

    async def pull(self) -> Any:
        """Return the next item, or raise `SourceEnded` or the error of the script."""
        if self.has_ended:
            raise SourceEnded
        self.note("pull")
        self.recorder.note_elsewhere(self.of)
        await self._be_intruded("pull")
        await self._wait(self.script.ticks_before(min(self.place, len(self.script.items))))
        if self.place < len(self.script.items):
            item = self.recorder.item(self.script.items[self.place])
            self.place += 1
            self.note("yield", value=item)
            return item
        if self.script.end == "stalls":
            await self._sleep(STALL)
        self.has_ended = True
        if self.script.end != "ends":
            self.fail(self.script.error, "pull")
        self.note("stop", value=self.value)
        raise SourceEnded

    async def close(self, phase: str = "close", part: str = "") -> None:
        """Close this part of the source, unless the run has ended."""
        if self.recorder.sealed:
            return
        self.note("close", phase=part)
        await self._be_intruded("close")
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
            await self._sleep(ticks * self.tick)

    async def _sleep(self, seconds: float) -> None:
        before, self.recorder.waits_in = self.recorder.waits_in, self.of
        try:
            await self.driver.sleep(seconds)
        finally:
            self.recorder.waits_in = before

    async def _be_intruded(self, where: str) -> None:
        if self.recorder.intrusion == where:
            self.recorder.intrusion = None
            await self.driver.intrude(self.of)


# The async shapes of a source.


class _Bare:
    """An async iterator that has only `__anext__` and `__aiter__`."""

    def __init__(self, opened: OpenedSource) -> None:
        self.opened = opened

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.opened.pull()
        except SourceEnded:
            raise StopAsyncIteration from None


class _Iterator(_Bare):
    """An async iterator with `aclose`; `part` is the name of this part in the log."""

    def __init__(self, opened: OpenedSource, part: str = "") -> None:
        super().__init__(opened)
        self.part = part
        opened.live(part)

    async def aclose(self) -> None:
        await self.opened.close(part=self.part)


class _Iterable:
    """An async iterable with a close method, over an iterator that may have one too.

    The method is an async `close`, not `aclose`, as in the streams of many SDKs.
    """

    def __init__(self, opened: OpenedSource, *, both: bool = False) -> None:
        self.opened = opened
        self.both = both
        self.part = "iterable" if both else ""
        opened.live(self.part)

    def __aiter__(self) -> AsyncIterator[Any]:
        if self.opened.fails_at("iter"):
            self.opened.fail(self.opened.script.error, "iter")  # at once: a plain call cannot wait
        return _Iterator(self.opened, "iterator") if self.both else _Bare(self.opened)

    async def close(self) -> None:
        await self.opened.close(part=self.part)


async def _generator(opened: OpenedSource) -> AsyncGenerator[Any, Any]:
    opened.live()
    phase = "pull"
    try:
        while True:
            item = await opened.pull()
            try:
                sent = yield item
            except BaseException as error:
                phase = "close" if isinstance(error, GeneratorExit) else "throw"
                if phase == "throw":
                    opened.note("thrown", value=error)
                if phase == "close" or opened.script.kind != "answering":
                    raise
                phase, sent = "pull", None
            if sent is not None:
                opened.note("sent", value=sent)
    except SourceEnded:
        return
    finally:
        await opened.close(phase)
        if phase == "close" and opened.script.closing == "yields":
            yield "an item from a close"


# The same shapes, blocking.


class _BlockingBare:
    def __init__(self, source: _Bare) -> None:
        self.source = source

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return step(self.source.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None


class _BlockingIterator(_BlockingBare):
    source: _Iterator

    def close(self) -> None:
        step(self.source.aclose())


class _BlockingIterable:
    def __init__(self, source: _Iterable) -> None:
        self.source = source

    def __iter__(self) -> Any:
        step(self.source.opened.enter())
        return _blocking(aiter(self.source))

    def close(self) -> None:
        step(self.source.close())


def blocking_generator(source: AsyncGenerator[Any, Any], opened: Any) -> Generator[Any, Any, Any]:
    """Step an async generator that never suspends, and return the `value` of what opened it."""
    pull = source.__anext__()
    while True:
        try:
            item = step(pull)
        except StopAsyncIteration:
            return opened.value
        try:
            sent = yield item
        except GeneratorExit:
            step(source.aclose())
            raise
        except BaseException as error:
            pull = source.athrow(error)
        else:
            pull = source.asend(sent)


def _blocking(source: Any) -> Any:
    match source:
        case _Iterable():
            return _BlockingIterable(source)
        case _Iterator():
            return _BlockingIterator(source)
        case _:
            return _BlockingBare(source)


_SHAPES: Final[dict[str, Callable[[OpenedSource], Any]]] = {
    "iterator": _Iterator,
    "iterable": _Iterable,
    "both": partial(_Iterable, both=True),
    "bare": _Bare,
    "same": _Iterator,
}


def _made(opened: OpenedSource, *, blocking: bool) -> Any:
    """Return what the factory returns for this opening."""
    recorder, source = opened.recorder, opened.of[0]
    kind = opened.script.kind
    if kind == "same" and source in recorder.last:
        return recorder.last[source]
    make: Callable[[OpenedSource], Any] = _SHAPES.get(kind, _generator)
    made = make(opened)
    if blocking:
        made = _blocking(made) if kind in _SHAPES else blocking_generator(made, opened)
    recorder.kept.append(made)
    recorder.last[source] = made
    return made


def sync_factory(recorder: Recorder, driver: Driver, source: int, tick: float) -> Any:
    """Return a factory for one source of the plan; `start` is how many items to leave out."""

    def factory(start: Any = 0) -> Any:
        opened = OpenedSource(recorder, driver, source, tick, start)
        step(opened.open("call"))
        return _made(opened, blocking=True)

    return _named(factory, source)


def async_factory(
    recorder: Recorder, driver: Driver, source: int, tick: float, *, awaited: bool
) -> Any:
    """Return a factory for one source of the plan; with `awaited`, an async function."""

    def factory(start: Any = 0) -> Any:
        opened = OpenedSource(recorder, driver, source, tick, start)
        if opened.fails_at("call", "await"):
            opened.fail(opened.script.error, "call")
        return _made(opened, blocking=False)

    async def awaited_factory(start: Any = 0) -> Any:
        opened = OpenedSource(recorder, driver, source, tick, start)
        recorder.openings_in_progress += 1
        try:
            await opened.open("await")
        finally:
            recorder.openings_in_progress -= 1
        return _made(opened, blocking=False)

    return _named(awaited_factory if awaited else factory, source)


def _named(factory: Any, source: int) -> Any:
    factory.__name__ = factory.__qualname__ = f"source_{source + 1}"
    return factory
