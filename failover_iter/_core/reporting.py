"""What a stream tells: events in their grammar, to its listener and to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from failover_iter._core.failures import NO_FAILURES, add_note, note_close_error
from failover_iter.errors import describe
from failover_iter.events import Closed, Completed, Exhausted, Opening

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.commands import Handover
    from failover_iter._core.delivered import Record
    from failover_iter._core.sources import Entry
    from failover_iter._options import Options
    from failover_iter._types import Mode
    from failover_iter.events import Event, Switched, Waiting

    Report: TypeAlias = Callable[[Waiting | Switched | Exhausted, bool], None]


class Teller:
    """The part of a run that tells where it is, and what came of it."""

    _options: Options
    _entry: Entry
    _report: Report
    _now: Callable[[], float]
    _started: float
    record: Record
    listens: bool

    # Class attributes are what most streams never change: to make one is half the work then.
    _attempt = 1
    _mode: Mode | None = None
    _hinted = False
    _failures = NO_FAILURES
    _handover: Handover | None = None  # from a stream around

    def opening(self) -> None:
        """The factory is going to be called."""
        self._tell(Opening(*self._where()))

    def _tell_completed(self) -> None:
        try:
            self._tell(Completed(*self._where()))
        except BaseException:
            self._excuse()
            raise

    def _tell_closed(
        self, error: BaseException, close_error: Exception | None, *, abandoned: bool
    ) -> None:
        try:
            self._tell(Closed(*self._where(), error, abandoned))
        except Exception as raised:
            # It must not take the place of a cancellation or of Ctrl-C, which nobody would see.
            if isinstance(error, Exception | GeneratorExit):
                note_close_error(raised, self._entry.name, close_error)
                if raised.__context__ is None and raised is not error:
                    raised.__context__ = error
                raise
            add_note(error, f"on_event raised {describe(raised)}")

    def _tell_next(self, event: Waiting | Switched) -> None:
        self._report(event, self._repeats_unasked())
        self._tell(event)

    def _tell_exhausted(self, error: Exception) -> None:
        event = Exhausted(*self._where(), error, self._failures.count)
        self._report(event, False)
        self._tell(event)

    def _repeats_unasked(self) -> bool:
        """Whether items are delivered again though nobody said so; true once in a stream."""
        if self._hinted or self._mode != "restart" or self._entry.options.mid_stream is not None:
            return False
        self._hinted = True
        return True

    def _where(self) -> tuple[str, int, int | None, float]:
        elapsed = self._now() - self._started
        return self._entry.name, self._attempt, self.record.delivered, elapsed

    def _tell(self, event: Event) -> None:
        if self._options.on_event is not None:
            self._options.on_event(event)

    def _excuse(self) -> None:
        """Say to a stream around that this is no failure of a source."""
        if self._handover is not None:
            self._handover.excused = True
