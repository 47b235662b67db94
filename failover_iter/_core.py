"""The decision machine behind both drivers: told what happened, it answers what to do next.

It does no I/O, knows no clock but the one it is handed, and is consulted at boundaries only:

    start, failed, ended, slept  ->  Open | Sleep | Raise | Return
    opening, opened, committed, closed     (told, nothing to answer)

Callbacks that concern a boundary (`retry_on`, `wait`, `Decide`, `complete_when`, `on_event`) are
called from here; what they raise goes to the consumer by way of the driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeAlias

from failover_iter._checks import seconds_of
from failover_iter._entries import Entry, read_entry
from failover_iter._failures import Failures, add_note, describe, note_close_error
from failover_iter._options import MODES, Decide, Nested, Resume, Skip
from failover_iter._record import Needs, Record
from failover_iter.errors import (
    NoSources,
    ReusedIterator,
    SourceError,
    TruncatedStream,
    is_wrong_use,
    wrong_use,
)
from failover_iter.events import (
    Closed,
    Committed,
    Completed,
    Exhausted,
    Failed,
    Opening,
    Switched,
    Takeover,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from failover_iter._options import Options, Wait
    from failover_iter._types import Flavour, Mode
    from failover_iter.events import Event

    Report: TypeAlias = Callable[[Event, bool], None]

_REMEMBERED = 64  # sources that count as "opened before"


@dataclass(frozen=True, slots=True)
class Open:
    """Open the source: call its factory, pull it, tell how that went."""

    entry: Entry
    factory: Callable[..., Any]
    args: tuple[Any, ...]
    skip: int
    """Items to drop first."""
    marker: Takeover | None
    """What to yield before its first item."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait, then say `slept`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Raise:
    """End the stream with this error."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Return:
    """End the stream with this value."""

    value: Any


Command: TypeAlias = Open | Sleep | Raise | Return


class Run:
    """One stream from its first pull to its end: all that changes meanwhile is here."""

    __slots__ = (
        "_announce",
        "_attempt",
        "_consecutive",
        "_count_at_opening",
        "_entries",
        "_entry",
        "_error",
        "_failures",
        "_flavour",
        "_hinted",
        "_index",
        "_lazy",
        "_mode",
        "_now",
        "_opened_before",
        "_options",
        "_report",
        "_restart_due",
        "_seeded",
        "_started",
        "record",
    )

    def __init__(
        self,
        options: Options,
        entries: tuple[Entry, ...] | Iterable[Any],
        *,
        flavour: Flavour,
        announce: bool,
        seed: Any,
        report: Report,
    ) -> None:
        """Take the options and the sources; nothing is pulled or called before `start`."""
        self._options = options
        self._flavour: Flavour = flavour
        self._announce = announce
        self._report = report
        self._lazy = not isinstance(entries, tuple)
        self._entries: Iterator[Any] = iter(entries)
        self._index = 0
        needs = Needs()
        needs.counts = announce
        needs.add(options)
        keeps_errors = self._lazy or options.on_exhausted == "group"
        for entry in entries if isinstance(entries, tuple) else ():
            if entry.options is not options:
                needs.add(entry.options)
            keeps_errors = keeps_errors or entry.resumable
        self.record = Record(needs, seed)
        self._seeded = 0 if seed is None else seed.total
        self._failures = Failures(keeps_errors=keeps_errors)
        self._consecutive = 0
        self._attempt = 1
        self._mode: Mode | None = None
        self._error: Exception | None = None
        self._count_at_opening = 0
        self._opened_before: dict[object, object] = {}
        self._hinted = False

    # What the drivers tell.

    def start(self, now: Callable[[], float]) -> Command:
        """The first item is asked for."""
        self._now = now
        self._started = now()
        entry = self._next_entry()
        if entry is None:
            raise NoSources("factories gave no source at all")
        self._entry = entry
        return self._open()

    def opening(self) -> None:
        """The factory is going to be called."""
        if self._options.on_event is not None:
            self._tell(Opening(*self._where()))

    def opened(self, *, ended: bool) -> None:
        """The factory gave something; `ended` = a generator that has ended already."""
        if ended and self._failures.count:
            raise ReusedIterator(
                f"source {self._entry.name!r} gave back a generator that has already ended: a "
                "factory must make a new iterator at each call, not hand out the same one again"
            )

    def committed(self) -> None:
        """The attempt starts to deliver."""
        self._restart_if_due()
        if self._options.on_event is not None:
            self._tell(Committed(*self._where()))

    def failed(
        self, error: Exception, close_error: Exception | None, *, received: bool
    ) -> Command:
        """The source failed, and was closed; `received` = it gave an item before."""
        note_close_error(error, self._entry.name, close_error)
        self._consecutive = 1 if received else self._consecutive + 1
        failed = Failed(
            *self._where(), error, self._failures.count + 1, self._consecutive, close_error
        )
        self._tell(failed)
        stays = self._options.mid_stream == "raise" and self.record.any
        if stays or not self._matches(error):
            return self._give_up(error)
        self._failures.add(failed)
        self._error = error
        return self._go_on(failed)

    def ended(
        self, value: Any, close_error: Exception | None, *, received: bool, judged: bool
    ) -> Command:
        """The source ended, and was closed; `judged` = it has to be complete."""
        self._restart_if_due()
        if judged and not self._is_complete():
            cut = TruncatedStream(f"{self._entry.name} ended before complete_when was met")
            return self.failed(cut, close_error, received=received)
        if close_error is not None:
            self.closed(close_error, None, theirs=False)
            return Raise(close_error)
        if self._options.on_event is not None:
            self._tell(Completed(*self._where()))
        return Return(value)

    def closed(
        self, error: BaseException, close_error: Exception | None, *, theirs: bool
    ) -> None:
        """The attempt was ended from outside, and the source closed; `theirs` = the consumer threw it."""
        if not isinstance(error, GeneratorExit):
            note_close_error(error, self._entry.name, close_error)
            if not theirs:
                self._failures.tell(error)
        if self._options.on_event is None:
            return
        try:
            self._tell(Closed(*self._where(), error))
        except Exception as raised:
            # It must not take the place of a cancellation or of Ctrl-C, which nobody would see.
            if isinstance(error, Exception | GeneratorExit):
                raise
            add_note(error, f"on_event raised {describe(raised)}")

    def slept(self) -> Command:
        """The pause is over."""
        return self._open()

    def finish(self) -> None:
        """Let go of everything: an error that outlives the stream must not hold on to it."""
        del self._failures, self._error, self._options, self._entries, self.record

    # What it decides.

    def _go_on(self, failed: Failed) -> Command:
        chosen = self._choose()
        if chosen is None:
            return self._exhaust(failed)
        entry, attempt, mode = chosen
        if mode == "raise":
            return self._give_up(failed.error, but_last=True)
        again = entry is self._entry
        known = again or _identity(entry.factory) in self._opened_before
        seconds = _pause(entry.options.wait, failed) if known else 0.0
        event: Waiting | Switched = (
            Waiting(*self._where(), failed.error, seconds, mode)
            if again
            else Switched(*self._where(), entry.name, failed.error, seconds, mode)
        )
        self._entry, self._attempt, self._mode = entry, attempt, mode
        self._report(event, self._repeats_unasked())
        self._tell(event)
        return Sleep(seconds) if known else self._open()

    def _exhaust(self, failed: Failed) -> Command:
        event = Exhausted(*self._where(), failed.error, self._failures.count)
        self._report(event, False)
        self._tell(event)
        if self._options.on_exhausted == "group":
            return Raise(self._failures.group())
        return self._give_up(failed.error, but_last=True)

    def _give_up(self, error: Exception, *, but_last: bool = False) -> Raise:
        self._failures.tell(error, but_last=but_last)
        return Raise(error)

    def _choose(self) -> tuple[Entry, int, Mode | None] | None:
        """The next source that may take over, or mode "raise" where the stream has to end."""
        entry: Entry | None = self._entry
        if entry.options.reset_on_progress and self.record.count > self._count_at_opening:
            self._attempt = 0
        attempt = self._attempt + 1
        if entry.options.attempts is not None and attempt > entry.options.attempts:
            entry, attempt = self._next_entry(), 1
        passed_over: set[object] = set()
        while entry is not None:
            mode = self._mode_of(entry, attempt)
            if mode != "raise" or not entry.has_own_mode:
                return entry, attempt, mode
            identity = _identity(entry.factory)
            if identity in passed_over:  # an endless cycle of sources that may not take over
                return None
            passed_over.add(identity)
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
        if not isinstance(way, Decide):
            return way
        kept = self._failures.kept
        mode = way.fn(self.record.progress(way.keep, kept, attempt, start_over=False))
        if mode not in MODES:
            raise wrong_use(
                ValueError(
                    "the function of Decide must give 'restart', 'raise', 'skip' or 'resume', "
                    f"got {mode!r}"
                )
            )
        return mode

    def _next_entry(self) -> Entry | None:
        for item in self._entries:
            if not self._lazy:
                return item  # type: ignore[no-any-return]  # read when the stream was made
            try:
                entry = read_entry(item, self._index, self._flavour, self._options)
                self._index += 1
                self._widen(entry)
            except (TypeError, ValueError) as error:
                raise wrong_use(error)  # noqa: B904 (the same error, marked)
            return entry
        return None

    def _widen(self, entry: Entry) -> None:
        if entry.options is self._options:
            return
        needs = Needs()
        needs.add(entry.options)
        if not self.record.widen(needs):
            raise ValueError(
                f"source {entry.name!r} has mid_stream={entry.options.mid_stream!r} (or another "
                "option that looks at each item), but the items before it were not recorded: give "
                "the sources as a list, or set the option for the whole stream"
            )

    def _open(self) -> Open:
        entry, mode, record = self._entry, self._mode, self.record
        start_over = mode in ("restart", "skip")
        progress = None
        if entry.resumable:
            keep = entry.options.way.keep  # type: ignore[union-attr]  # resumable: Resume or Decide
            kept = self._failures.kept
            progress = record.progress(keep, kept, self._attempt, start_over=start_over)
        factory = entry.factory
        args: tuple[Any, ...] = () if progress is None else (progress,)
        if isinstance(factory, Nested):
            factory, args = factory.open, (self._flavour, progress, self._announce)
        marker = None
        if self._announce and mode is not None and self._error is not None:
            if mode == "restart" or record.before + record.count > self._seeded:
                marker = Takeover(mode, entry.name, self._error, record.count)
        self._count_at_opening = record.count
        self._restart_due = mode == "restart"
        self._remember(entry.factory)
        return Open(entry, factory, args, record.count if mode == "skip" else 0, marker)

    def _remember(self, factory: object) -> None:
        identity = _identity(factory)
        self._opened_before.pop(identity, None)
        self._opened_before[identity] = factory  # kept alive, so that its id stays its own
        if len(self._opened_before) > _REMEMBERED:
            del self._opened_before[next(iter(self._opened_before))]

    def _matches(self, error: Exception) -> bool:
        """Whether the error, or every leaf of a group of errors, is a failure of the source."""
        if is_wrong_use(error):
            return False
        if isinstance(error, SourceError) or self._is_listed(error):
            return True
        if not isinstance(error, ExceptionGroup):
            return False
        return all(self._matches(leaf) for leaf in error.exceptions)

    def _is_listed(self, error: Exception) -> bool:
        retry_on = self._entry.options.retry_on
        if isinstance(retry_on, type | tuple):
            return isinstance(error, retry_on)
        return bool(retry_on(error))

    def _is_complete(self) -> bool:
        complete_when = self._entry.options.complete_when
        if complete_when is None:
            return True
        items = self.record.items
        return bool(items) and bool(complete_when(items[-1]))

    def _repeats_unasked(self) -> bool:
        """Whether items are delivered again though nobody said so; true once in a stream."""
        if self._hinted or self._mode != "restart" or self._entry.options.mid_stream is not None:
            return False
        self._hinted = True
        return True

    def _restart_if_due(self) -> None:
        if self._restart_due:
            self._restart_due = False
            self.record.restart()

    def _where(self) -> tuple[str, int, int | None, float]:
        elapsed = self._now() - self._started
        return self._entry.name, self._attempt, self.record.delivered, elapsed

    def _tell(self, event: Event) -> None:
        if self._options.on_event is not None:
            self._options.on_event(event)


def _identity(factory: object) -> object:
    """What two openings of the same source share; a bound method is made anew at each access."""
    if isinstance(factory, MethodType):
        return id(factory.__self__), id(factory.__func__)
    return id(factory)


def _pause(wait: Wait, failed: Failed) -> float:
    if not callable(wait):
        return seconds_of("wait", wait)
    try:
        return seconds_of("what wait gives", wait(failed))
    except (TypeError, ValueError) as error:
        raise wrong_use(error)  # noqa: B904 (the same error, marked)
