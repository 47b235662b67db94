"""What the core answers a driver, and what a stream tells one inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._entries import Entry
    from failover_iter._record import Record
    from failover_iter._strategies import Key
    from failover_iter._types import Mode
    from failover_iter.events import Failed, Takeover


@dataclass(slots=True)
class Open:
    """Open the source: call its factory, pull it, tell how that went."""

    entry: Entry
    factory: Callable[..., Any]
    args: tuple[Any, ...]
    skip: int
    """Items to drop first."""
    key: Key | None
    """What tells whether these are the ones that were delivered."""
    marker: Takeover | None
    """What to yield before its first item."""
    handover: Handover | None = None
    """What the stream inside was told, and says of its end."""

    def take(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What to call with what; given once, so that nothing here holds on to the arguments."""
        args, self.args = self.args, ()
        return self.factory, args


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait, then say `slept`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Raise:
    """End the stream with this error."""

    error: BaseException


@dataclass(slots=True)
class Return:
    """End the stream with this value."""

    value: Any


@dataclass(slots=True)
class Handover:
    """What a stream tells one inside that takes over: it goes on as if it were part of it."""

    record: Record
    mode: Mode | None
    key: Key | None
    error: Exception | None
    failures: tuple[Failed, ...]
    count: int
    """Failures so far, those that are not kept included."""
    restarted: bool = False
    """The stream inside starts over with the item that it gives next."""
    excused: bool = False
    """The stream inside ended by its consumer or by a callback: no failure of a source."""
    outage_since: float | None = None
    """When the outage began in which the stream inside is opened."""
    failing_since: float | None = None
    """When the outage began that ended the stream inside."""


Command: TypeAlias = Open | Sleep | Raise | Return
