"""Reports of a stream: events to the listener of each level, and lines to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from failover_iter._core.notes import add_note, has_context, raise_unchanged, set_context
from failover_iter._core.usage import is_usage_error
from failover_iter.errors import describe
from failover_iter.events import (
    Closed,
    Ended,
    Exhausted,
    Failed,
    PassedOver,
    Superseded,
    Switched,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from failover_iter._core.delivered import Delivered
    from failover_iter._core.groups import Level
    from failover_iter._core.race import Race
    from failover_iter._core.sources import ResolvedSource
    from failover_iter._types import Mode, PassedOverReason
    from failover_iter.events import Event

    EventT = TypeVar("EventT", bound=Event | Ended)


class Log(Protocol):
    """Where failures are logged."""

    def survived(self, level: Level, error: Exception, what_follows: str, *, hint: bool) -> None:
        """A failure after which the stream goes on; `hint`: it repeats items unasked."""

    def reopened(self, level: Level, what_follows: str) -> None:
        """A source that ended after it brought the stream further is opened again."""

    def passes(self, level: Level, error: Exception) -> None:
        """An error is raised because neither `switch_on` nor `retry_on` lists it."""

    def glues(self, source: str) -> None:
        """A source starts over beside one with a cursor."""

    def exhausted(self, level: Level, error: Exception) -> None:
        """No source is left."""


class Reporter:
    """Builds event records for listeners, and log lines."""

    def __init__(
        self, delivered: Delivered, now: Callable[[], float], log: Log, *, marks: bool
    ) -> None:
        self._delivered = delivered
        self._now = now
        self._log = log
        #: The consumer sees each takeover, and needs no advice.
        self.marks = marks

    def record(self, kind: Callable[..., EventT], level: Level, *fields: Any) -> EventT:
        """The record of what happened to the source of a level."""
        elapsed = self._now() - level.started
        return kind(
            level.source.name,
            level.attempt,
            self._delivered.total,
            elapsed,
            *fields,
            stream=level.stream,
            parent=level.parent,
        )

    def tell(self, kind: Callable[..., Event], level: Level, *fields: Any) -> None:
        """Report to the listener of this level, if it has one."""
        if level.options.on_event is not None:
            level.options.on_event(self.record(kind, level, *fields))

    def failed(
        self,
        level: Level,
        error: Exception,
        close_error: Exception | None,
        *,
        abandoned: bool,
        matched: bool,
        is_kept: bool,
    ) -> Callable[[], Failed]:
        """Return a function that makes the record of a failure, once, when it is needed.

        `is_kept`: the failure is one of `level.failures` already.
        """
        made: list[Failed] = []
        number = level.failures_before + level.failures.count + (not is_kept)
        fields = (error, number, level.consecutive, close_error, abandoned, matched)

        def failed() -> Failed:
            if not made:
                made.append(self.record(Failed, level, *fields))
            return made[0]

        return failed

    def passes(self, level: Level, error: Exception) -> None:
        """The error ends the level because it is not listed; wrong use is never listed."""
        if not is_usage_error(error):
            self._log.passes(level, error)

    def passed_over(
        self, level: Level, source: ResolvedSource, attempt: int, reason: PassedOverReason
    ) -> None:
        """A source may not take over."""
        if level.options.on_event is not None:
            record = PassedOver(
                source.name,
                attempt,
                self._delivered.total,
                self._now() - level.started,
                reason,
                stream=level.stream,
                parent=level.parent,
            )
            level.options.on_event(record)

    def goes_on(
        self,
        level: Level,
        source: ResolvedSource,
        error: Exception,
        seconds: float,
        mode: Mode | None,
    ) -> None:
        """The level goes on after a failure: with the same source, or with the next one."""
        again = source is level.source
        hints = not (level.has_hinted or self.marks)
        hint = hints and mode == "restart" and source.options.mid_stream is None
        level.has_hinted = level.has_hinted or hint
        if again and level.just_ended and not hint:
            self._log.reopened(level, f"reopening{_in(seconds)}")
        else:
            what_follows = f"retrying{_in(seconds)}" if again else f"switching to {source.name}"
            self._log.survived(level, error, what_follows, hint=hint)
        if level.options.on_event is None:
            return
        if again:
            self.tell(Waiting, level, error, seconds, mode)
        else:
            self.tell(Switched, level, source.name, error, seconds, mode)

    def glues(self, level: Level, source: ResolvedSource) -> None:
        """A source that starts over, beside one with a cursor, is warned about once."""
        if "mid_stream" not in source.own and not level.has_warned:
            level.has_warned = level.has_hinted = True
            self._log.glues(source.name)

    def withdraws(self, level: Level, error: Exception) -> None:
        """No source of a hedge is left but those that are open."""
        self._log.survived(level, error, "others are open", hint=False)

    def exhausted(self, level: Level, error: Exception) -> None:
        """The level has no source left."""
        self._log.exhausted(level, error)
        if level.options.on_event is not None:
            self.tell(Exhausted, level, error, level.failures.count)

    def closed(self, level: Level, error: BaseException, *, abandoned: bool) -> None:
        """Report that the attempt of a level was ended from outside."""
        level.report("nothing")
        try:
            if level.is_open:
                level.is_open = False
                _tell_of(error, self.tell, Closed, level, error, abandoned)
        finally:
            self.ended(level, error)

    def ended(self, level: Level, error: BaseException | None) -> None:
        """Report that a level has ended: once, to a listener that has a method for it."""
        listener = level.options.on_event
        if listener is None or level.has_ended:
            return
        level.has_ended = True
        listen: Any = getattr(listener, "stream_ended", None)
        if listen is not None and hasattr(level, "source"):  # it has opened one
            _tell_of(error, listen, self.record(Ended, level, error))

    def superseded(self, level: Level, race: Race, *, abandoned: bool) -> None:
        """Another contender of the race was first."""
        level.report("nothing")
        if not level.is_open:
            return
        level.is_open = False
        race.delay.lost(race.decided_at - level.opened_at)
        self.tell(Superseded, level, race.winner, abandoned)

    def all_closed(
        self, levels: Sequence[Level], error: BaseException, *, abandoned: bool = False
    ) -> None:
        """Report to each level; the error of a listener is what the outer levels are told."""
        raised: BaseException | None = None
        try:
            for level in reversed(levels):
                try:
                    self.closed(level, error, abandoned=abandoned)
                except BaseException as failure:  # noqa: BLE001 (raised below)
                    error = raised = failure
            if raised is not None:
                raise_unchanged(raised)
        finally:
            del error, raised  # or the traceback holds this frame, and this frame the error


def _tell_of(error: BaseException | None, tell: Callable[..., object], *args: Any) -> None:
    """Report this error to a listener; an error of the listener gets it as its context."""
    try:
        tell(*args)
    except Exception as raised:
        # It must not replace a cancellation or Ctrl-C, which would go unnoticed.
        if not isinstance(error, Exception | GeneratorExit | None):
            add_note(error, f"on_event raised {describe(raised)}")
            return
        if error is not None and not has_context(raised):
            set_context(raised, error)
        raise
    finally:
        del error, args  # or the traceback holds this frame, and this frame the error


def _in(seconds: float) -> str:
    number = f"{seconds:.3f}".rstrip("0").rstrip(".")
    return " immediately" if number == "0" else f" in {number} s"
