"""Groups the events of one or more streams into attempts, the rows that `Trace` shows.

Events do not say which stream they belong to, so this is inferred. An `Opening` continues the
innermost stream that is waiting for that source. Otherwise it starts a new stream: an inner stream
of the attempt that was opened last and still runs, or an outer stream if no attempt runs.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Literal, TypeAlias

from failover_iter.events import (
    Closed,
    Committed,
    Completed,
    Failed,
    Opening,
    Switched,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from failover_iter.events import Event, Exhausted
    from failover_iter.typing import Mode

Outcome: TypeAlias = Literal["running", "failed", "completed", "closed"]


@dataclass(frozen=True, slots=True)
class TracedAttempt:
    """One attempt, as listed in `Trace.attempts`. Times are seconds since its stream started."""

    source: str
    """The name of the source."""
    attempt: int
    """The number of this attempt on this source, from 1."""
    stream: int
    """The number of its stream in this trace, from 1. Inner streams have the outer one's number."""
    depth: int
    """How deep its stream is nested; 0 for an outer stream."""
    takeover: Mode | None
    """The mode in which it took over; `None` if nothing had been delivered before."""
    waited: float
    """The pause before it, in seconds."""
    start: float
    """When it was opened. In an inner stream, on the timeline of the outer one."""
    first: float | None
    """When it committed, so when its first item was delivered; `None` if it did not."""
    end: float | None
    """When it had ended and was closed; `None` if it still runs."""
    delivered: int | None
    """Number of items delivered in this attempt; `None` if it still runs or if items are not
    counted."""
    outcome: Outcome
    """How it ended."""
    error: BaseException | None
    """The error that it failed with, or that ended it; `GeneratorExit` for a normal close."""
    close_error: Exception | None
    """The error raised while the failed source was closed, if any."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A line that is not an attempt: the stream is exhausted, or still in a pause."""

    stream: int
    depth: int
    event: Waiting | Switched | Exhausted


Line: TypeAlias = TracedAttempt | Remark


def read(events: Iterable[Event]) -> list[Line]:
    """Return the attempts and remarks in the order in which they happened."""
    reader = _Reader()
    for event in events:
        reader.take(event)
    lines = (line.frozen() if isinstance(line, _Attempt) else line for line in reader.lines)
    return [line for line in lines if line is not None]


class _Stream:
    """One stream, and its place on the timeline."""

    __slots__ = ("depth", "latest", "number", "offset", "parent")

    def __init__(self, parent: _Stream | None, number: int) -> None:
        self.parent = parent
        self.number = number
        self.depth: int = 0 if parent is None else parent.depth + 1
        # The clock of an inner stream starts at 0, which is "now" on the outer timeline. The best
        # estimate of "now" is the time of the outer stream's latest event.
        self.offset: float = 0.0 if parent is None else parent.latest
        self.latest: float = self.offset

    def moment(self, event: Event) -> float:
        """When the event happened, on the common timeline; the latest time if it is not finite."""
        moment = self.offset + event.elapsed
        if not isfinite(moment):
            return self.latest
        self.latest = max(self.latest, moment)
        if self.parent is not None:
            self.parent.latest = max(self.parent.latest, self.latest)
        return moment


class _Pause:
    """A stream between two attempts."""

    __slots__ = ("event", "remark", "stream")

    def __init__(self, stream: _Stream, event: Waiting | Switched, remark: int) -> None:
        self.stream = stream
        self.event = event
        self.remark = remark  # index of the line that reports the pause

    def ends_with(self, opening: Opening) -> bool:
        """Whether this opening ends the pause, and does not belong to another stream.

        A stream that is cancelled during a pause emits no further event, and the next stream may
        start with a source of the same name.
        """
        event = self.event
        if opening.delivered != event.delivered or opening.elapsed < event.elapsed:
            return False
        if isinstance(event, Switched):
            return opening.attempt == 1
        starts_from_1 = bool(opening.delivered) and opening.attempt == 1  # reset_on_progress
        return starts_from_1 or opening.attempt == event.attempt + 1


class _Attempt:
    """One attempt while its events arrive."""

    __slots__ = ("end", "ended", "first", "opening", "start", "stream", "takeover", "waited")

    def __init__(self, stream: _Stream, opening: Opening, pause: _Pause | None) -> None:
        before = stream.latest
        self.stream = stream
        self.opening = opening
        self.start = stream.moment(opening)
        self.takeover: Mode | None = None if pause is None else pause.event.mode
        self.waited = 0.0 if pause is None else max(0.0, self.start - before)
        self.first: float | None = None
        self.end: float | None = None
        self.ended: Failed | Completed | Closed | None = None

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
            self._delivered(),
            _outcome(ended),
            None if ended is None or isinstance(ended, Completed) else ended.error,
            ended.close_error if isinstance(ended, Failed) else None,
        )

    def _delivered(self) -> int | None:
        before = self.opening.delivered
        total = None if self.ended is None else self.ended.delivered
        return None if before is None or total is None else total - before


def _outcome(ended: Failed | Completed | Closed | None) -> Outcome:
    match ended:
        case None:
            return "running"
        case Failed():
            return "failed"
        case Completed():
            return "completed"
        case _:
            return "closed"


class _Reader:
    """Assigns each event to its stream, in constant time per event even with many streams.

    An event that belongs to no known attempt (because `events` was cleared) is ignored.
    """

    __slots__ = (
        "_failed",
        "_opened",
        "_pausing",
        "_running",
        "_streams",
        "_uncommitted",
        "lines",
    )

    def __init__(self) -> None:
        self.lines: list[_Attempt | Remark | None] = []
        self._streams = 0
        self._opened: list[_Attempt] = []  # the last one that has not ended is the innermost
        self._running: defaultdict[tuple[str, int], list[_Attempt]] = defaultdict(list)
        self._uncommitted: defaultdict[tuple[str, int], list[_Attempt]] = defaultdict(list)
        self._failed: dict[tuple[str, int, int], _Stream] = {}
        self._pausing: defaultdict[str, list[_Pause]] = defaultdict(list)

    def take(self, event: Event) -> None:
        match event:
            case Opening():
                self._opening(event)
            case Committed():
                self._committed(event)
            case Failed() | Completed() | Closed():
                self._ended(event)
            case _:
                self._between(event)

    def _opening(self, event: Opening) -> None:
        pauses, pause = self._pausing[event.source], None
        if pauses and pauses[-1].ends_with(event):
            pause = pauses.pop()
            self.lines[pause.remark] = None
        stream = self._new_stream() if pause is None else pause.stream
        attempt = _Attempt(stream, event, pause)
        self.lines.append(attempt)
        self._opened.append(attempt)
        self._running[event.source, event.attempt].append(attempt)
        self._uncommitted[event.source, event.attempt].append(attempt)

    def _new_stream(self) -> _Stream:
        while self._opened and self._opened[-1].ended is not None:
            self._opened.pop()
        if self._opened:
            parent = self._opened[-1].stream
            return _Stream(parent, parent.number)
        self._streams += 1
        return _Stream(None, self._streams)

    def _committed(self, event: Committed) -> None:
        """Of several attempts with the same name, the innermost commits first."""
        attempt = _take_last(self._uncommitted, event)
        if attempt is not None:
            attempt.first = attempt.stream.moment(event)

    def _ended(self, event: Failed | Completed | Closed) -> None:
        attempt = _take_last(self._running, event)
        if attempt is None:
            return
        if attempt.first is None:  # then it is also the last uncommitted one
            _take_last(self._uncommitted, event)
        attempt.ended, attempt.end = event, attempt.stream.moment(event)
        if isinstance(event, Failed):
            self._failed[event.source, event.attempt, id(event.error)] = attempt.stream

    def _between(self, event: Waiting | Switched | Exhausted) -> None:
        stream = self._failed.pop((event.source, event.attempt, id(event.error)), None)
        if stream is None:
            return
        stream.moment(event)
        if isinstance(event, Waiting | Switched):
            target = event.to if isinstance(event, Switched) else event.source
            self._pausing[target].append(_Pause(stream, event, len(self.lines)))
        self.lines.append(Remark(stream.number, stream.depth, event))


def _take_last(
    attempts: defaultdict[tuple[str, int], list[_Attempt]], event: Event
) -> _Attempt | None:
    """Remove and return the innermost attempt that the event may belong to."""
    key = event.source, event.attempt
    of_that_name = attempts.get(key)
    if of_that_name is None:
        return None
    attempt = of_that_name.pop()
    if not of_that_name:
        del attempts[key]
    return attempt
