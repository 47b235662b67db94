"""Async factories that follow a plan."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from failover_iter.testing._opening_steps import OpenedSource, OpeningEnded, Wait, Yield
from failover_iter.testing._runs import Recorder


class AsyncHost:
    """Carries out the steps of async sources, with these functions to sleep and to intrude."""

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[object]],
        intrude: Callable[[tuple[int, int]], Awaitable[None]],
    ) -> None:
        self.sleep = sleep
        self.intrude = intrude

    async def run(self, steps: Iterable[Any]) -> Any:
        """Carry out steps until one yields an item, and return it."""
        for step in steps:
            if isinstance(step, Yield):
                return step.item
            if isinstance(step, Wait):
                await self.sleep(step.seconds)
            else:
                await self.intrude(step.of)
        raise OpeningEnded

    async def finish(self, steps: Iterable[Any]) -> None:
        """Carry out steps that yield no item."""
        try:
            await self.run(steps)
        except OpeningEnded:
            return


def async_factory(
    recorder: Recorder, host: AsyncHost, source: int, tick: float, *, awaited: bool
) -> Any:
    """Return a factory for one source of the plan; with `awaited`, an async function."""

    def make(opened: OpenedSource) -> Any:
        made = _SHAPES[opened.script.kind](opened, host)
        recorder.kept.append(made)
        recorder.last[source] = made
        return made

    def factory(start: Any = 0) -> Any:
        opened = OpenedSource(recorder, source, tick, start)
        if opened.fails_at("call", "await"):
            _at_once(opened, "call")
        return make(opened)

    async def awaited_factory(start: Any = 0) -> Any:
        opened = OpenedSource(recorder, source, tick, start)
        await host.finish(opened.enters("await"))
        return make(opened)

    chosen = awaited_factory if awaited else factory
    chosen.__name__ = chosen.__qualname__ = f"source_{source + 1}"
    return chosen


def _at_once(opened: OpenedSource, phase: str) -> None:
    """Fail in a plain call, which cannot wait."""
    list(opened.entry(phase))


class _Bare:
    """An async iterator that has only `__anext__` and `__aiter__`."""

    def __init__(self, opened: OpenedSource, host: AsyncHost) -> None:
        self._opened = opened
        self._host = host

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._host.run(self._opened.pulls)
        except OpeningEnded:
            raise StopAsyncIteration from None


class _Iterator(_Bare):
    """An async iterator with `aclose`."""

    def __init__(self, opened: OpenedSource, host: AsyncHost) -> None:
        super().__init__(opened, host)
        opened.live()

    async def aclose(self) -> None:
        await self._host.finish(self._opened.closes())


class _Iterable:
    """An async iterable with a close method, over an iterator without one.

    The method is an async `close`, not `aclose`, as in the streams of many SDKs.
    """

    def __init__(self, opened: OpenedSource, host: AsyncHost) -> None:
        self._opened = opened
        self._host = host
        opened.live()

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._opened.fails_at("iter"):
            _at_once(self._opened, "iter")
        return _Bare(self._opened, self._host)

    async def close(self) -> None:
        await self._host.finish(self._opened.closes())


async def _generator(opened: OpenedSource, host: AsyncHost) -> AsyncGenerator[Any, Any]:
    opened.live()
    phase = "pull"
    try:
        while True:
            item = await host.run(opened.pulls)
            try:
                sent = yield item
            except BaseException as error:
                phase = "close" if isinstance(error, GeneratorExit) else "throw"
                if phase == "throw":
                    opened.note("thrown", value=error)
                raise
            if sent is not None:
                opened.note("sent", value=sent)
    except OpeningEnded:
        return
    finally:
        await host.finish(opened.closes(phase))
        if phase == "close" and opened.script.closing == "yields":
            yield "an item from a close"


def _same(opened: OpenedSource, host: AsyncHost) -> Any:
    return opened.recorder.last.get(opened.of[0]) or _Iterator(opened, host)


_SHAPES: dict[str, Callable[[OpenedSource, AsyncHost], Any]] = {
    "generator": _generator,
    "iterator": _Iterator,
    "iterable": _Iterable,
    "bare": _Bare,
    "same": _same,
}
