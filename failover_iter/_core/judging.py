"""Judging a failure: is it one, is it kept, and which source is opened next, after what pause.

A failure is judged by the level on whose source it happened (`groups.py`), by the options that hold
for that source: first `switch_on`, then `retry_on`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.commands import Raise, Sleep, Withdraw
from failover_iter._core.deadlines import Outage, pause_after
from failover_iter._core.failures import NO_FAILURES, Failures, failure_line
from failover_iter._core.matching import leaves_source, matches

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.groups import Level, Levels
    from failover_iter._core.reporting import Reporter
    from failover_iter._core.takeovers import Chosen, Takeovers
    from failover_iter.events import Failed

_FRUITLESS: Final = 64  # attempts in a row without an item, after which a new source waits too


class Judging:
    """What follows the failures of one stream."""

    #: The error of the last attempt, until the next one is opened.
    error: Exception | None = None

    def __init__(
        self, levels: Levels, takeovers: Takeovers, reporter: Reporter, now: Callable[[], float]
    ) -> None:
        self.outage = Outage()
        self._levels = levels
        self._takeovers = takeovers
        self._reporter = reporter
        self._now = now

    def failed(
        self, level: Level, error: Exception, close_error: Exception | None, *, abandoned: bool
    ) -> Callable[[], Failed] | None:
        """The source of a level has failed; None if the level ends with this error.

        Returns a function that makes the record of the failure.
        """
        level.consecutive = 1 if level.is_alive else level.consecutive + 1
        self.outage.failed(self._now())
        level.received = level.is_alive = False
        matched = self._matches(level, error, abandoned=abandoned)
        level.is_open = False
        level.report("failed" if matched else "nothing", error, switches=level.leaves_source)
        is_kept = error is self.error and level.has_kept(error)
        failed = self._reporter.failed(
            level, error, close_error, abandoned=abandoned, matched=matched, is_kept=is_kept
        )
        if level.options.on_event is not None:
            level.options.on_event(failed())
        if not matched:
            self._reporter.passes(level, error)
        is_final = level.options.mid_stream == "raise" or level.delay is not None
        stays = is_final and level.has_delivered
        if stays or not matched:
            self._levels.add_notes_to(error, but_last=is_kept)
            return None
        if not is_kept:
            self._keep(level, error, failed)
        self.error = error
        return failed

    def _matches(self, level: Level, error: Exception, *, abandoned: bool) -> bool:
        """Whether it is a failure; and whether the level has to leave its source."""
        switch_on = level.option("switch_on")
        try:
            level.leaves_source = switch_on is not None and leaves_source(error, switch_on)
            return level.leaves_source or matches(error, level.option("retry_on"), switch_on)
        except BaseException as raised:
            self._reporter.closed(level, raised, abandoned=abandoned)
            raise

    def _keep(self, level: Level, error: Exception, failed: Callable[[], Failed]) -> None:
        if level.failures is NO_FAILURES:
            level.failures = Failures()
        if level.options.on_exhausted == "group":
            level.failures.add(failed())
        else:
            number = level.failures_before + level.failures.count + 1
            line = failure_line(level.source.name, level.attempt, number, error)
            level.failures.add(line)
        if self.error is not error:  # an inner level that is exhausted has kept it
            self._takeovers.keep(failed)

    def choose(self, level: Level) -> Chosen | None:
        """The source that may take over from the one that has failed."""
        return self._takeovers.choose(level, self._reporter)

    def choose_next(self, level: Level) -> Chosen | None:
        """The one after it."""
        return self._takeovers.choose_next(level, self._reporter)

    def gives_up(self, pause: float = 0) -> bool:
        """Whether the outage lasts too long, for any level, to pause and try again."""
        limit = min(level.give_up_after for level in self._levels)
        return self.outage.lasts_too_long(self._now(), pause, limit)

    def go_on(
        self, level: Level, error: Exception, failed: Callable[[], Failed], chosen: Chosen | None
    ) -> Raise | Sleep | Withdraw | None:
        """Go on with the chosen source: pause before it, or open it (None); or end."""
        if chosen is None:
            return self._exhaust(level, error)
        source, attempt, mode = chosen
        if mode == "raise":
            self._levels.add_notes_to(error, but_last=True)
            return Raise(error)
        again = source is level.source
        waits = (
            again
            or level.queue.opened_before(source, left=level.source)
            or level.consecutive >= _FRUITLESS
        )
        seconds = 0.0
        if waits:
            seconds = pause_after(failed, level.option("wait") if again else source.options.wait)
        if self.gives_up(seconds):
            return self._exhaust(level, error)
        self._takeovers.mode = mode
        if mode == "restart" and self._takeovers.has_cursor and not source.has_cursor:
            self._reporter.glues(level, source)
        self._reporter.goes_on(level, source, error, seconds, mode)
        level.source, level.attempt = source, attempt
        if not waits:
            return None
        level.pauses = seconds > 0
        return Sleep(max(0.0, min(seconds, self._levels.until - self._now())))

    def switch(self, level: Level, chosen: Chosen) -> None:
        """After a pause, its health may have the level leave its source for another one."""
        error: Any = self.error
        source, attempt, mode = chosen
        if source is not level.source:
            self._takeovers.mode = mode
            self._reporter.goes_on(level, source, error, 0.0, mode)
            level.source, level.attempt = source, attempt

    def _exhaust(self, level: Level, error: Exception) -> Raise | Withdraw:
        level.report("nothing")
        if level.race is not None and level.race.running > 1:
            level.race.running -= 1
            self._reporter.withdraws(level, error)
            return Withdraw()
        self._reporter.exhausted(level, error)
        if level.options.on_exhausted == "group":
            self.error = level.failures.group()  # of failures that are kept already
            return Raise(self.error)
        self._levels.add_notes_to(error, but_last=True)
        return Raise(error)
