"""The decision machine behind both drivers: told what happened, it answers what to do next.

It does no I/O, knows no clock but the one it is handed, and is consulted at boundaries only:

    start, failed, ended, slept  ->  Open | Sleep | Raise | Return
    opening, opened_ended, committed, closed    (told, nothing to answer)

Callbacks that concern a boundary (`retry_on`, `wait`, `Decide`, `complete_when`, `on_event`) are
called from here; what they raise goes to the consumer by way of the driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._core.commands import ENDED, Command, Handover, Open, Raise, Return, Sleep
from failover_iter._core.delivered import Needs, Record
from failover_iter._core.failures import NO_FAILURES, Failures, cut_tracebacks, note_close_error
from failover_iter._core.matching import matches
from failover_iter._core.source_queue import Sources
from failover_iter._core.timing import Timing, pause_after
from failover_iter._mid_stream import MODES, Decide, Resume, Skip
from failover_iter._validation import verdict
from failover_iter.errors import (
    NoSources,
    ReusedIterator,
    TruncatedStream,
    wrong_use,
)
from failover_iter.events import (
    Committed,
    Failed,
    Switched,
    Takeover,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_iter._core.reporting import Report
    from failover_iter._core.sources import Entry
    from failover_iter._mid_stream import Key, Progress
    from failover_iter._options import Options
    from failover_iter._types import Flavour, Mode


_PASSED_OVER = 1000  # so many in a row that may not take over: they will never end


class Run(Timing):
    """One stream from its first pull to its end: all that changes meanwhile is here."""

    # Class attributes are what most streams never change: to make one is half the work then.
    _error: Exception | None = None  # what the last attempt failed with
    _consecutive = 0
    _count_at_opening = 0
    _restart_due = False
    _count_before = 0  # failures of a stream around
    #: This stream has delivered something itself.
    any = False
    #: A weak reference to the outermost blocking stream: dead while that is finalized.
    stream: Callable[[], object] | None = None

    def __init__(
        self,
        options: Options,
        entries: tuple[Entry, ...] | Iterable[Any],
        *,
        flavour: Flavour,
        mark_takeovers: bool,
        seed: Progress | Handover | None,
        report: Report,
    ) -> None:
        """Take the options and the sources; nothing is pulled or called before `start`."""
        self._options = options
        self.listens = options.on_event is not None
        self._flavour: Flavour = flavour
        self._mark_takeovers = mark_takeovers
        self._report = report
        self._sources = sources = Sources(entries, flavour, options)
        needs = Needs.of(options, sources.known, counts=mark_takeovers)
        if isinstance(seed, Handover):
            self._take_over(seed, needs)
        else:
            self.record = Record(needs, seed)

    def _take_over(self, handover: Handover, needs: Needs) -> None:
        self._handover = handover
        self._count_before = handover.count
        self.record, self._mode, self._error = handover.record, handover.mode, handover.error
        self._outage_since, self.stream = handover.outage_since, handover.stream
        if not self.record.widen(needs):
            raise wrong_use(
                ValueError(
                    "a Policy.source needs more of what was delivered than the stream around it "
                    "has recorded: give the sources as lists, or set the option for both"
                )
            )

    # What the drivers tell.

    def start(self, now: Callable[[], float]) -> Command:
        """The first item is asked for."""
        self._now = now
        self.start_timing()
        try:
            entry = self._next_entry() if self._mode is None else self._first_that_may_take_over()
        except BaseException:  # of `factories` itself: no outage of a stream around
            self._excuse()
            raise
        if entry is None:
            if self._error is not None:  # all of them were passed over
                return Raise(self._error)
            raise NoSources("factories gave no source at all")
        self._entry = entry
        return self._open()

    def _first_that_may_take_over(self) -> Entry | None:
        """Where a stream around hands over, not every source may be the first."""
        entry = self._next_entry()
        while entry is not None and entry.sets_mode:
            mode = self._mode_of(entry, 1)
            if mode != "raise":
                self._mode = mode
                break
            entry = self._next_entry()
        return entry

    def opened_ended(self) -> None:
        """The factory gave a generator that has ended already."""
        if self._failures.count or self._count_before:
            raise ReusedIterator(
                f"source {self._entry.name!r} gave back a generator that has already ended: a "
                "factory must make a new iterator at each call, not hand out the same one again"
            )

    def committed(self) -> None:
        """The attempt starts to deliver, where that has to be known: see `awaits_commit`."""
        self.outage_ended()
        if self._restart_due:
            self._restart_due = False
            self.restart()
        if self.listens:
            self._tell(Committed(*self._where()))

    def failed(
        self,
        error: Exception,
        close_error: Exception | None,
        *,
        received: bool,
        abandoned: bool = False,
    ) -> Command:
        """The source failed, and was closed, or abandoned; `received` = it gave an item before."""
        try:
            return self._failed(error, close_error, received=received, abandoned=abandoned)
        except BaseException as raised:  # by a callback, or by `factories`
            self._excuse()
            self._failures.tell(raised)
            if raised.__context__ is None:  # the error was made by us, and never raised
                raised.__context__ = error
            raise

    def _failed(
        self, error: Exception, close_error: Exception | None, *, received: bool, abandoned: bool
    ) -> Command:
        note_close_error(error, self._entry.name, close_error)
        self._consecutive = 1 if received else self._consecutive + 1
        count = self._count_before + self._failures.count + 1
        failed = Failed(*self._where(), error, count, self._consecutive, close_error, abandoned)
        self._note_outage(self._started + failed.elapsed, received=received)
        self._tell(failed)
        stays = self._options.mid_stream == "raise" and self.any
        if stays or not matches(error, self._entry.options.retry_on):
            return self._give_up(error)
        if self._failures is NO_FAILURES:
            self._failures = Failures(keeps_errors=self._needs_errors())
        self._failures.add(failed)
        self._error = error
        return self._go_on(failed)

    def ended(
        self, value: Any, close_error: Exception | None, *, received: bool, judged: bool
    ) -> Command:
        """The source ended, and was closed; `judged` = it has to be complete."""
        complete_when = self._entry.options.complete_when
        if (
            judged
            and complete_when is not None
            and not self._is_complete(complete_when, close_error)
        ):
            cut = TruncatedStream(f"{self._entry.name} ended before complete_when was met")
            return self.failed(cut, close_error, received=received)
        if close_error is not None:
            self.closed(close_error, None, theirs=False)
            return Raise(close_error)
        if self.listens:
            self._tell_completed()
        return ENDED if value is None else Return(value)

    def closed(
        self,
        error: BaseException,
        close_error: Exception | None,
        *,
        theirs: bool,
        expired: bool = False,
        abandoned: bool = False,
    ) -> None:
        """The attempt was ended from outside.

        `theirs` = by what the consumer threw; `expired` = the time of the stream is over, which
        for a stream around is an error like any other.
        """
        if not expired:
            self._excuse()
        if isinstance(error, GeneratorExit) and close_error is not None:
            self._failures.tell(close_error)
        elif not isinstance(error, GeneratorExit):
            note_close_error(error, self._entry.name, close_error)
            if not theirs:
                self._failures.tell(error)
        if self.listens:
            self._tell_closed(error, close_error, abandoned=abandoned)

    def restart(self) -> None:
        """The items start over now, and no sooner: an attempt that gave none changed nothing."""
        self.record.restart()
        if self._handover is not None:
            self._handover.restarted = True

    def interrupted(self, error: BaseException) -> None:
        """A pause was broken off."""
        self._excuse()
        self._failures.tell(error)

    def slept(self) -> Command:
        """The pause is over."""
        return self._end_in_time() or self._open()

    def finish(self) -> None:
        """Let go of everything: an error that outlives the stream must not hold on to it."""
        self._error = self._handover = self._inside = None
        self._failures = NO_FAILURES
        del self._options, self._sources, self.record

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody waits for this stream any more: one around it has abandoned it."""
        return self._handover is not None and self._handover.is_abandoned

    # What it decides.

    def _go_on(self, failed: Failed) -> Command:
        ended = self._end_in_time()
        if ended is not None:
            return ended
        chosen = None if self._lasts_too_long(failed, 0) else self._choose()
        if chosen is None:
            return self._exhaust(failed)
        entry, attempt, mode = chosen
        if mode == "raise":
            return self._give_up(failed.error, but_last=True)
        again = entry is self._entry
        known = again or self._sources.opened_before(entry, left=self._entry)
        seconds = pause_after(failed, entry.options.wait) if known else 0.0
        if self._lasts_too_long(failed, seconds):
            return self._exhaust(failed)
        event: Waiting | Switched = (
            Waiting(*self._where(), failed.error, seconds, mode)
            if again
            else Switched(*self._where(), entry.name, failed.error, seconds, mode)
        )
        self._entry, self._attempt, self._mode = entry, attempt, mode
        self._tell_next(event)
        if not known:
            return self._open()
        return Sleep(max(0.0, min(seconds, self.stream_until - self._now())))

    def _exhaust(self, failed: Failed) -> Command:
        self._tell_exhausted(failed.error)
        if self._options.on_exhausted == "group":
            return Raise(self._failures.group())
        return self._give_up(failed.error, but_last=True)

    def _give_up(self, error: Exception, *, but_last: bool = False) -> Raise:
        self._failures.tell(error, but_last=but_last)
        return Raise(error)

    def _choose(self) -> tuple[Entry, int, Mode | None] | None:
        """The next source that may take over, or mode "raise" where the stream has to end."""
        entry: Entry | None = self._entry
        options = self._entry.options
        went_on = self.record.count > self._count_at_opening
        attempt = 1 if options.reset_on_progress and went_on else self._attempt + 1
        if options.attempts is not None and attempt > options.attempts:
            entry, attempt = self._next_entry(), 1
        passed_over = 0
        while entry is not None and passed_over < _PASSED_OVER:
            mode = self._mode_of(entry, attempt)
            if mode != "raise" or not entry.has_own_mode:
                return entry, attempt, mode
            passed_over += self._sources.lazy  # a list comes to its end by itself
            entry, attempt = self._next_entry(), 1
        return None

    def _mode_of(self, entry: Entry, attempt: int) -> Mode | None:
        if not self.record.any:
            return None
        way = entry.options.way
        if isinstance(way, Skip):
            return "skip"
        if isinstance(way, Resume):
            return "resume"
        if way == "raise" and not (self.any or entry.has_own_mode):
            return self._mode  # it was a stream around that delivered
        if not isinstance(way, Decide):
            return way
        told = self.record.progress(way.keep, self._told(), attempt, start_over=False)
        mode = way.fn(told)
        if mode not in MODES:
            raise wrong_use(
                ValueError(
                    "the function of Decide must give 'restart', 'raise', 'skip' or 'resume', "
                    f"got {mode!r}"
                )
            )
        return mode

    def _next_entry(self) -> Entry | None:
        entry = self._sources.next()
        if entry is not None and self._sources.lazy:
            self.record.require(entry, self._options)
        return entry

    def _open(self) -> Open:
        entry, mode, record = self._entry, self._mode, self.record
        self._count_at_opening = record.count
        self._restart_due = mode == "restart"
        self.awaits_commit = self.listens or self._restart_due or self._handover is not None
        skip = record.count if mode == "skip" else 0
        if entry.nests:
            count = self._count_before + self._failures.count
            handover = Handover(
                record.fork(), mode, self._key(entry), self._error, self._told(), count
            )
            handover.outage_since, self._inside = self._outage_since, handover
            handover.outer, handover.stream = self._handover, self.stream
            self._error = None
            given = (self._flavour, handover, self._mark_takeovers)
            nested: Any = entry.factory
            return Open(entry, nested.open, given, skip, None, None, handover)
        self._inside = None
        args = () if not entry.resumable else (self._progress(entry),)
        if mode == "resume" and not args:
            raise wrong_use(
                ValueError(
                    f"source {entry.name!r} of a Policy.source cannot go on where the stream "
                    f"around it stopped with mid_stream={entry.options.mode_given}: under a "
                    "stream that resumes, give its policy mid_stream='resume' or a Decide"
                )
            )
        marker = None
        if self._mark_takeovers and mode is not None and self._error is not None:
            marker = Takeover(mode, entry.name, self._error, record.count)
        self._error = None  # it holds its traceback, and that the frames of the failed source
        return Open(entry, entry.factory, args, skip, self._key(entry) if skip else None, marker)

    def _progress(self, entry: Entry) -> Progress:
        way = entry.options.way
        keep = way.keep if isinstance(way, Resume | Decide) else 0
        for failed in self._told():
            cut_tracebacks(failed.error)
        start_over = self._mode in ("restart", "skip")
        return self.record.progress(keep, self._told(), self._attempt, start_over=start_over)

    def _key(self, entry: Entry) -> Key | None:
        way = entry.options.way
        own = way.key if isinstance(way, Skip | Decide) else None
        if not self.record.digestible:
            return None
        return self._handover.key if own is None and self._handover is not None else own

    def _told(self) -> tuple[Failed, ...]:
        """The failures that a `Progress` tells, those of a stream around first."""
        earlier = () if self._handover is None else self._handover.failures
        return (*earlier, *self._failures.kept)

    def _needs_errors(self) -> bool:
        """Whether somebody will want the failures themselves, and not only their names."""
        sources = self._sources
        if sources.lazy or self._options.on_exhausted == "group":
            return True
        return any(entry.resumable or entry.nests for entry in sources.known)

    def _is_complete(
        self, complete_when: Callable[[Any], bool], close_error: Exception | None
    ) -> bool:
        """Whether the stream is complete with the last item since the last restart."""
        items = self.record.items
        if self._restart_due or not items:  # it would have started over, but gave nothing
            return False
        try:
            return verdict("complete_when", complete_when(items[-1]))
        except BaseException as raised:
            self.closed(raised, close_error, theirs=False)
            raise
