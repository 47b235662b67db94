"""The decisions behind both drivers: a driver reports what happened, the core says what to do next.

The core does no I/O, and its clock is passed in. It is asked at boundaries only, never per item.
`state.py` lists what a driver may report in which state. Callbacks that concern a boundary
(`retry_on`, `wait`, `Decide`, `complete_when`, `on_event`) are called from here. Their exceptions
pass through the driver to the consumer.

A stream is a stack of levels (`groups.py`): itself, and the groups that the open source is in. The
innermost level judges a failure first. If it has no source left, or does not retry the error, it
ends, and the error is a failure of the group that it stood for: the next level judges it, once.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.commands import (
    Admit,
    Command,
    Concede,
    Open,
    Raise,
    Return,
    Save,
    Sleep,
    Withdraw,
)
from failover_iter._core.completeness import find_cut, find_shortfall
from failover_iter._core.delivered import Delivered
from failover_iter._core.ends import Ends
from failover_iter._core.groups import Level, Levels
from failover_iter._core.notes import note_close_error
from failover_iter._core.opening import Openings
from failover_iter._core.reporting import Log, Reporter
from failover_iter._core.sources import ResolvedSource, SourceQueue, read_factories
from failover_iter._core.state import State
from failover_iter._core.takeovers import Takeovers, check_checkpoint
from failover_iter._validation import check_bool
from failover_iter.errors import ReusedIterator, SourceError, StreamTimeout
from failover_iter.events import Committed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_iter._core.race import Race
    from failover_iter._mid_stream import Progress
    from failover_iter._options import Options
    from failover_iter._types import Flavour

_STATE_AFTER: Final[dict[type[Command], State]] = {
    Open: State.OPENING,
    Admit: State.ASKING,
    Sleep: State.WAITING,
    Save: State.SAVING,
    Withdraw: State.WITHDRAWN,
    Concede: State.CONCEDING,
    Raise: State.DONE,
    Return: State.DONE,
}


class Run:
    """One stream from its first pull to its end: all that changes meanwhile is here."""

    #: A weak reference to the generator of a blocking stream: dead while that is finalized.
    stream: Callable[[], object] | None = None
    #: How the stream ends once its checkpoint is saved; called with the error of that.
    _end_saved: Callable[[Any], Command] | None = None

    def __init__(
        self,
        options: Options,
        sources: tuple[ResolvedSource, ...] | Iterable[Any],
        *,
        flavour: Flavour,
        mark_takeovers: bool = False,
        seed: Progress | None = None,
    ) -> None:
        self.state = State.IDLE
        self.delivered = delivered = Delivered()
        self._options = options
        self._flavour: Flavour = flavour
        self._mark_takeovers = mark_takeovers
        self._queue = queue = SourceQueue(sources, flavour, options)
        delivered.is_saved = options.checkpoint is not None
        self._takeovers = Takeovers(delivered)
        self._takeovers.prepare_for(options, queue)
        self._levels = Levels()
        #: Why a source that ended has failed, and at which level.
        self._shortfall: tuple[int, SourceError] | None = None
        if options.checkpoint is not None:
            check_checkpoint(delivered, options, seed)
        if seed is not None:
            delivered.go_on_from(seed)

    @property
    def checkpoint(self) -> Any:
        """The checkpoint of the stream, if it has one."""
        return self._options.checkpoint

    # Inputs: calls of the drivers.

    def start(self, now: Callable[[], float], log: Log) -> Command:
        """The consumer asks for the first item."""
        self._check("start")
        self.now = now
        self._reporter = Reporter(self.delivered, now, log, marks=self._mark_takeovers)
        self._openings = Openings(self._levels, self._takeovers, self._reporter, now, self._flavour)
        self._ends = Ends(self._levels, self._openings, self._reporter, now)
        self._levels.append(Level(self._options, self._queue, now(), None))
        return self._guarded(self._open_first)

    def committed(self) -> None:
        """The attempt commits: items are delivered from now on."""
        self._check("committed")
        self.state = State.DELIVERING
        self.attempt.commit()
        for level in reversed(self._levels):
            level.has_delivered = level.received = level.is_alive = True
            if not level.committed:
                level.committed = True
                if level.delay is not None:
                    since = self.now() if level.decided_at is None else level.decided_at
                    level.delay.won(since - level.opened_at)
                if level.admission is not None:
                    level.report("committed")
                if level.options.on_event is not None:
                    self._reporter.tell(Committed, level)

    def opened_ended(self) -> None:
        """The factory returned a generator that has ended: refuse it after a failure."""
        level = self._levels[-1]
        if level.failures_before + level.failures.count:
            raise ReusedIterator(
                f"source {level.source.name!r} returned a generator that has already ended: a "
                "factory must make a new iterator at each call, not return the same one again"
            )

    def source_ended(self) -> bool:
        """The source ended before the commit; True if the held items are to be delivered."""
        attempt = self.attempt
        self._shortfall = find_shortfall(self._levels, attempt)
        if self._shortfall is not None:
            attempt.held.clear()
        return bool(attempt.held)

    def failed(
        self, error: Exception, close_error: Exception | None = None, *, abandoned: bool = False
    ) -> Command:
        """The source failed, and was closed or abandoned."""
        self._check("failed")
        self._note_received()
        self.delivered.mark_processed()
        index, ends = self._failed_at(error), self._ends
        end = ends.end_in_time if isinstance(error, StreamTimeout) and index >= 0 else ends.fail_at
        return self._guarded(lambda: end(index, error, close_error, abandoned=abandoned))

    def _failed_at(self, error: BaseException) -> int:
        """The index of the level whose limit this error is about; -1: the innermost one."""
        attempt, deadline = self.attempt, self.attempt.deadline
        if error is attempt.surplus:
            return attempt.most_level
        return -1 if deadline is None or error is not deadline.raised else deadline.level

    def ended(
        self, value: Any, close_error: Exception | None = None, *, check_complete: bool = True
    ) -> Command:
        """The source ended, and was closed; `check_complete`: `complete_when` must be met."""
        self._check("ended")
        self._note_received()
        if check_complete:  # else it is the answer to what the consumer has thrown
            self.delivered.mark_processed()
        return self._guarded(
            lambda: self._end(value, close_error, check_complete=check_complete), close_error
        )

    def left(
        self,
        error: BaseException,
        close_error: Exception | None = None,
        *,
        by_consumer: bool,
        abandoned: bool = False,
    ) -> Command:
        """The consumer left, or the source raised a BaseException; the source was closed.

        `by_consumer`: the consumer threw the error, or the source raised it in answer.
        """
        self._check("left")
        self.state = State.DONE
        if by_consumer or not isinstance(error, Exception):
            for level in self._levels:
                level.report("good" if level.committed else "nothing")
        leave = partial(self._ends.leave, by_consumer=by_consumer, abandoned=abandoned)
        if isinstance(error, GeneratorExit) and close_error is None and self.checkpoint is not None:
            return self._save_first(lambda save_error: leave(save_error or error, None))
        return leave(error, close_error)

    def saved(self, error: Exception | None) -> Command:
        """The checkpoint was saved for the last time, or that has failed with this error."""
        self._check("saved")
        end, self._end_saved = self._end_saved, None
        assert end is not None  # noqa: S101 (so it is in this state)
        return self._guarded(lambda: end(error))

    def slept(self) -> Command:
        """The pause has ended."""
        self._check("slept")
        after_pause = self._openings.open_after_pause
        return self._guarded(lambda: self._ends.in_time() or self._ends.settle(after_pause()))

    def admitted(self, admission: Any) -> Command:
        """The health has answered."""
        self._check("admitted")
        return self._guarded(lambda: self._ends.settle(self._openings.admitted(admission)))

    # Of a race.

    @property
    def race(self) -> Race | None:
        """The race that is not decided, if the stream is in one."""
        return self._openings.race

    def beside(self) -> Run:
        """A further contender of the race, which is not decided; then call `begin` of that run."""
        race = self._openings.race
        assert race is not None  # noqa: S101 (the driver has asked)
        from copy import copy  # only a race needs it

        race.due = inf
        run = copy(self)
        run.split_off(race)
        return run

    def split_off(self, race: Race) -> None:
        """Become another run than the one that this is a copy of."""
        self.state, self._shortfall = State.IDLE, None
        self.__dict__.pop("attempt", None)
        self._levels = Levels([*self._levels[: race.index], self._levels[race.index].beside()])
        self._takeovers = self._takeovers.beside(race.mode)
        self._openings = self._openings.beside(self._levels, self._takeovers, race)
        self._ends = Ends(self._levels, self._openings, self._reporter, self.now)

    def begin(self) -> Command:
        """Open a source beside those that run; `Withdraw` if there is none to spare."""
        self._check("begin")
        level = self._levels[-1]
        return self._guarded(lambda: self._ends.settle(self._openings.open_beside(level)))

    def decides(self, error: BaseException | None, *, has_committed: bool) -> bool:
        """Whether a source that was opened in a race decides it, before it is closed.

        `error`: of a source that failed.
        """
        race = self._openings.race
        if race is None or has_committed or not isinstance(error, Exception | None):
            return True
        if error is not None:
            level = self._failed_at(error)
            return 0 <= level < race.index + isinstance(error, StreamTimeout)
        if self._shortfall is None:
            self._shortfall = find_cut(self._levels, self.attempt)
        return self._shortfall is None or self._shortfall[0] < race.index

    def leave_race(self, *, is_open: bool) -> None:
        """This contender has decided the race; `is_open`: with the source that is open."""
        race, self._openings.race = self._openings.race, None
        assert race is not None  # noqa: S101 (it was decided)
        race.error = None
        for level in self._levels[race.index :]:
            level.race = None
            level.decided_at = race.decided_at
        if is_open:
            self.attempt.leave_race()

    def conceded(self, concede: Concede) -> Command:
        """The others are superseded: the hedge has failed, or the time of a level is up."""
        self._check("conceded")
        self.leave_race(is_open=False)
        error, level = concede.error, concede.level
        if level is not None:
            return self._guarded(lambda: self._ends.end_in_time(level, error))
        return self._guarded(lambda: self._ends.settle(Raise(error)))

    def superseded(self, *, abandoned: bool = False) -> None:
        """Another contender has decided the race; the source of this one was closed."""
        self._check("superseded")
        self.state, race = State.DONE, self._openings.race
        assert race is not None  # noqa: S101 (of the others)
        inner = self._levels[race.index + 1 :]
        try:
            self._reporter.all_closed(inner, GeneratorExit(), abandoned=abandoned)
        finally:
            try:
                self._reporter.superseded(self._levels[race.index], race, abandoned=abandoned)
            finally:
                self._openings.release()
                self._levels.clear()
                self.__dict__.pop("attempt", None)

    def interrupted(
        self,
        error: BaseException,
        close_error: Exception | None = None,
        *,
        abandoned: bool = False,
    ) -> None:
        """A callback or a signal handler raised, or the pause was interrupted."""
        self._check("interrupted")
        self.state = State.DONE
        if close_error is not None:
            note_close_error(error, self.attempt.source.name, close_error)
        self._levels.add_notes_to(error)
        self._reporter.all_closed(self._levels, error, abandoned=abandoned)

    def release(self) -> None:
        """Drop all references: an error that outlives the stream must not keep it alive."""
        self.state = State.DONE
        for level in self._levels:
            if level.admission is not None:
                level.report("nothing")  # it was not opened
        self._takeovers.release()
        self._levels.clear()
        del self._options, self._queue, self._takeovers, self.delivered
        self.__dict__.pop("attempt", None)
        openings = self.__dict__.pop("_openings", None)
        if openings is not None:
            openings.release()

    # Checks.

    def _check(self, said: str) -> None:
        if said not in self.state.inputs:
            raise AssertionError(f"{said} was said in state {self.state.name}")

    def _guarded(
        self, decide: Callable[[], Command], close_error: Exception | None = None
    ) -> Command:
        """Decide; an exception of a callback ends the stream, with the failures in its notes."""
        try:
            command = decide()
            if type(command) is Open:
                self.attempt = command.attempt
            elif type(command) is Raise:
                self._reporter.ended(self._levels[0], command.error)
        except BaseException as raised:
            self.state = State.DONE
            if close_error is not None:
                note_close_error(raised, self.attempt.source.name, close_error)
            self._levels.add_notes_to(raised)
            self._reporter.all_closed(self._levels, raised)
            raise
        self.state = _STATE_AFTER[type(command)]
        return command

    def _end(self, value: Any, close_error: Exception | None, *, check_complete: bool) -> Command:
        shortfall, self._shortfall = self._shortfall, None
        if shortfall is None and check_complete:
            shortfall = find_cut(self._levels, self.attempt)
        end, is_alive = self._ends.end, self.attempt.is_alive
        if self._options.checkpoint is not None and shortfall is None and close_error is None:
            return self._save_first(partial(end, value, shortfall=None, is_alive=is_alive))
        return end(value, close_error, shortfall=shortfall, is_alive=is_alive)

    def _save_first(self, end: Callable[[Any], Command]) -> Command:
        self.state, self._end_saved = State.SAVING, end
        return Save()

    def _note_received(self) -> None:
        if self.attempt.received:
            self._levels.note_received()
        elif self.attempt.is_alive:
            self._levels.note_alive()
        else:
            return
        if self._openings.judging is not None:
            self._openings.judging.outage.since = None

    def _open_first(self) -> Command:
        if self._options.budget is not None:
            self._options.budget.earn()
        return self._openings.enter(self._levels[0], None)


def new_run(
    options: Options,
    factories: Iterable[Any],
    flavour: Flavour,
    *,
    mark_takeovers: bool = False,
    seed: Progress | None = None,
) -> Run:
    """Check the factories, and make the run of one stream over them."""
    if mark_takeovers is not False:
        check_bool("mark_takeovers", mark_takeovers)
    sources = read_factories(factories, flavour, options)
    return Run(options, sources, flavour=flavour, mark_takeovers=mark_takeovers, seed=seed)
