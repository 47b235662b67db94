"""Opening the source that was chosen: after its health was asked, and in a group its first one."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from failover_iter._core.admission import Admissions
from failover_iter._core.commands import Command, Open, Raise, Withdraw
from failover_iter._core.deadlines import deadline_of
from failover_iter._core.groups import Level
from failover_iter._core.judging import Judging
from failover_iter._core.names import Names
from failover_iter._core.race import Race
from failover_iter._core.sources import SourceQueue
from failover_iter._core.usage import mark_usage_error
from failover_iter.errors import NoSources
from failover_iter.events import Contending, Opening

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.groups import Levels
    from failover_iter._core.reporting import Reporter
    from failover_iter._core.takeovers import Chosen, Takeovers
    from failover_iter._types import AnyDelay, Flavour
    from failover_iter.events import Failed


class Openings:
    """How the sources of one stream are opened."""

    #: What follows failures; made at the first one.
    judging: Judging | None = None
    #: Made for the first level that has a health or a budget.
    _admissions: Admissions | None = None
    #: The race that is not decided.
    race: Race | None = None

    def __init__(
        self,
        levels: Levels,
        takeovers: Takeovers,
        reporter: Reporter,
        now: Callable[[], float],
        flavour: Flavour,
    ) -> None:
        self._levels = levels
        self._takeovers = takeovers
        self._reporter = reporter
        self._now = now
        self._flavour: Flavour = flavour

    def beside(self, levels: Levels, takeovers: Takeovers, race: Race) -> Openings:
        """The same, for a source that is opened beside the open one."""
        beside = Openings(levels, takeovers, self._reporter, self._now, self._flavour)
        beside.race, judging = race, beside.made_judging()
        judging.error = race.error
        judging.outage = self.made_judging().outage
        return beside

    def made_judging(self) -> Judging:
        """What follows failures; made now if this is the first one."""
        if self.judging is None:
            self.judging = Judging(self._levels, self._takeovers, self._reporter, self._now)
        return self.judging

    def release(self) -> None:
        """Drop the error of the last attempt."""
        if self.judging is not None:
            self.judging.error = None

    def enter(self, level: Level, outer: Level | None) -> Command:
        """Open the first source of a level."""
        takeovers, reporter = self._takeovers, self._reporter
        chosen = takeovers.first(level, reporter, outer)
        if level.options.health is None:
            return self._entered(level, outer, chosen)
        return self._ask(
            level,
            chosen,
            lambda: takeovers.next_first(level, reporter),
            lambda chosen: self._entered(level, outer, chosen),
        )

    def _entered(self, level: Level, outer: Level | None, chosen: Chosen | None) -> Command:
        error = None if self.judging is None else self.judging.error
        if chosen is None and (error is None or level.queue.is_unread):
            raise NoSources("factories yielded no source at all")
        if outer is not None:
            self._levels.append(level)
        if chosen is None:
            assert error is not None  # noqa: S101 (see above)
            return Raise(error)  # each of its sources was passed over
        level.source, _, self._takeovers.mode = chosen
        return self._open()

    def open_beside(self, level: Level) -> Command:
        """Open a source beside the open one; `Withdraw` if none is left, or by the budget."""
        takeovers, reporter, race, budget = (
            self._takeovers,
            self._reporter,
            self.race,
            level.options.budget,
        )
        chosen = takeovers.next_first(level, reporter)
        is_last = chosen is None and not level.postponed
        if is_last or race is None:
            return Withdraw()
        if budget is not None and not budget.spend():
            if chosen is not None:
                level.queue.put_back(chosen[0])
            return Withdraw()
        race.running += 1

        def go_on(chosen: Chosen | None) -> Command:
            assert chosen is not None  # noqa: S101 (this source is left, if no other one is)
            level.source, _, takeovers.mode = chosen
            return self._open()

        return self._ask(level, chosen, lambda: takeovers.next_first(level, reporter), go_on)

    def open_chosen(
        self,
        level: Level,
        chosen: Chosen | None,
        error: Exception,
        failed: Callable[[], Failed],
    ) -> Command:
        """Go on after a failure with the chosen source: at once, or after a pause."""
        judging = self.judging
        assert judging is not None  # noqa: S101 (there was a failure)
        return self._ask(
            level,
            chosen,
            lambda: judging.choose_next(level),
            lambda chosen: judging.go_on(level, error, failed, chosen) or self._open(),
            error,
        )

    def open_after_pause(self) -> Command:
        """Open the source that was chosen before the pause, if its health still admits it."""
        level, judging = self._levels[-1], self.judging
        # A probe has to be made all the same.
        asks = level.pauses and level.admission is not None and not level.admission.lease
        if judging is None or not asks:
            return self._open()

        def go_on(chosen: Chosen | None) -> Command:
            assert chosen is not None  # noqa: S101 (this source is left, if no other one is)
            judging.switch(level, chosen)
            return self._open()

        chosen = (level.source, level.attempt, self._takeovers.mode)
        return self._ask(level, chosen, lambda: judging.choose_next(level), go_on)

    def _ask(
        self,
        level: Level,
        chosen: Chosen | None,
        find_next: Callable[[], Chosen | None],
        then: Callable[[Chosen | None], Command],
        error: Exception | None = None,
    ) -> Command:
        """Go on with the chosen source, or with the one that health and budget of a level allow."""
        if level.options.health is None and level.options.budget is None:
            return then(chosen)
        if self._admissions is None:
            self._admissions = Admissions(self._takeovers, self._reporter, self._now)
        return self._admissions.ask(level, chosen, find_next, then, error)

    def admitted(self, admission: object) -> Command:
        """The health has answered."""
        assert self._admissions is not None  # noqa: S101 (it was asked)
        if self.race is not None and self.race.is_decided:
            self._admissions.give_back(admission)
            return Withdraw()
        return self._admissions.admitted(admission)

    def _open(self) -> Command:
        """Open the source of the innermost level; a group is entered first."""
        level, judging, takeovers = self._levels[-1], self.judging, self._takeovers
        group = level.source.group
        if (
            level.source.options.reset_on_progress
            or level.options.budget is not None
            or group is not None  # a hedge, perhaps, which may have a winner that asks for it
        ):
            level.milestone = takeovers.delivered.milestone
        level.committed, level.is_open, level.just_ended = False, True, False
        if level.options.on_event is not None:
            if level.is_beside:
                self._reporter.tell(Contending, level, self.race.seconds if self.race else 0)
            self._reporter.tell(Opening, level)
        level.is_beside = False
        if level.winner is not None:  # else it need not be set: one more thing for each stream
            level.winner = None
        level.opened_at = self._now()
        if level.race is not None and level.attempt == 1:  # not if it is tried again
            level.race.opened(level.opened_at)
        if group is not None:
            queue = SourceQueue(group.factories, self._flavour, group.options)
            inner = Level(group.options, queue, self._now(), level)
            if group.delay is not None:
                self._begin_race(inner, group.delay)
            return self.enter(inner, level)
        marks = judging.error if self._reporter.marks and judging is not None else None
        attempt = takeovers.new_attempt(self._levels, marks, self.race)
        attempt.deadline = deadline_of(self._levels, self._now)
        if judging is not None:
            judging.error = None  # its traceback keeps the failed source's frames alive
        return Open(attempt)

    def _begin_race(self, level: Level, delay: AnyDelay) -> None:
        """Make a level the hedge of a race, unless no second contender will ever be opened."""
        level.delay = delay
        is_alone = not level.queue.lazy and len(level.queue.known) == 1
        if is_alone or delay.seconds() == inf:
            return
        if self.race is not None:  # where the sources are a list, this was found before
            text = "a hedge in a hedge: put the sources of both into one list"
            raise mark_usage_error(ValueError(text))
        level.share_failures()
        judging = self.judging if self._reporter.marks else None
        error = None if judging is None else judging.error
        level.queue.contenders = Names()
        level.race = self.race = Race(len(self._levels), delay, self._takeovers.mode, error)
