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

from typing import TYPE_CHECKING, TypeAlias

from failover_iter._frozen import Frozen, put
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


class _Record(Frozen):
    __slots__ = ("attempt", "delivered", "elapsed", "source")

    source: str
    """Name of the source."""
    attempt: int
    """Which opening of this source it is, from 1."""
    delivered: int | None
    """Items delivered by the stream so far, in all attempts; `None` where nobody counts."""
    elapsed: float
    """Seconds since the first item was asked for."""

    def __init__(self, source: str, attempt: int, delivered: int | None, elapsed: float) -> None:
        put(self, "source", source)
        put(self, "attempt", attempt)
        put(self, "delivered", delivered)
        put(self, "elapsed", elapsed)


class Opening(_Record):
    """A source is about to be opened: its factory is called next."""

    __slots__ = ()


class Committed(_Record):
    """The stream starts to deliver from this attempt."""

    __slots__ = ()


class Failed(_Record):
    """The source failed, and was closed. A callable `wait` and `Progress.failures` get it too."""

    __slots__ = ("abandoned", "close_error", "consecutive", "error", "failures")

    error: Exception
    """What it failed with, the same object that was raised."""
    failures: int
    """Failures of this stream so far, this one included."""
    consecutive: int
    """Failures in a row, this one included: since an item was last received."""
    close_error: Exception | None
    """What closing the failed source raised, if it did."""
    abandoned: bool
    """It was blocked when its time was over: it will be closed when it comes back."""

    def __init__(
        self,
        source: str,
        attempt: int,
        delivered: int | None,
        elapsed: float,
        error: Exception,
        failures: int,
        consecutive: int,
        close_error: Exception | None,
        abandoned: bool = False,
    ) -> None:
        super().__init__(source, attempt, delivered, elapsed)
        put(self, "error", error)
        put(self, "failures", failures)
        put(self, "consecutive", consecutive)
        put(self, "close_error", close_error)
        put(self, "abandoned", abandoned)


class Completed(_Record):
    """The source ended well, and was closed: so has the stream."""

    __slots__ = ()


class Closed(_Record):
    """The attempt was ended from outside, and the source was closed.

    The consumer closed the stream, threw something into it or was cancelled; or `total_timeout`
    was over; or a callback raised; or closing the source after its normal end did.
    """

    __slots__ = ("abandoned", "error")

    error: BaseException | None
    """What ended it; `GeneratorExit` for a plain close."""
    abandoned: bool
    """It was blocked when it was ended: it will be closed when it comes back."""

    def __init__(
        self,
        source: str,
        attempt: int,
        delivered: int | None,
        elapsed: float,
        error: BaseException | None,
        abandoned: bool = False,
    ) -> None:
        super().__init__(source, attempt, delivered, elapsed)
        put(self, "error", error)
        put(self, "abandoned", abandoned)


class Waiting(_Record):
    """The same source is going to be opened again."""

    __slots__ = ("error", "mode", "seconds")

    error: Exception
    """What the last attempt failed with."""
    seconds: float
    """The pause before it, in seconds."""
    mode: Mode | None
    """How the next attempt takes over; `None` where nothing was delivered yet."""

    def __init__(
        self,
        source: str,
        attempt: int,
        delivered: int | None,
        elapsed: float,
        error: Exception,
        seconds: float,
        mode: Mode | None,
    ) -> None:
        super().__init__(source, attempt, delivered, elapsed)
        put(self, "error", error)
        put(self, "seconds", seconds)
        put(self, "mode", mode)


class Switched(_Record):
    """The stream leaves a failed source for another one."""

    __slots__ = ("error", "mode", "seconds", "to")

    to: str
    """Name of the source that is going to be opened."""
    error: Exception
    """What the last attempt failed with."""
    seconds: float
    """The pause before it, in seconds: 0 unless that source was opened before."""
    mode: Mode | None
    """How the next attempt takes over; `None` where nothing was delivered yet."""

    def __init__(
        self,
        source: str,
        attempt: int,
        delivered: int | None,
        elapsed: float,
        to: str,
        error: Exception,
        seconds: float,
        mode: Mode | None,
    ) -> None:
        super().__init__(source, attempt, delivered, elapsed)
        put(self, "to", to)
        put(self, "error", error)
        put(self, "seconds", seconds)
        put(self, "mode", mode)


class Exhausted(_Record):
    """No source is left: the consumer gets the errors (`on_exhausted`)."""

    __slots__ = ("error", "failures")

    error: Exception
    """What the last attempt failed with."""
    failures: int
    """How many attempts failed."""

    def __init__(
        self,
        source: str,
        attempt: int,
        delivered: int | None,
        elapsed: float,
        error: Exception,
        failures: int,
    ) -> None:
        super().__init__(source, attempt, delivered, elapsed)
        put(self, "error", error)
        put(self, "failures", failures)


Event: TypeAlias = (
    Opening | Committed | Failed | Completed | Closed | Waiting | Switched | Exhausted
)


class Takeover(Frozen):
    """The marker that `announce=True` yields just before the first item that a takeover delivers.

    It is not an item: it is never counted, held back by `commit_when` or judged by
    `complete_when`, also when it comes from a stream inside.
    """

    __slots__ = ("delivered", "error", "mode", "source")

    mode: Mode
    """How the new attempt took over: after "restart" the items start over."""
    source: str
    """Name of the source that took over."""
    error: Exception
    """What the attempt before it failed with."""
    delivered: int
    """Items delivered since the last restart: after "restart" those to throw away."""

    def __init__(self, mode: Mode, source: str, error: Exception, delivered: int) -> None:
        look_at_each_item()  # those who count items: this is none, also where it is a copy
        put(self, "mode", mode)
        put(self, "source", source)
        put(self, "error", error)
        put(self, "delivered", delivered)
