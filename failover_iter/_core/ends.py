"""What follows when a source has failed or ended, level by level.

The innermost level judges a failure first. If it has no source left, or does not retry the error,
it ends, and the error is a failure of the group that it stood for: the next level judges it, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._core.commands import ENDED, Command, Concede, Raise, Return, Withdraw
from failover_iter._core.deadlines import stream_timeout
from failover_iter._core.notes import has_context, note_close_error, set_context
from failover_iter.errors import TruncatedStream
from failover_iter.events import Completed

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.groups import Level, Levels
    from failover_iter._core.opening import Openings
    from failover_iter._core.reporting import Reporter
    from failover_iter.errors import SourceError


class Ends:
    """The ends of the attempts of one run."""

    def __init__(
        self, levels: Levels, openings: Openings, reporter: Reporter, now: Callable[[], float]
    ) -> None:
        self._levels = levels
        self._openings = openings
        self._reporter = reporter
        self._now = now

    # A source failed.

    def fail_at(
        self,
        index: int,
        error: Exception,
        close_error: Exception | None = None,
        *,
        abandoned: bool = False,
    ) -> Command:
        """The source of this level has failed; -1: that of the innermost one, which is open."""
        note_close_error(error, self._levels[-1].source.name, close_error)
        while 0 <= index < len(self._levels) - 1:
            self._reporter.closed(self._levels.leave(), error, abandoned=abandoned)
        return self.settle(self._judge(error, close_error, abandoned=abandoned))

    def settle(self, command: Command) -> Command:
        """If an inner level ends with an error, its group has failed: ask the outer level."""
        while isinstance(command, Raise) and len(self._levels) > 1:
            error: Any = command.error  # an Exception, as levels end with no others
            if self._levels[-1].race is not None:
                return Concede(error)
            self._reporter.ended(self._levels.leave(), error)
            command = self._judge(error)
        return command

    def _judge(
        self, error: Exception, close_error: Exception | None = None, *, abandoned: bool = False
    ) -> Command:
        """How the innermost level answers a failure; `Raise`: it ends with that error."""
        level, judging = self._levels[-1], self._openings.made_judging()
        try:
            failed = judging.failed(level, error, close_error, abandoned=abandoned)
            if failed is None:
                return Raise(error)
            race = self._openings.race
            if race is not None and race.is_decided:
                return Withdraw()
            expired = self.in_time()
            if expired is not None:
                return expired
            chosen = None if judging.gives_up() else judging.choose(level)
            return self._openings.open_chosen(level, chosen, error, failed)
        except BaseException as raised:
            if not has_context(raised):
                set_context(raised, error)  # it may have been made by us, and never raised
            raise

    # The time of a level is up.

    def in_time(self) -> Command | None:
        """What follows if the time of a level is up; None if it is not."""
        expired, race = self._levels.expired(self._now), self._openings.race
        if expired is None:
            return None
        if race is not None and expired <= race.index:  # the others are superseded first
            return Concede(stream_timeout(self._levels[expired].total_timeout), expired)
        return self.end_in_time(expired)

    def end_in_time(
        self,
        index: int,
        error: Exception | None = None,
        close_error: Exception | None = None,
        *,
        abandoned: bool = False,
    ) -> Command:
        """End this level with `StreamTimeout`, which the outer level judges."""
        level = self._levels[index]
        error = error or stream_timeout(level.total_timeout)
        note_close_error(error, self._levels[-1].source.name, close_error)
        self._levels.add_notes_to(error)
        while len(self._levels) > index:
            each = self._levels[-1]
            self._reporter.closed(each, error, abandoned=abandoned)
            if len(self._levels) == 1:
                return Raise(error)
            self._levels.leave()
        return self.fail_at(-1, error, abandoned=abandoned)

    # The source ended.

    def end(
        self,
        value: Any,
        close_error: Exception | None,
        shortfall: tuple[int, SourceError] | None,
        *,
        is_alive: bool,
    ) -> Command:
        """The source ended; `shortfall`: which level asks for more, and its error.

        `is_alive`: it has yielded a bookmark.
        """
        if shortfall is not None:
            index, error = shortfall
            note_close_error(error, self._levels[-1].source.name, close_error)
            while len(self._levels) > index + 1:
                self._complete(self._levels[-1])
                self._levels.leave()
            level = self._levels[-1]
            level.just_ended = (level.committed or is_alive) and isinstance(error, TruncatedStream)
            return self.settle(self._judge(error, close_error))
        if close_error is not None:
            self._levels.add_notes_to(close_error)
            self._reporter.all_closed(self._levels, close_error)
            return Raise(close_error)
        for level in reversed(self._levels):
            self._complete(level)
        return ENDED if value is None else Return(value)

    def _complete(self, level: Level) -> None:
        level.is_open = False
        if level.admission is not None:
            level.report("good")
        if level.options.on_event is not None:
            self._reporter.tell(Completed, level)
            self._reporter.ended(level, None)
