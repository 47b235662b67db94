"""The limits of time of one attempt: until when to wait for its source, and what to say past that.

Pure: the clock is that of the run. Whoever waits asks `check_stream` first, then `until`, and
raises what `over` gives where the wait was in vain.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from failover_iter._validation import limit_of
from failover_iter.errors import SourceTimeout, StreamTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.sources import Entry


#: What a step gives where an item is there.
READY: Final = object()


class Limits:
    """How long the source of an attempt may be waited for."""

    __slots__ = (
        "_entry",
        "_first_until",
        "_idle",
        "_stream",
        "_stream_until",
        "_until",
        "now",
        "over_with",
        "received",
    )

    def __init__(
        self, entry: Entry, now: Callable[[], float], stream: float, stream_until: float
    ) -> None:
        """Begin with the first item; after `stream` seconds the stream is over, at that time."""
        options = entry.options
        self._entry = entry
        self._idle = limit_of("idle_timeout", options.idle_timeout)
        self._first_until = now() + self._first
        self._stream, self._stream_until = stream, stream_until
        self._until = inf
        self.now = now
        #: Whether the source has given an item.
        self.received = False
        #: What was raised because the time was over.
        self.over_with: SourceTimeout | StreamTimeout | None = None

    @property
    def _first(self) -> float:
        first = self._entry.options.first_item_timeout
        return self._idle if first is None else limit_of("first_item_timeout", first)

    @property
    def lasting(self) -> bool:
        """Whether there is a limit for what comes after the first item."""
        return self._idle != inf or self.has_end

    @property
    def has_end(self) -> bool:
        """Whether the stream as a whole has a limit."""
        return self._stream_until != inf

    def until(self) -> float:
        """Until when to wait from now on, for the first item or for one more."""
        if not self.received:
            self._until = self._first_until
        elif self._idle != inf:
            self._until = self.now() + self._idle
        else:
            self._until = inf
        return min(self._until, self._stream_until)

    def check_stream(self) -> None:
        """Refuse to go on once the time of the stream is over."""
        if self._stream_until != inf and self.now() >= self._stream_until:
            self._until = inf
            raise self.over()

    def over(self) -> SourceTimeout | StreamTimeout:
        """What to raise where a wait has come to its end."""
        if self._stream_until <= self._until:
            self.over_with = stream_timeout(self._stream)
        else:
            self.over_with = SourceTimeout(f"{self._entry.name} {self._what_was_missed()}")
        return self.over_with

    def _what_was_missed(self) -> str:
        if self.received:
            return f"gave no item for {self._idle:g} s (idle_timeout)"
        is_idle = self._entry.options.first_item_timeout is None
        option = "idle_timeout" if is_idle else "first_item_timeout"
        return f"gave no first item within {self._first:g} s ({option})"


def stream_timeout(seconds: float) -> StreamTimeout:
    """The error of a stream that was not at its end in time."""
    return StreamTimeout(f"the stream was not at its end after {seconds:g} s (total_timeout)")
