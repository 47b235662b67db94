"""Turns the events of any number of streams into attempts, the rows that `Trace` shows.

Each event has the number of its stream, and in a group (`Policy.source`) also that of the outer
stream. The group belongs to the outer stream's latest attempt. In a hedge several attempts run at a
time: `source` and `attempt` say which of them an event belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Literal, TypeAlias

from failover_iter.events import (
    Closed,
    Committed,
    Completed,
    Contending,
    Failed,
    Opening,
    PassedOver,
    Superseded,
    Switched,
    Waiting,
)
from failover_iter.typing import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_iter.events import Event, Exhausted

Outcome: TypeAlias = Literal["running", "failed", "completed", "closed", "superseded"]


@dataclass(frozen=True, slots=True)
class TracedAttempt:
    """One attempt, as listed in `Trace.attempts`. Times are seconds since its stream started."""

    source: str
    """The name of the source."""
    attempt: int
    """The number of this attempt on this source, from 1."""
    stream: int
    """The number of its stream in this trace, from 1. Groups have the outer stream's number."""
    depth: int
    """How deep it is nested: 0, or 1 for the sources of a `Policy.source`, and so on."""
    takeover: Mode | None
    """The mode in which it took over; `None` if nothing had been delivered before."""
    waited: float
    """The pause before it, in seconds."""
    start: float
    """When it was opened. In a group, on the timeline of the outer stream."""
    first: float | None
    """When it committed, so when its first item was delivered; `None` if it did not."""
    end: float | None
    """When it had ended and was closed; `None` if it still runs."""
    delivered: int | None
    """Number of items delivered in this attempt; `None` if it still runs."""
    outcome: Outcome
    """How it ended."""
    error: BaseException | None
    """The error that it failed with, or that ended it; `GeneratorExit` for a normal close."""
    close_error: Exception | None
    """The error raised while the failed source was closed, if any."""
    superseded_by: str | None = None
    """In a hedge, the source that was first; `None` if it was not superseded."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A line that is not an attempt: a source passed over, the stream exhausted or in a pause."""

    stream: int
    depth: int
    event: Waiting | Switched | PassedOver | Exhausted


Line: TypeAlias = TracedAttempt | Remark


def read(events: Iterable[Event]) -> list[Line]:
    """Return the attempts and remarks, stream by stream, in the order in which they happened.

    Events whose opening is missing (because `events` was cleared) are ignored.
    """
    streams: dict[int, _Stream] = {}
    outermost: list[_Stream] = []
    for event in events:
        stream = streams.get(event.stream)
        if stream is None:
            if not isinstance(event, Opening | PassedOver):
                continue
            outer = None if event.parent is None else streams.get(event.parent)
            stream = streams[event.stream] = _Stream(outer, len(outermost) + 1)
            if outer is None:
                outermost.append(stream)
        stream.take(event)
    lines = (line for stream in outermost for line in stream.lines if line is not None)
    return [line.frozen() if isinstance(line, _Attempt) else line for line in lines]


class _Stream:
    """A stream or a group, and its place on the timeline."""

    __slots__ = (
        "attempt",
        "depth",
        "latest",
        "lines",
        "mode",
        "number",
        "offset",
        "pause",
        "running",
    )

    #: The latest attempt.
    attempt: _Attempt

    def __init__(self, outer: _Stream | None, number: int) -> None:
        #: The lines of the outermost stream; `None` where a remark no longer applies.
        self.lines: list[_Attempt | Remark | None] = [] if outer is None else outer.lines
        self.number: int = number if outer is None else outer.number
        self.depth: int = 0 if outer is None else outer.depth + 1
        # The clock of a group starts at 0 when the outer stream opens it.
        self.offset: float = 0.0 if outer is None else outer.attempt.start
        self.latest = self.offset
        #: How the next attempt takes over.
        self.mode: Mode | None = None if outer is None else outer.attempt.takeover
        #: The attempts that have not ended, by source and number.
        self.running: dict[tuple[str, int], _Attempt] = {}
        #: When the current pause began, and the index of its line.
        self.pause: tuple[float, int] | None = None

    def take(self, event: Event) -> None:
        moment = self._moment(event)
        match event:
            case Opening():
                self._open(event, moment)
            case Committed():
                self._about(event).first = moment
            case Failed() | Completed() | Closed() | Superseded():
                attempt = self._about(event)
                attempt.ended, attempt.end = event, moment
                self.running.pop((event.source, event.attempt), None)
            case Contending():
                pass  # it has its own row
            case _:
                if isinstance(event, Waiting | Switched):
                    self.mode, self.pause = event.mode, (moment, len(self.lines))
                self.lines.append(Remark(self.number, self.depth, event))

    def _about(self, event: Event) -> _Attempt:
        """The attempt of an event."""
        return self.running.get((event.source, event.attempt), self.attempt)

    def _moment(self, event: Event) -> float:
        """When the event happened, on the timeline; the latest time if it is not finite."""
        moment = self.offset + event.elapsed
        if not isfinite(moment):
            return self.latest
        self.latest = max(self.latest, moment)
        return moment

    def _open(self, event: Opening, moment: float) -> None:
        self.attempt = _Attempt(self, event, moment)
        self.running[event.source, event.attempt] = self.attempt
        if self.pause is not None:
            began, index = self.pause
            self.attempt.waited = max(0.0, moment - began)
            self.lines[index] = self.pause = None
        self.lines.append(self.attempt)


class _Attempt:
    """One attempt while its events arrive."""

    __slots__ = ("end", "ended", "first", "opening", "start", "stream", "takeover", "waited")

    def __init__(self, stream: _Stream, opening: Opening, start: float) -> None:
        self.stream = stream
        self.opening = opening
        self.start = start
        self.takeover: Mode | None = stream.mode
        self.waited = 0.0
        self.first: float | None = None
        self.end: float | None = None
        self.ended: Failed | Completed | Closed | Superseded | None = None

    def frozen(self) -> TracedAttempt:
        ended, opening = self.ended, self.opening
        return TracedAttempt(
            opening.source,
            opening.attempt,
            self.stream.number,
            self.stream.depth,
            self.takeover,
            self.waited,
            self.start,
            self.first,
            self.end,
            None if ended is None else ended.delivered - opening.delivered,
            _outcome(ended),
            ended.error if isinstance(ended, Failed | Closed) else None,
            ended.close_error if isinstance(ended, Failed) else None,
            ended.by if isinstance(ended, Superseded) else None,
        )


def _outcome(ended: Failed | Completed | Closed | Superseded | None) -> Outcome:
    match ended:
        case None:
            return "running"
        case Failed():
            return "failed"
        case Completed():
            return "completed"
        case Superseded():
            return "superseded"
        case _:
            return "closed"
