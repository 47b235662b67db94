"""`Trace`: a listener that keeps the events of a stream and shows them to a person."""

from __future__ import annotations

import sys

from failover_iter.events import Event
from failover_iter.trace import _html, _text
from failover_iter.trace._attempts import TracedAttempt, read

__all__ = ["Trace", "TracedAttempt"]


class Trace:
    """A listener that keeps the events of a stream, and shows them as a table with a time line.

    Give it as `on_event`. `print(trace)` shows one line per attempt, at most 100 columns wide; a
    notebook shows the same as HTML. It can be looked at while the stream runs. Of very many
    attempts the first and the last 20 are shown::

        source   #  start  first    end  delivered  outcome                0           3.75s
        primary  1    0ms  250ms  1.00s          3  failed OSError: reset  -===x
        primary  2  1.50s      -  1.75s          0  failed TimeoutError        ..-x
        replica  1  1.75s  2.75s  3.75s          4  completed                     -----====|
        takeover: skip
        ... waiting  --- until the first item  === delivering  x failed  | completed

    `start`, `first` (the commit: the first item is delivered) and `end` count from the first pull
    of the stream; `delivered` is what this attempt alone delivered; `takeover` is how attempts
    took over once items had been delivered, a column where that differs. A line says so where no
    source was left, or where the stream waits.

    One trace is made for one stream. A stream inside another one (`Policy.source`) that tells the
    same trace is indented below the attempt it belongs to, on the outer one's time line. Streams
    that come one after the other are numbered, each with a time line from 0. Streams that run at
    the same time cannot be told apart with certainty, as events do not say where they come from:
    each is taken for a stream inside the one before. Give each its own trace.

    It keeps every event, and with it the errors and their tracebacks: clear `events` where one
    trace serves for long.

    Example:
        >>> from failover_iter import Trace, failover_stream
        >>> def primary():
        ...     yield 1
        ...     raise ConnectionError("reset by peer")
        >>> def replica():
        ...     yield from (1, 2)
        >>> trace = Trace()
        >>> list(failover_stream([primary, replica], retry_on=ConnectionError, mid_stream="skip",
        ...                      on_event=trace))
        [1, 2]
        >>> for row in trace.attempts:
        ...     print(row.source, row.takeover, row.delivered, row.outcome)
        primary None 1 failed
        replica skip 1 completed
        >>> print(trace)  # doctest: +ELLIPSIS
        source   #  ...
    """

    events: list[Event]
    """The events so far, in the order in which they came."""

    def __init__(self) -> None:
        """Begin with none."""
        self.events = []

    def __call__(self, event: Event) -> None:
        """Keep one more event."""
        self.events.append(event)

    @property
    def attempts(self) -> tuple[TracedAttempt, ...]:
        """The attempts so far, in the order in which they were opened; computed at each access."""
        lines = read(tuple(self.events))
        return tuple(line for line in lines if isinstance(line, TracedAttempt))

    def __str__(self) -> str:
        """Show the table; what standard output cannot encode is escaped, so that print works."""
        encoding = getattr(sys.stdout, "encoding", None)
        lines = read(tuple(self.events))
        return _text.render(lines, encoding if isinstance(encoding, str) else "utf-8")

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return _html.render(read(tuple(self.events)))

    def __repr__(self) -> str:
        """Say how much it holds, in one line."""
        return f"<Trace of {len(self.events)} events>"
