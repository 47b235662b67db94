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

from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.commands import ENDED, Admit, Command, Open, Raise, Return, Sleep
from failover_iter._core.completeness import find_cut, find_shortfall
from failover_iter._core.deadlines import stream_timeout
from failover_iter._core.delivered import Delivered
from failover_iter._core.groups import Level, Levels
from failover_iter._core.notes import has_context, note_close_error, set_context
from failover_iter._core.opening import Openings
from failover_iter._core.reporting import Log, Reporter
from failover_iter._core.sources import ResolvedSource, SourceQueue, read_factories
from failover_iter._core.state import State
from failover_iter._core.takeovers import Takeovers, check_checkpoint
from failover_iter._validation import check_bool
from failover_iter.errors import (
    ReusedIterator,
    SourceError,
    StreamTimeout,
    TruncatedStream,
)
from failover_iter.events import Committed, Completed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_iter._mid_stream import Progress
    from failover_iter._options import Options
    from failover_iter._types import Flavour

_STATE_AFTER: Final[dict[type[Command], State]] = {
    Open: State.OPENING,
    Admit: State.ASKING,
    Sleep: State.WAITING,
    Raise: State.DONE,
    Return: State.DONE,
}


class Run:
    """One stream from its first pull to its end: all that changes meanwhile is here."""

    #: A weak reference to the generator of a blocking stream: dead while that is finalized.
    stream: Callable[[], object] | None = None

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
        self.delivered.settle()
        deadline = self.attempt.deadline
        if error is self.attempt.surplus:
            level = self.attempt.most_level
            return self._guarded(
                lambda: self._fail_at(level, error, close_error, abandoned=abandoned)
            )
        if deadline is None or error is not deadline.raised:
            return self._guarded(lambda: self._fail(error, close_error, abandoned=abandoned))
        if isinstance(error, StreamTimeout):
            return self._guarded(
                lambda: self._end_in_time(deadline.level, error, close_error, abandoned=abandoned)
            )
        return self._guarded(
            lambda: self._fail_at(deadline.level, error, close_error, abandoned=abandoned)
        )

    def ended(
        self, value: Any, close_error: Exception | None = None, *, check_complete: bool = True
    ) -> Command:
        """The source ended, and was closed; `check_complete`: `complete_when` must be met."""
        self._check("ended")
        self._note_received()
        if check_complete:  # else it is the answer to what the consumer has thrown
            self.delivered.settle()
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
        if isinstance(error, GeneratorExit):
            if close_error is not None:
                self._levels.add_notes_to(close_error)
        else:
            note_close_error(error, self.attempt.source.name, close_error)
            if not by_consumer:
                self._levels.add_notes_to(error)
        try:
            self._reporter.all_closed(self._levels, error, abandoned=abandoned)
        except Exception as raised:
            note_close_error(raised, self.attempt.source.name, close_error)
            raise
        if isinstance(error, GeneratorExit) and close_error is not None:
            return Raise(close_error)
        return Raise(error)

    def slept(self) -> Command:
        """The pause has ended."""
        self._check("slept")
        return self._guarded(self._open_in_time)

    def admitted(self, admission: Any) -> Command:
        """The health has answered."""
        self._check("admitted")
        return self._guarded(lambda: self._settle(self._openings.admitted(admission)))

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

    # Checks and ends.

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

    def _note_received(self) -> None:
        if self.attempt.received:
            self._levels.note_received()
        elif self.attempt.is_alive:
            self._levels.note_alive()
        else:
            return
        if self._openings.judging is not None:
            self._openings.judging.outage.since = None

    # A source failed.

    def _fail(
        self, error: Exception, close_error: Exception | None = None, *, abandoned: bool = False
    ) -> Command:
        """What follows a failure of the open source."""
        note_close_error(error, self.attempt.source.name, close_error)
        return self._settle(self._judge(error, close_error, abandoned=abandoned))

    def _settle(self, command: Command) -> Command:
        """If an inner level ends with an error, its group has failed: ask the outer level."""
        while isinstance(command, Raise) and len(self._levels) > 1:
            error: Any = command.error  # an Exception, as levels end with no others
            self._reporter.ended(self._levels.leave(), error)
            command = self._judge(error)
        return command

    def _fail_at(
        self, index: int, error: Exception, close_error: Exception | None, *, abandoned: bool
    ) -> Command:
        """End the levels inside this one, whose source has failed."""
        while len(self._levels) > index + 1:
            self._reporter.closed(self._levels.leave(), error, abandoned=abandoned)
        return self._fail(error, close_error, abandoned=abandoned)

    def _judge(
        self, error: Exception, close_error: Exception | None = None, *, abandoned: bool = False
    ) -> Command:
        """How the innermost level answers a failure; `Raise`: it ends with that error."""
        level, judging = self._levels[-1], self._openings.made_judging()
        try:
            failed = judging.failed(level, error, close_error, abandoned=abandoned)
            if failed is None:
                return Raise(error)
            expired = self._levels.expired(self.now)
            if expired is not None:
                return self._end_in_time(expired)
            chosen = None if judging.gives_up() else judging.choose(level)
            return self._openings.open_chosen(level, chosen, error, failed)
        except BaseException as raised:
            if not has_context(raised):
                set_context(raised, error)  # it may have been made by us, and never raised
            raise

    # The time of a level is up.

    def _end_in_time(
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
        return self._fail(error, abandoned=abandoned)

    # The source ended.

    def _end(self, value: Any, close_error: Exception | None, *, check_complete: bool) -> Command:
        shortfall, self._shortfall = self._shortfall, None
        if shortfall is None and check_complete:
            shortfall = find_cut(self._levels, self.attempt)
        if shortfall is not None:
            index, error = shortfall
            while len(self._levels) > index + 1:
                self._complete(self._levels[-1])
                self._levels.leave()
            level = self._levels[-1]
            went_on = level.committed or self.attempt.is_alive
            level.just_ended = went_on and isinstance(error, TruncatedStream)
            return self._fail(error, close_error)
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

    # Opening the next source.

    def _open_first(self) -> Command:
        if self._options.budget is not None:
            self._options.budget.earn()
        return self._openings.enter(self._levels[0], None)

    def _open_in_time(self) -> Command:
        expired = self._levels.expired(self.now)
        if expired is not None:
            return self._end_in_time(expired)
        return self._settle(self._openings.open_after_pause())


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
