"""A race in a blocking stream: which contender is first, and how the others are left.

Each source lives in a thread, as under a time limit (`timed_thread.py`). The consumer's thread
waits for all of them at once, and takes all decisions: a contender is a generator that yields where
it waits. A source that is blocked when another one has won is abandoned, and its own thread closes
it. One that rests is closed before the first item is delivered.
"""

from __future__ import annotations

from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NoReturn

from failover_iter._core.commands import Admit, Concede, Open, Raise, Sleep, Withdraw
from failover_iter._core.notes import leaked, raise_unchanged
from failover_iter._core.state import State
from failover_iter._drivers.clock import clock
from failover_iter._drivers.log import log_abandoned
from failover_iter._drivers.opened import was_interrupted
from failover_iter._drivers.sync_source import SyncSource
from failover_iter._drivers.timed_thread import Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from failover_iter._core.commands import Command
    from failover_iter._core.race import Race
    from failover_iter._core.run import Run
    from failover_iter._drivers.mailbox import Job

#: The result of a pull that found the end, with the value of the source.
_END: Final = object()


def compete(run: Run, command: Command) -> tuple[Run, SyncSource | None, Command | None]:
    """Run a race; return the run that goes on, and its source or else its next command."""
    return Contest(run).held(command)


class Contender:
    """A run that takes part: its source, what it waits for, and how far it came."""

    #: The source that is open, or was last.
    source: SyncSource | None = None
    #: Its last command, if it did not end with a source that decides the race.
    command: Command | None = None
    #: An exception, but not the failure of a source: of a callback, or a signal handler.
    raised: BaseException | None = None
    #: Whether it has decided the race, or withdrawn.
    has_ended = False
    #: The job of its thread, and until when that, or a pause, is waited for.
    job: Job | None = None
    until = -inf
    #: Carries out the commands of the run.
    _steps: Any = None

    def __init__(self, contest: Contest, run: Run) -> None:
        self.run = run
        self._replies = contest.replies

    @property
    def name(self) -> str:
        """The name of its source."""
        return "" if self.source is None else self.source.attempt.source.name

    @property
    def has_withdrawn(self) -> bool:
        """Whether it has failed, and others are running."""
        return isinstance(self.command, Withdraw)

    @property
    def is_answered(self) -> bool:
        """Whether the thread has done its job."""
        return self.job is not None and self.job.finished

    def begin(self, command: Command) -> None:
        """Begin with this command of the run, at the first `go_on`."""
        self._steps = self._carry_out(command)

    def go_on(self) -> None:
        """Go on to where it waits next."""
        try:
            next(self._steps)
        except StopIteration:
            self.has_ended = True
        except BaseException as error:
            self.has_ended, self.raised = True, error

    def _carry_out(self, command: Command) -> Generator[None, None, None]:
        """Carry out the commands of the run, until it has decided the race or failed."""
        run = self.run
        try:
            while True:
                match command:
                    case Open():
                        self.source = source = SyncSource(run, command.attempt)
                        yield from self._open(source)
                        if run.decides(source.failure, has_committed=source.has_committed):
                            return
                        command = source.finish()
                    case Admit():
                        command = run.admitted(command.health.admit(command.key))
                    case Sleep():
                        self.until = run.now() + command.seconds
                        yield
                        command = run.slept()
                    case Raise():  # of a signal handler: the run has ended
                        raise_unchanged(command.error)
                    case _:
                        self.command = command
                        return
        finally:
            del command  # it may hold an error whose traceback holds this frame

    def _open(self, source: SyncSource) -> Generator[None, None, None]:
        """Open a source in its thread, and pull it until it commits, ends or fails."""
        attempt = source.attempt
        worker = source.start_worker(self._replies)
        factory, args = attempt.source.factory, attempt.args
        attempt.args = ()
        opened = yield from self._ask(source, partial(_called, worker.thread.open, factory, args))
        if source.failure is None:
            source.iterable = Remote(worker, opened)
            source.check_opened(opened)
        if source.failure is not None:
            return
        iterator = yield from self._ask(source, partial(_called, worker.thread.iterate, opened))
        if source.failure is not None:
            return
        same = iterator is opened
        source.iterator = source.iterable if same else Remote(worker, iterator)
        while True:
            pulled = yield from self._ask(source, partial(_pulled, iterator))
            if source.failure is not None:
                return
            item, end = pulled
            if end is _END:
                source.end(item)
                source.has_committed = self.run.source_ended()
                return
            if source.receive(item):
                return

    def _ask(self, source: SyncSource, call: Callable[[], Any]) -> Generator[None, None, Any]:
        """Have the thread make a call; None if it fails."""
        deadline: Any = source.attempt.deadline
        worker: Any = source.worker
        try:
            deadline.check_stream()
            self.job, self.until = worker.post(call), deadline.until()
        except BaseException as error:
            source.fail(error)
            return None
        yield
        job, self.job = self.job, None
        try:
            return worker.outcome(job)
        except BaseException as error:
            source.fail(error)
            return None

    def leave(self) -> None:
        """Close the source, or abandon it: another contender has decided the race."""
        source, is_abandoned = self.source, False
        if source is not None:
            close_error: BaseException | None = None
            try:
                if source.worker is not None:  # else it has failed, and is closed
                    close_error = source.worker.leave()
            except BaseException as error:  # of a signal handler
                self.raised = self.raised or error
                self.stop()
            if isinstance(close_error, Exception):
                log_abandoned(self.name, close_error, "when it was superseded")
            else:
                self.raised = self.raised or close_error
            del close_error  # its traceback refers to this frame
            is_abandoned = source.is_abandoned
            source.release()
        try:
            self.run.superseded(abandoned=is_abandoned)
        except BaseException as error:  # of a listener
            self.raised = self.raised or error

    def forget(self) -> None:
        """Drop what refers to this in turn."""
        self._steps = self.command = self.raised = None

    def abandon(self) -> None:
        """Leave a blocked source to its thread."""
        if self.source is not None and self.source.worker is not None:
            self.source.worker.abandon()

    def stop(self) -> None:
        """Leave the source to its thread, which closes it, also if it rests."""
        self.abandon()
        if self.source is not None and self.source.worker is not None:
            self.source.worker.stop()


def _called(call: Callable[..., Any], *args: Any) -> Any:
    """Call a factory or `iter`, in the thread."""
    try:
        return call(*args)
    except StopIteration as stop:
        raise leaked(stop, "generator")  # noqa: B904 (it has its cause)


def _pulled(iterator: Any) -> tuple[Any, object]:
    """Pull the source, in the thread; no generator can raise StopIteration."""
    try:
        return next(iterator), None
    except StopIteration as stop:
        return stop.value, _END


class Contest:
    """One race: its contenders, and who has decided it."""

    def __init__(self, run: Run) -> None:
        race: Any = run.race
        self.race: Race = race
        self.replies: SimpleQueue[Job] = SimpleQueue()
        self._run = run
        self._get = clock.get().get
        self._contenders: list[Contender] = []
        #: The time that was waited for, whatever rounding the clock does.
        self._reached = -inf

    def held(self, command: Command) -> tuple[Run, SyncSource | None, Command | None]:
        """Hold the race; return what goes on."""
        contenders = self._contenders
        try:
            return self._outcome(self._decider(command))
        except BaseException:  # also of a signal handler, at any point
            for each in contenders:
                each.stop()
            contenders.clear()  # or the error, which refers to this frame, would keep them alive
            raise

    def _decider(self, command: Command) -> Contender:
        """The contender that has decided the race; all others are left."""
        first = Contender(self, self._run)
        first.begin(command)
        self._contenders.append(first)
        try:
            decider = self._wait_for_decision()
        except BaseException as error:  # of a signal handler
            decider, first.raised = first, error
        is_leaving = decider.raised is not None or was_interrupted(decider.source)
        self.race.decide(self._run.now(), None if is_leaving else decider.name)
        for each in self._contenders:
            if each is not decider:
                each.leave()
                decider.raised = decider.raised or each.raised
        return decider

    def _wait_for_decision(self) -> Contender:
        while True:
            now = max(self._run.now(), self._reached)
            for each in self._contenders:
                if not each.has_ended and (each.is_answered or each.until <= now):
                    each.go_on()
                    if each.has_ended and not each.has_withdrawn:
                        return each
            if self.race.due <= now:
                raised = self._open_beside()
                if raised is not None:
                    return raised
            else:
                self._wait()

    def _wait(self) -> None:
        """Wait until a thread has done its job, or the time for something has come."""
        running = [each for each in self._contenders if not each.has_ended]
        jobs = [each.job for each in running if each.job is not None]
        if any(job.finished for job in jobs):
            return  # its reply was read while the consumer waited for another thread
        until = min(self.race.due, *(each.until for each in running))
        try:
            self._get(self.replies, until - self._run.now(), jobs)
        except Empty:
            self._reached = until

    def _open_beside(self) -> Contender | None:
        """Open a source beside the others; return the contender if a callback raises."""
        run = self._run.beside()
        contender = Contender(self, run)
        try:
            contender.begin(run.begin())
        except BaseException as error:
            contender.has_ended, contender.raised = True, error
            return contender
        self._contenders.append(contender)
        return None

    def _outcome(self, decider: Contender) -> tuple[Run, SyncSource | None, Command | None]:
        run, source, command, raised = decider.run, decider.source, decider.command, decider.raised
        # A generator refers to its contender, and an error to the frames of its contender.
        for each in self._contenders:
            each.forget()
        self._contenders = []
        decider.forget()
        try:
            if command is None and raised is None:
                run.leave_race(is_open=True)
                return run, source, None
            if raised is None and isinstance(command, Concede):
                return run, None, run.conceded(command)
            decider.abandon()
            _end(run, source, raised)
        finally:
            del decider, run, source, command, raised


def _end(run: Run, source: SyncSource | None, raised: Any) -> NoReturn:
    """Close the source of the run, and raise what ends the stream."""
    try:
        if source is not None:
            source.interrupt(raised)
        elif run.state is not State.DONE:
            run.interrupted(raised)
        raise_unchanged(raised)
    finally:
        del raised
