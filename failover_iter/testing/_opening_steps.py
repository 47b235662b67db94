"""What one opening of a source does, step by step, whichever flavour carries the steps out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from failover_iter.testing._faults import make_error
from failover_iter.testing._runs import Recorder

#: Virtual seconds until a connection on which nothing comes is given up: two hours, as by TCP.
STALL = 7200.0
#: Ticks that a slow close takes.
SLOW = 10


class OpeningEnded(Exception):
    """The opening has ended."""


@dataclass(frozen=True, slots=True)
class Yield:
    """A step: the item that a pull gives."""

    item: Any


@dataclass(frozen=True, slots=True)
class Wait:
    """A step: seconds to wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Intrude:
    """A step: what the consumer does to this pull or close."""

    of: tuple[int, int]


class OpenedSource:
    """One opening, and what is written down of it."""

    def __init__(self, recorder: Recorder, source: int, tick: float, start: Any) -> None:
        """Open it; `start` is how many items are not wanted, or says so as `delivered`."""
        number = recorder.open(source)
        self.recorder = recorder
        self.of = (source, number)
        self.script = recorder.plan.script(source, number)
        self.tick = tick
        self.start = int(getattr(start, "delivered", start))
        self.pulls = self._pulls()

    def note(self, what: Any, **more: Any) -> None:
        """Write down what happened to this opening."""
        self.recorder.note(what, of=self.of, **more)

    def failing(self, name: str, phase: str) -> BaseException:
        """A new error, written down as a failure of this opening."""
        where = f"source {self.of[0] + 1}, opening {self.of[1] + 1}, {phase}"
        error = make_error(name, self.recorder.plan.errors, where)
        self.note("fail", value=error, phase=phase)
        return error

    def live(self) -> None:
        """From now on it has to be closed."""
        self.note("live")

    def fails_at(self, *phases: str) -> bool:
        """Whether it fails in one of these phases."""
        return self.script.end == "raises" and self.script.at in phases

    def enters(self, phase: str) -> Iterator[Wait]:
        """What the call or the await does: it takes its time, and may fail."""
        if self.script.opens:
            yield Wait(self.script.opens * self.tick)
        if self.fails_at("call", "await"):
            yield from self.entry(phase)

    def entry(self, phase: str) -> Iterator[Wait]:
        """What the call, the await or the `iter()` does that fails: it takes its time first."""
        if self.script.ticks:
            yield Wait(self.script.ticks[0] * self.tick)
        raise self.failing(self.script.error, phase)

    def _pulls(self) -> Iterator[Yield | Wait | Intrude]:
        script = self.script
        ticks = (*script.ticks, *[0] * (len(script.items) + 1 - len(script.ticks)))
        for letter, passed in list(zip(script.items, ticks, strict=False))[self.start :]:
            yield from self._pull(passed)
            item = self.recorder.item(letter)
            self.note("yield", value=item)
            yield Yield(item)
        yield from self._pull(ticks[len(script.items)])
        if script.end == "stalls":
            yield Wait(STALL)
        if script.end == "ends":
            self.note("stop")
        else:
            raise self.failing(script.error, "pull")

    def _pull(self, ticks: int) -> Iterator[Wait | Intrude]:
        self.note("pull")
        if self.recorder.intrusion == "pull":
            self.recorder.intrusion = None
            yield Intrude(self.of)
        if ticks:
            yield Wait(ticks * self.tick)

    def closes(self, phase: str = "close") -> Iterator[Wait | Intrude]:
        """What its close does; nothing any more once the run is over."""
        if self.recorder.sealed:
            return
        self.note("close")
        if self.recorder.intrusion == "close":
            self.recorder.intrusion = None
            yield Intrude(self.of)
        match self.script.closing:
            case "slow":
                yield Wait(SLOW * self.tick)
            case "raises":
                raise self.failing("", phase)
            case "bug":
                raise self.failing("bug", phase)
            case _:
                return
