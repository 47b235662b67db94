"""Mutants: hedges as one might write them, each with one bug, and the law that it breaks."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from failover_iter import Percentile
from failover_iter._core.attempt import Attempt
from failover_iter._core.judging import Judging
from failover_iter._core.opening import Openings
from failover_iter._core.race import Race
from failover_iter._core.reporting import Reporter
from failover_iter._drivers.contender import Backup, Contender
from failover_iter._percentile import _Fixed

_init, _opened, _matches = Attempt.__init__, Race.opened, Judging._matches
_open_beside, _superseded, _decide = Openings.open_beside, Reporter.superseded, Race.decide
_held: list[Any] = []


def _one_queue(self: Attempt, *args: Any) -> None:
    """All contenders put what they yield into one queue, as `asyncio.Queue` merges do."""
    _init(self, *args)
    self.held = _held


async def _closes_later(self: Contender) -> None:
    """The losers are left to the garbage collector."""


def _too_late(self: Race, now: float) -> None:
    """The delay begins when the first source is opened."""
    is_first = self.due == inf and self.seconds == inf
    _opened(self, now)
    if not is_first:
        self.due += self.seconds


def _survives_all(self: Judging, level: Any, error: Exception, *, abandoned: bool) -> bool:
    """Any error at all opens the next source."""
    return _matches(self, level, error, abandoned=abandoned) or True


def _always_races(self: _Fixed) -> float:
    """Infinity is taken for a long time."""
    return min(self._seconds, 0.6)


def _in_the_consumers_task(self: Backup) -> Any:
    """The winner is pulled by whoever asks."""
    return self.source


def _without_a_budget(self: Openings, level: Any) -> Any:
    """Only retries have a budget."""
    level.options = replace(level.options, budget=None)
    return _open_beside(self, level)


def _forgets_the_sick(self: Openings, level: Any) -> Any:
    """Sources that are out are not hedged."""
    level.postponed = []
    return _open_beside(self, level)


def _goes_on(self: Race, now: float, winner: str | None) -> None:
    """The losers do what they would do without another one."""
    _decide(self, now, winner)
    self.is_decided = False


def _losing_is_failing(self: Reporter, level: Any, race: Race, *, abandoned: bool) -> None:
    """A slow source is a sick one."""
    level.report("failed", ConnectionError("slow"))
    _superseded(self, level, race, abandoned=abandoned)


def _losing_is_good(self: Reporter, level: Any, race: Race, *, abandoned: bool) -> None:
    """A closed source has ended well."""
    level.report("good")
    _superseded(self, level, race, abandoned=abandoned)


def _learns_from_winners(self: Percentile, seconds: float) -> None:
    """The delay is that of the winners alone."""


MUTANTS: list[tuple[str, type, str, Any]] = [
    ("h1_one_winner", Attempt, "__init__", _one_queue),
    ("h2_losers_are_closed_first", Contender, "leave", _closes_later),
    ("h3_when_the_next_is_opened", Race, "opened", _too_late),
    ("h4_what_ends_a_race", Judging, "_matches", _survives_all),
    ("h5_without_a_limit_it_is_a_group", _Fixed, "seconds", _always_races),
    ("h6_one_task_and_one_context", Backup, "opened", _in_the_consumers_task),
    ("h7_extra_openings_have_a_budget", Openings, "open_beside", _without_a_budget),
    ("b1_the_sick_are_hedged_last", Openings, "open_beside", _forgets_the_sick),
    ("nothing_is_opened_after_the_decision", Race, "decide", _goes_on),
    ("h8_what_losing_means", Reporter, "superseded", _losing_is_failing),
    ("h8_what_losing_means", Reporter, "superseded", _losing_is_good),
    ("h8_what_losing_means", Percentile, "lost", _learns_from_winners),
]
