"""What the core answers a driver, and what a stream tells one inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.delivered import Record
    from failover_iter._core.sources import Entry
    from failover_iter._mid_stream import Key
    from failover_iter._types import Mode
    from failover_iter.events import Failed, Takeover


class Open:
    """Open the source: call its factory, pull it, tell how that went."""

    __slots__ = ("args", "entry", "factory", "handover", "key", "marker", "skip")

    def __init__(
        self,
        entry: Entry,
        factory: Callable[..., Any],
        args: tuple[Any, ...],
        skip: int,
        key: Key | None,
        marker: Takeover | None,
        handover: Handover | None = None,
    ) -> None:
        """Say which source, and what is to be known of it before it is opened."""
        self.entry = entry
        self.factory = factory
        self.args = args
        #: Items to drop first.
        self.skip = skip
        #: What tells whether these are the ones that were delivered.
        self.key = key
        #: What to yield before its first item.
        self.marker = marker
        #: What the stream inside was told, and says of its end.
        self.handover = handover


class Sleep:
    """Wait, then say `slept`."""

    __slots__ = ("seconds",)
    __match_args__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        """Say for how long."""
        self.seconds = seconds


class Raise:
    """End the stream with this error."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        """Say with which."""
        self.error = error


class Return:
    """End the stream with this value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        """Say with which."""
        self.value = value


class Handover:
    """What a stream tells one inside that takes over: it goes on as if it were part of it."""

    #: The stream inside starts over with the item that it gives next.
    restarted = False
    #: The stream inside ended by its consumer or by a callback: no failure of a source.
    excused = False
    #: When the outage began in which the stream inside is opened.
    outage_since: float | None = None
    #: When the outage began that ended the stream inside.
    failing_since: float | None = None
    #: The outer stream has abandoned this one while it was blocked.
    abandoned = False
    #: What the outer stream was told by a stream around that.
    outer: Handover | None = None
    #: A weak reference to the outermost stream.
    stream: Callable[[], object] | None = None

    def __init__(
        self,
        record: Record,
        mode: Mode | None,
        key: Key | None,
        error: Exception | None,
        failures: tuple[Failed, ...],
        count: int,
    ) -> None:
        """Say what was delivered and how to take over; `count`: failures, also those not kept."""
        self.record = record
        self.mode: Mode | None = mode
        self.key = key
        self.error = error
        self.failures = failures
        self.count = count

    @property
    def is_abandoned(self) -> bool:
        """Whether this stream, or one around it, was abandoned."""
        return self.abandoned or (self.outer is not None and self.outer.is_abandoned)

    def abandon(self, _: object) -> None:
        """Tell the stream inside that nobody waits for it."""
        self.abandoned = True


Command: TypeAlias = Open | Sleep | Raise | Return
ENDED: Final = Return(None)  # how most streams do
