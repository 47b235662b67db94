"""What a stream tells its listener (`on_event`): frozen records, in a fixed grammar.

Per attempt `Opening`, then `Committed` if it came so far, then exactly one of `Failed`,
`Completed`, `Closed`, told after the source was closed. Between two attempts `Waiting` (the same
source again) or `Switched` (another one). Last `Exhausted`, where no source is left::

    Opening Committed? (Failed (Waiting | Switched) Opening Committed?)*
        (Failed Exhausted? | Completed | Closed)

A pause that is broken off, by the consumer or by `total_timeout`, has nothing behind it.

>>> from failover_iter import failover_stream
>>> def primary():
...     yield 1
...     raise ConnectionError("reset by peer")
>>> def replica():
...     yield from (1, 2)
>>> seen = []
>>> list(failover_stream([primary, replica], retry_on=ConnectionError, mid_stream="skip",
...                      on_event=seen.append))
[1, 2]
>>> [type(event).__name__ for event in seen]
['Opening', 'Committed', 'Failed', 'Switched', 'Opening', 'Committed', 'Completed']
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from failover_iter._tally import look_at_each_item

if TYPE_CHECKING:
    from failover_iter._types import Mode

__all__ = [
    "Closed",
    "Committed",
    "Completed",
    "Event",
    "Exhausted",
    "Failed",
    "Opening",
    "Switched",
    "Takeover",
    "Waiting",
]


@dataclass(frozen=True, slots=True)
class _Record:
    source: str
    """Name of the source."""
    attempt: int
    """Which opening of this source it is, from 1."""
    delivered: int | None
    """Items delivered by the stream so far, in all attempts; `None` where nobody counts."""
    elapsed: float
    """Seconds since the first item was asked for."""


class Opening(_Record):
    """A source is about to be opened: its factory is called next."""

    __slots__ = ()


class Committed(_Record):
    """The stream starts to deliver from this attempt."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Failed(_Record):
    """The source failed, and was closed. A callable `wait` and `Progress.failures` get it too."""

    error: Exception
    """What it failed with, the same object that was raised."""
    failures: int
    """Failures of this stream so far, this one included."""
    consecutive: int
    """Failures in a row, this one included: since an item was last received."""
    close_error: Exception | None
    """What closing the failed source raised, if it did."""
    abandoned: bool = False
    """It was blocked when its time was over: it will be closed when it comes back."""


class Completed(_Record):
    """The source ended well, and was closed: so has the stream."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Closed(_Record):
    """The attempt was ended from outside, and the source was closed.

    The consumer closed the stream, threw something into it or was cancelled; or `total_timeout`
    was over; or a callback raised; or closing the source after its normal end did.
    """

    error: BaseException | None
    """What ended it; `GeneratorExit` for a plain close."""
    abandoned: bool = False
    """It was blocked when it was ended: it will be closed when it comes back."""


@dataclass(frozen=True, slots=True)
class Waiting(_Record):
    """The same source is going to be opened again."""

    error: Exception
    """What the last attempt failed with."""
    seconds: float
    """The pause before it, in seconds."""
    mode: Mode | None
    """How the next attempt takes over; `None` where nothing was delivered yet."""


@dataclass(frozen=True, slots=True)
class Switched(_Record):
    """The stream leaves a failed source for another one."""

    to: str
    """Name of the source that is going to be opened."""
    error: Exception
    """What the last attempt failed with."""
    seconds: float
    """The pause before it, in seconds: 0 unless that source was opened before."""
    mode: Mode | None
    """How the next attempt takes over; `None` where nothing was delivered yet."""


@dataclass(frozen=True, slots=True)
class Exhausted(_Record):
    """No source is left: the consumer gets the errors (`on_exhausted`)."""

    error: Exception
    """What the last attempt failed with."""
    failures: int
    """How many attempts failed."""


Event: TypeAlias = (
    Opening | Committed | Failed | Completed | Closed | Waiting | Switched | Exhausted
)


@dataclass(frozen=True, slots=True)
class Takeover:
    """The marker that `mark_takeovers=True` yields before the first item that a takeover delivers.

    It is not an item: it is never counted, held back by `commit_when` or judged by
    `complete_when`, also when it comes from a stream inside.
    """

    mode: Mode
    """How the new attempt took over: after "restart" the items start over."""
    source: str
    """Name of the source that took over."""
    error: Exception
    """What the attempt before it failed with."""
    delivered: int
    """Items delivered since the last restart: after "restart" those to throw away."""

    def __post_init__(self) -> None:
        """Have those who count items look at each from here on: this is none."""
        look_at_each_item()

    def __setstate__(self, state: list[Any]) -> None:
        """Be noticed too where it is copied, or comes out of a pickle."""
        look_at_each_item()
        for field, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, field.name, value)
