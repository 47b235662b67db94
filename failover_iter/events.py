"""The events that a stream passes to its listener (`on_event`): frozen records, in a fixed order.

Each attempt begins with `Opening`. `Committed` follows if the attempt gets that far. Exactly one
of `Failed`, `Completed` and `Closed` ends it, after the source was closed. Between two attempts
comes `Waiting` (the same source is retried) or `Switched` (another source is next). If no source
is left, `Exhausted` comes last. `PassedOver` names each source that may not take over, and why.
`Switched` follows `Waiting` if `health` has the stream leave the source after the pause::

    PassedOver* Opening Committed?
        (Failed PassedOver* (Waiting | Switched) (PassedOver* Switched?) Opening Committed?)*
        (Failed PassedOver* Exhausted? | Completed | Closed)

The inner stream of a hedge (`Policy.hedge`) may have several attempts at a time. `Contending` comes
before the `Opening` of each attempt that starts while others are running, and the end of an attempt
may also be `Superseded`: another source was first. `source` and `attempt` say which attempt an
event belongs to.

If the consumer or a `total_timeout` interrupts a pause, the stream emits no further event. If it
raises the error of a `Failed`, that event is the last one, too. If a listener has a method
`stream_ended`, the method is called once for each stream, with an `Ended` record, after the last
event.

One listener can serve many streams: `stream` is the number of the stream that an event belongs to.
Each opening of a `Policy.source` is an inner stream with its own number, and its events come
between `Opening` and the end of that attempt of the outer stream. `parent` is the number of the
outer stream.

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

from dataclasses import dataclass, field
from typing import TypeAlias

from failover_iter._types import Mode, PassedOverReason

__all__ = [
    "Closed",
    "Committed",
    "Completed",
    "Contending",
    "Ended",
    "Event",
    "Exhausted",
    "Failed",
    "Opening",
    "PassedOver",
    "Superseded",
    "Switched",
    "Takeover",
    "Waiting",
]


@dataclass(frozen=True, slots=True)
class _Record:
    source: str
    """Name of the source."""
    attempt: int
    """Number of the attempt on this source, from 1."""
    delivered: int
    """Number of items that the outermost stream has delivered so far, in all attempts."""
    elapsed: float
    """Seconds since the consumer asked for the first item, or since the inner stream was opened."""
    stream: int = field(default=0, kw_only=True, compare=False)
    """Number of the stream in this process. Each opening of a `Policy.source` has its own."""
    parent: int | None = field(default=None, kw_only=True, compare=False)
    """Number of the outer stream; `None` if this is not the stream of a `Policy.source`."""


class Opening(_Record):
    """An attempt begins: the factory is called next."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Contending(_Record):
    """Another source of a hedge is opened next, because those that are open are slow."""

    seconds: float
    """How long the stream waited for the source before it."""


class Committed(_Record):
    """The stream starts to deliver items of this attempt."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Failed(_Record):
    """The source failed and was closed.

    Also the argument of a callable `wait`, and the record type in `Progress.failures`.
    """

    error: Exception
    """The error, the same object that was raised."""
    failures: int
    """Number of failures of this stream so far, including this one.

    An inner stream adds the failures of the outer one before it was opened.
    """
    consecutive: int
    """Number of failures since an item or a bookmark was last received, including this one."""
    close_error: Exception | None
    """The error raised while closing the failed source, if any."""
    abandoned: bool = False
    """The source was blocked when it timed out; it is closed as soon as its call returns."""
    matched: bool = True
    """`switch_on` or `retry_on` lists the error, or it is a `SourceError`.

    `False`: the stream ends, and the error passes to the consumer (or to the outer stream).
    """


class Completed(_Record):
    """The source ended normally and was closed. This is the last event of the stream."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Closed(_Record):
    """The attempt was ended from outside, and the source was closed.

    The consumer closed the stream, threw an exception into it or was cancelled; `total_timeout` or
    a timeout of an outer stream expired; a callback raised; or closing the source after its normal
    end raised, or the last save of a checkpoint.
    """

    error: BaseException | None
    """The error that ended it; `GeneratorExit` for a plain close."""
    abandoned: bool = False
    """The source was blocked when it was ended; it is closed as soon as its call returns."""


@dataclass(frozen=True, slots=True)
class Superseded(_Record):
    """Another source of the hedge was first, so this one was closed. It has not failed."""

    by: str | None
    """Name of the source that decided the race; `None` if the stream was ended meanwhile."""
    abandoned: bool = False
    """The source was blocked; it is closed as soon as its call returns."""


@dataclass(frozen=True, slots=True)
class Waiting(_Record):
    """The same source is retried next."""

    error: Exception
    """The error of the last attempt."""
    seconds: float
    """The pause before the retry, in seconds."""
    mode: Mode | None
    """How the next attempt takes over; `None` if nothing was delivered yet."""


@dataclass(frozen=True, slots=True)
class Switched(_Record):
    """The stream switches from a failed source to another one."""

    to: str
    """Name of the source that is opened next."""
    error: Exception
    """The error of the last attempt."""
    seconds: float
    """The pause before the switch, in seconds; 0 unless that source was opened before."""
    mode: Mode | None
    """How the next attempt takes over; `None` if nothing was delivered yet."""


@dataclass(frozen=True, slots=True)
class PassedOver(_Record):
    """A source may not take over: the stream does not open it, and looks at the next one.

    `attempt` is the number that its attempt would have had.
    """

    reason: PassedOverReason
    """Why: `"mid_stream"`, `"health"` or `"budget"`.

    `"mid_stream"`: its mode is "raise", and items were delivered. `"health"`: it failed lately, and
    is tried last. `"budget"`: it was to be tried again, and the budget is empty.
    """


@dataclass(frozen=True, slots=True)
class Exhausted(_Record):
    """No source is left: the stream raises the errors (see `on_exhausted`)."""

    error: Exception
    """The error of the last attempt."""
    failures: int
    """Number of failed attempts of this stream."""


@dataclass(frozen=True, slots=True)
class Ended(_Record):
    """The stream has ended, for any reason. `on_event` itself does not receive this record.

    If a listener has a method `stream_ended`, the method is called with this record, once for each
    stream that has opened a source, after its last event. `source` and `attempt` name what was
    opened last, or was to be opened next.

    Example:
        >>> from failover_iter import failover_stream
        >>> class Listener:
        ...     def __call__(self, event):
        ...         print(type(event).__name__)
        ...     def stream_ended(self, ended):
        ...         print("ended by", repr(ended.error))
        >>> def primary():
        ...     yield 1
        ...     raise ConnectionError("reset by peer")
        >>> try:
        ...     list(failover_stream([primary], retry_on=ConnectionError, mid_stream="raise",
        ...                          on_event=Listener()))
        ... except ConnectionError:
        ...     print("raised")
        Opening
        Committed
        Failed
        ended by ConnectionError('reset by peer')
        raised
    """

    error: BaseException | None
    """The error that the stream raises, or that ended it from outside; `None` if it completed.

    `GeneratorExit`: the consumer closed it, or left it to the garbage collector.
    """


Event: TypeAlias = (
    Opening
    | Contending
    | Committed
    | Failed
    | Completed
    | Closed
    | Superseded
    | Waiting
    | Switched
    | PassedOver
    | Exhausted
)


@dataclass(frozen=True, slots=True)
class Takeover:
    """The marker that `mark_takeovers=True` yields before the first item after a takeover.

    A marker is not an item: it is never counted, held back by `commit_when` or checked by
    `complete_when`. A `Takeover` that a factory yields is an item like any other.
    """

    mode: Mode
    """How the new attempt took over. After "restart" the items start over."""
    source: str
    """Name of the source that took over."""
    error: Exception
    """The error of the attempt before."""
    delivered: int
    """Number of items delivered before the takeover; after "restart", those to discard."""
