"""`Trace`: a listener that collects the events of streams and displays them."""

from __future__ import annotations

import sys

from failover_iter.events import Event
from failover_iter.trace import _html, _text
from failover_iter.trace._attempts import TracedAttempt, read

__all__ = ["Trace", "TracedAttempt"]


class Trace:
    """A listener that collects the events of streams and shows them as a table with a timeline.

    Pass it as `on_event`. `print(trace)` prints one line per attempt, at most 100 columns wide, and
    `print(f"{trace:60}")` as many as you say, 60 or more: a narrow table has fewer columns. A
    notebook shows the same table as HTML. You can print it while a stream runs. If there are very
    many attempts, only the first 20 and the last 20 lines are shown::

        source   #  start  first    end  delivered  outcome                0           3.75s
        primary  1    0ms  250ms  1.00s          3  failed OSError: reset  -===x
        primary  2  1.50s      -  1.75s          0  failed TimeoutError        ..-x
        replica  1  1.75s  2.75s  3.75s          4  completed                     -----====|
        takeover: skip
        ... waiting  --- until the first item  === delivering  x failed  | completed

    `start`, `first` (the commit, when the first item is delivered) and `end` are measured from the
    first pull of the stream. `delivered` counts the items of this attempt only. `takeover` is the
    mode in which attempts took over after items had been delivered; it becomes a column if the
    modes differ. Further lines report that a source was passed over, that the stream is exhausted,
    or that it is waiting.

    One trace can serve many streams, also at the same time, in threads and in async tasks: set it
    as the `on_event` of a `Policy`. The streams are numbered in the order in which they began, and
    each has its own timeline, which starts at 0. The attempts of a `Policy.source` are indented
    below the outer stream's attempt that opened it, on the timeline of the outer stream.

    A trace keeps every event, and with it the errors and their tracebacks. Clear `events` if you
    use a trace for a long time.

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
    """The events so far, in order."""

    def __init__(self) -> None:
        self.events = []

    def __call__(self, event: Event) -> None:
        """Append an event."""
        self.events.append(event)

    @property
    def attempts(self) -> tuple[TracedAttempt, ...]:
        """The attempts so far, stream by stream, in order. Computed on each access."""
        lines = read(tuple(self.events))
        return tuple(line for line in lines if isinstance(line, TracedAttempt))

    def __str__(self) -> str:
        """Return the table. Characters that standard output cannot encode are escaped."""
        return format(self, str(_text.WIDTH))

    def __format__(self, columns: str) -> str:
        """Return the table in that many columns; without a number as `str` does."""
        if columns and not (columns.isdecimal() and int(columns) >= _text.NARROWEST):
            raise ValueError(
                f"the width of a trace must be at least {_text.NARROWEST}, got {columns!r}"
            )
        encoding = getattr(sys.stdout, "encoding", None)
        lines = read(tuple(self.events))
        known = encoding if isinstance(encoding, str) else "utf-8"
        return _text.render(lines, known, int(columns or _text.WIDTH))

    def _repr_html_(self) -> str:
        """Return the table as HTML, for a notebook."""
        return _html.render(read(tuple(self.events)))

    def __repr__(self) -> str:
        """Return the number of events, in one line."""
        return f"<Trace of {len(self.events)} events>"
