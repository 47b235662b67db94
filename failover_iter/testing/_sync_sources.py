"""Sync factories that follow a plan."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from failover_iter.testing._opening_steps import OpenedSource, OpeningEnded, Wait, Yield
from failover_iter.testing._runs import Recorder


class SyncHost:
    """Carries out the steps of sync sources, with these functions to sleep and to intrude."""

    def __init__(
        self, sleep: Callable[[float], object], intrude: Callable[[tuple[int, int]], None]
    ) -> None:
        self.sleep = sleep
        self.intrude = intrude

    def run(self, steps: Iterable[Any]) -> Any:
        """Carry out steps until one yields an item, and return it."""
        for step in steps:
            if isinstance(step, Yield):
                return step.item
            if isinstance(step, Wait):
                self.sleep(step.seconds)
            else:
                self.intrude(step.of)
        raise OpeningEnded

    def finish(self, steps: Iterable[Any]) -> None:
        """Carry out steps that yield no item."""
        try:
            self.run(steps)
        except OpeningEnded:
            return


def sync_factory(recorder: Recorder, host: SyncHost, source: int, tick: float) -> Any:
    """Return a factory for one source of the plan; `start` is how many items to leave out."""

    def factory(start: Any = 0) -> Any:
        opened = OpenedSource(recorder, source, tick, start)
        host.finish(opened.enters("call"))
        made = _SHAPES[opened.script.kind](opened, host)
        recorder.kept.append(made)
        recorder.last[source] = made
        return made

    factory.__name__ = factory.__qualname__ = f"source_{source + 1}"
    return factory


class _Bare:
    """An iterator that has only `__next__` and `__iter__`."""

    def __init__(self, opened: OpenedSource, host: SyncHost) -> None:
        self._opened = opened
        self._host = host

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return self._host.run(self._opened.pulls)
        except OpeningEnded:
            raise StopIteration from None


class _Iterator(_Bare):
    """An iterator with `close`."""

    def __init__(self, opened: OpenedSource, host: SyncHost) -> None:
        super().__init__(opened, host)
        opened.live()

    def close(self) -> None:
        self._host.finish(self._opened.closes())


class _Iterable:
    """An iterable with `close`, over an iterator without it."""

    def __init__(self, opened: OpenedSource, host: SyncHost) -> None:
        self._opened = opened
        self._host = host
        opened.live()

    def __iter__(self) -> Iterator[Any]:
        if self._opened.fails_at("iter"):
            self._host.finish(self._opened.entry("iter"))
        return _Bare(self._opened, self._host)

    def close(self) -> None:
        self._host.finish(self._opened.closes())


def _generator(opened: OpenedSource, host: SyncHost) -> Generator[Any, Any, None]:
    opened.live()
    phase = "pull"
    try:
        while True:
            item = host.run(opened.pulls)
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
        host.finish(opened.closes(phase))
        if phase == "close" and opened.script.closing == "yields":
            yield "an item from a close"


def _same(opened: OpenedSource, host: SyncHost) -> Any:
    return opened.recorder.last.get(opened.of[0]) or _Iterator(opened, host)


_SHAPES: dict[str, Callable[[OpenedSource, SyncHost], Any]] = {
    "generator": _generator,
    "iterator": _Iterator,
    "iterable": _Iterable,
    "bare": _Bare,
    "same": _same,
}
