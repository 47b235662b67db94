"""Time, without a clock: deadlines of a source, how long an outage lasts, pauses."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from failover_iter._core.usage import mark_usage_error
from failover_iter._validation import limit_of, seconds_of
from failover_iter.errors import SourceTimeout, StreamTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from failover_iter._core.groups import Level
    from failover_iter._options import Wait
    from failover_iter.events import Failed

#: Yielded by a step of an async source when its item has arrived.
READY: Final = object()


class SourceDeadline:
    """How long the source of an attempt may be waited for, and whose limit that is.

    Whoever waits calls `check_stream` first, then `until`, and raises `expired()` when time is up.
    Each limit belongs to a level: the stream, or a group in it.
    """

    __slots__ = (
        "_first",
        "_idle",
        "_levels",
        "_missed",
        "_total",
        "is_superseded",
        "level",
        "now",
        "raised",
        "received",
    )

    def __init__(self, levels: Sequence[Level], now: Callable[[], float]) -> None:
        self.now = now
        self._levels = levels
        self._idle = _idle_limit(levels)
        self._first = _first_limit(levels, now)
        self._total = min((level.until, -index) for index, level in enumerate(levels))
        self._missed = self._first
        #: Whether the source has yielded an item, and whether it has lost a race: its time is up.
        self.received = self.is_superseded = False
        #: The error raised when time was up, and the index of the level whose limit it was.
        self.raised: SourceTimeout | StreamTimeout | None = None
        self.level = len(levels) - 1

    @property
    def is_lasting(self) -> bool:
        """Whether there is a limit after the first item."""
        return self._idle[0] != inf or self.has_end

    @property
    def has_end(self) -> bool:
        """Whether the stream as a whole, or a group, has a limit."""
        return self._total[0] != inf

    def until(self) -> float:
        """The time until which to wait for the next item."""
        if self.is_superseded:
            return -inf
        if not self.received:
            until, index, what = self._first
        else:
            seconds, index, what = self._idle
            until = seconds if seconds == inf else self.now() + seconds
        self._missed = (until, index, what)
        return min(until, self._total[0])

    def restart_idle(self) -> None:
        """The source is alive: an `idle_timeout` for the first item counts from now."""
        if not self.received:
            self._first = _first_limit(self._levels, self.now, is_alive=True)

    def check_stream(self) -> None:
        """Raise `StreamTimeout` once the time of the stream is up."""
        until, _ = self._total
        if until != inf and self.now() >= until:
            self._missed = (inf, 0, "")
            raise self.expired()

    def expired(self) -> SourceTimeout | StreamTimeout:
        """Return the error to raise when time is up."""
        until, index = self._total
        missed_until, missed_index, what = self._missed
        if until <= missed_until:
            self.level = -index
            self.raised = stream_timeout(self._levels[self.level].total_timeout)
        else:
            self.level = missed_index
            self.raised = SourceTimeout(f"{self._levels[missed_index].source.name} {what}")
        return self.raised


def deadline_of(levels: Sequence[Level], now: Callable[[], float]) -> SourceDeadline | None:
    """The deadline of the attempt that is opened now, if any level sets a limit, or in a race."""
    for level in levels:
        if level.source.options.is_timed or level.until != inf or level.race is not None:
            return SourceDeadline(tuple(levels), now)
    return None


def _idle_limit(levels: Sequence[Level]) -> tuple[float, int, str]:
    """The shortest `idle_timeout`: seconds, level, and what was missed.

    The limit of an inner level replaces those of the policies around it: so a group switches
    between its own sources. One that a `Source` sets for the group itself holds beside it.
    """
    shortest, shortest_index = inf, len(levels) - 1
    is_set = False
    for index in range(len(levels) - 1, -1, -1):
        source = levels[index].source
        seconds = limit_of("idle_timeout", source.options.idle_timeout)
        if seconds < shortest and ("idle_timeout" in source.own or not is_set):
            shortest, shortest_index = seconds, index
        is_set = is_set or seconds < inf
    return shortest, shortest_index, f"produced no item for {shortest:g} s (idle_timeout)"


def _first_limit(
    levels: Sequence[Level], now: Callable[[], float], *, is_alive: bool = False
) -> tuple[float, int, str]:
    """Until when the first item has to be there, the level, and what was missed."""
    first: tuple[float, int, str] = (inf, len(levels) - 1, "")
    is_set = False
    for index in range(len(levels) - 1, -1, -1):
        level = levels[index]
        options, own = level.source.options, level.source.own
        option = "idle_timeout" if options.first_item_timeout is None else "first_item_timeout"
        until, what = level.opened_at, "produced no first item within {:g} s ({})"
        has_shown_life = is_alive
        if level.received and index < len(levels) - 1:
            # The group has yielded an item, so it is waited for one more.
            option = "idle_timeout"
            has_shown_life = True
        if has_shown_life and option == "idle_timeout":
            until, what = now(), "produced no item for {:g} s ({})"
        seconds = limit_of(option, getattr(options, option))
        until += seconds
        is_own = option in own or "idle_timeout" in own
        if until < first[0] and (is_own or not is_set):
            first = until, index, what.format(seconds, option)
        is_set = is_set or seconds < inf
    return first


def stream_timeout(seconds: float) -> StreamTimeout:
    """Return the error of a stream that did not end in time."""
    return StreamTimeout(f"the stream did not end within {seconds:g} s (total_timeout)")


class Outage:
    """How long the stream has received nothing, counted from the first failure."""

    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since: float | None = None

    def failed(self, now: float) -> None:
        """Remember the first failure since an item was last received."""
        if self.since is None:
            self.since = now

    def lasts_too_long(self, now: float, seconds: float, limit: float) -> bool:
        """Whether the outage would exceed this limit after a pause of `seconds`."""
        return self.since is not None and now - self.since + seconds > limit


def pause_after(failed: Callable[[], Failed], wait: Wait) -> float:
    """The pause that `wait` asks for, in seconds."""
    if not callable(wait):
        return seconds_of("wait", wait)
    seconds = wait(failed())
    try:
        return seconds_of("the result of the wait function", seconds)
    except (TypeError, ValueError) as error:
        raise mark_usage_error(error)  # noqa: B904 (the same error, marked)
