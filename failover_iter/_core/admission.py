"""Which of the sources that may take over is opened: what `health` and `budget` say to it.

Before each opening the health is asked, by the driver (`Admit`). A source that is not admitted is
postponed: the others are asked first, and it is opened, the soonest first, if none of them is left.
What became of an attempt is reported by a plain call. A retry spends from the budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from failover_iter._core.commands import Admit
from failover_iter._core.notes import add_note, has_context, set_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.commands import Command
    from failover_iter._core.groups import Level
    from failover_iter._core.reporting import Reporter
    from failover_iter._core.takeovers import Chosen, Takeovers

#: How many sources of lazy `factories` are postponed, or refused by the budget, in a row.
_MOST: Final = 64


class Postponed(NamedTuple):
    """A source that is asked last."""

    until: float
    chosen: Chosen
    #: How many failures of the level there were: after another one, it may take over otherwise.
    failures: int


@dataclass(slots=True)
class Question:
    """May this source be opened? If not, which is the next one, and what follows then."""

    level: Level
    chosen: Chosen
    find_next: Callable[[], Chosen | None]
    then: Callable[[Chosen | None], Command]
    #: The failure before it, if opening it may be a retry.
    error: Exception | None
    #: Whether no other source is left.
    is_last: bool = False


class Admissions:
    """The questions of one stream, one at a time."""

    _question: Question | None = None

    def __init__(
        self,
        takeovers: Takeovers,
        reporter: Reporter,
        now: Callable[[], float],
    ) -> None:
        self._takeovers = takeovers
        self._reporter = reporter
        self._now = now

    def ask(
        self,
        level: Level,
        chosen: Chosen | None,
        find_next: Callable[[], Chosen | None],
        then: Callable[[Chosen | None], Command],
        error: Exception | None = None,
    ) -> Command:
        """Find out which source to open: the chosen one if it may be, or else another one."""
        is_last = chosen is None
        chosen = chosen or self._pop_postponed(level)
        if chosen is None or chosen[2] == "raise":
            return then(chosen)
        question = Question(level, chosen, find_next, then, error, is_last)
        if level.options.health is None:
            return self._accept(question)
        self._question = question
        source, key = chosen[0], chosen[0].health_key
        return Admit(level.options.health, source.name if key is None else key)

    def admitted(self, admission: Any) -> Command:
        """The health has answered."""
        question, self._question = self._question, None
        assert question is not None  # noqa: S101 (the state of the run says so)
        try:
            if admission.admitted or question.is_last:
                question.level.admission = admission
                return self._accept(question)
            return self._postpone(question, admission)
        except BaseException as raised:
            if question.error is not None and not has_context(raised):
                set_context(raised, question.error)
            raise

    def give_back(self, admission: Any) -> None:
        """The health has answered, but the source is not opened any more."""
        question, self._question = self._question, None
        assert question is not None  # noqa: S101 (see `admitted`)
        question.level.admission = admission
        question.level.report("nothing")

    def _postpone(self, question: Question, admission: Any) -> Command:
        level, chosen = question.level, question.chosen
        source, attempt, _ = chosen
        if level.postponed is None:
            level.postponed = []
        postponed = level.postponed
        until = self._now() + admission.seconds
        postponed.append(Postponed(until, chosen, level.failures.count))
        is_full = level.queue.lazy and len(postponed) >= _MOST
        following = None if is_full else question.find_next()
        if following is None and min(postponed, key=_until) is postponed[-1]:
            postponed.pop()
            level.admission = admission
            return self._accept(question)
        self._reporter.passed_over(level, source, attempt, "health")
        return self.ask(level, following, question.find_next, question.then, question.error)

    def _pop_postponed(self, level: Level) -> Chosen | None:
        while level.postponed:
            soonest: Postponed = min(level.postponed, key=_until)
            level.postponed.remove(soonest)
            # Nothing is delivered in a race, so a source may take over as it could before.
            if soonest.failures == level.failures.count or level.race is not None:
                return soonest.chosen
            renewed = self._takeovers.renew(level, self._reporter, soonest.chosen)
            if renewed is not None:
                return renewed
        return None

    def _accept(self, question: Question) -> Command:
        level, chosen = question.level, question.chosen
        if question.error is None or self._affords(level, chosen):
            return question.then(chosen)
        source, attempt, _ = chosen
        level.report("nothing")
        self._reporter.passed_over(level, source, attempt, "budget")
        add_note(question.error, f"{source.name} was not tried again: the budget is empty")
        level.refused += level.queue.lazy
        following = question.find_next() if level.refused < _MOST else None
        return self.ask(level, following, question.find_next, question.then, question.error)

    def _affords(self, level: Level, chosen: Chosen) -> bool:
        """Whether the budget allows to open this source, which may be a retry."""
        budget, (source, _, mode) = level.options.budget, chosen
        if budget is None:
            return True
        again = source is level.source or level.queue.opened_before(source, left=level.source)
        goes_on = mode in ("skip", "resume")
        return (
            not again
            or (goes_on and self._takeovers.delivered.is_beyond(level.milestone))
            or budget.spend()
        )


def _until(postponed: Postponed) -> float:
    return postponed.until
