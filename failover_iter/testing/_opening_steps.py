"""The steps of one opening of a source, the same for every flavour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from failover_iter.testing._faults import make_error
from failover_iter.testing._runs import Recorder

#: Virtual seconds until a stalled source raises: two hours, the default of TCP keepalive.
STALL = 7200.0
#: How many ticks a slow close takes.
SLOW = 10


class OpeningEnded(Exception):
    """The source has ended."""


@dataclass(frozen=True, slots=True)
class Yield:
    """A step: yield this item."""

    item: Any


@dataclass(frozen=True, slots=True)
class Wait:
    """A step: wait for this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Intrude:
    """A step: the consumer interferes with this pull or close."""

    of: tuple[int, int]


class OpenedSource:
    """One opening of a source, and its log entries.

    `start` is how many items to leave out: a number, or an object that has it as `delivered`.
    """

    def __init__(self, recorder: Recorder, source: int, tick: float, start: Any) -> None:
        number = recorder.open(source)
        self.recorder = recorder
        self.of = (source, number)
        self.script = recorder.plan.script(source, number)
        self.tick = tick
        self.start = int(getattr(start, "delivered", start))
        self.pulls = self._pulls()

    def note(self, what: Any, **more: Any) -> None:
        """Log what happened to this opening."""
        self.recorder.note(what, of=self.of, **more)

    def failing(self, name: str, phase: str) -> BaseException:
        """Return a new error, and log it as a failure of this opening."""
        where = f"source {self.of[0] + 1}, opening {self.of[1] + 1}, {phase}"
        error = make_error(name, self.recorder.plan.errors, where)
        self.note("fail", value=error, phase=phase)
        return error

    def live(self) -> None:
        """Log that this source must be closed from now on."""
        self.note("live")

    def fails_at(self, *phases: str) -> bool:
        """Whether this opening fails in one of these phases."""
        return self.script.end == "raises" and self.script.at in phases

    def enters(self, phase: str) -> Iterator[Wait]:
        """Yield the steps of the call or the await: it may take time, and may fail."""
        if self.script.opens:
            yield Wait(self.script.opens * self.tick)
        if self.fails_at("call", "await"):
            yield from self.entry(phase)

    def entry(self, phase: str) -> Iterator[Wait]:
        """Yield the steps of a call, await or `iter()` that fails: it waits first."""
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
        """Yield the steps of a close; none once the run has ended."""
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
