"""The time of one stream: how long it may take in all, and how long an outage may last."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from failover_iter._core.commands import Raise
from failover_iter._core.deadlines import Limits, stream_timeout
from failover_iter._core.reporting import Teller
from failover_iter._validation import limit_of, seconds_of
from failover_iter.errors import mark_usage_error

if TYPE_CHECKING:
    from failover_iter._core.commands import Handover
    from failover_iter._core.sources import Entry
    from failover_iter._options import Wait
    from failover_iter.events import Failed


class Timing(Teller):
    """The part of a run that looks at the clock."""

    # Class attributes are what most streams never change: to make one is half the work then.
    _inside: Handover | None = None  # what the stream inside was told that was opened last
    _outage_since: float | None = None
    #: When the time of the stream is over, if it has a limit.
    stream_until = inf
    is_timed = False

    def start_timing(self) -> None:
        """The stream begins now."""
        self._started = self._now()
        if self._options.total_timeout is not None:
            self.stream_until = self._started + self._total
            self.is_timed = self.stream_until != inf

    @property
    def _total(self) -> float:
        return limit_of("total_timeout", self._options.total_timeout)

    def limits(self, entry: Entry) -> Limits:
        """How long the attempt that is made now may wait for its source."""
        return Limits(entry, self._now, self._total, self.stream_until)

    def _note_outage(self, now: float, *, received: bool) -> None:
        """Remember the first failure since an item was last received, here or inside."""
        inside = self._inside
        if inside is not None and inside.failing_since is not None:
            self._outage_since = inside.failing_since
        elif received or self._outage_since is None:
            self._outage_since = now
        if self._handover is not None:
            self._handover.failing_since = self._outage_since

    def outage_ended(self) -> None:
        """An attempt delivers: the outage before it is no affair of a stream around any more."""
        if self._handover is not None:
            self._handover.failing_since = None

    def _lasts_too_long(self, failed: Failed, seconds: float) -> bool:
        """Whether the outage would last for longer than it may, so many seconds from now on."""
        limit, since = self._options.give_up_after, self._outage_since
        if limit is None or since is None:
            return False
        lasted = self._started + failed.elapsed - since
        return lasted + seconds > limit_of("give_up_after", limit)

    def _end_in_time(self) -> Raise | None:
        """The end of the stream, where its time is over."""
        if self.stream_until == inf or self._now() < self.stream_until:
            return None
        error = stream_timeout(self._total)
        self._failures.tell(error)
        return Raise(error)


def pause_after(failed: Failed, wait: Wait) -> float:
    """The pause that `wait` asks for, in seconds."""
    if not callable(wait):
        return seconds_of("wait", wait)
    try:
        return seconds_of("what the function of wait gives", wait(failed))
    except (TypeError, ValueError) as error:
        raise mark_usage_error(error)  # noqa: B904 (the same error, marked)
