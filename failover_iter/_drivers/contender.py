"""A contender of a race in an async stream: in the consumer's task, or as a backup in its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from failover_iter._core.commands import Admit, Open, Sleep, Withdraw
from failover_iter._core.notes import raise_unchanged
from failover_iter._core.state import State
from failover_iter._drivers.async_source import AsyncSource
from failover_iter._drivers.log import log_abandoned

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from failover_iter._core.commands import Command
    from failover_iter._core.run import Run
    from failover_iter._drivers.tasks import Event, Tasks

    class Contest(Protocol):
        """The part of a race that a contender needs."""

        decider: Contender | None
        is_decided: Event
        tasks: Tasks

        def set_timer(self) -> None:
            """A source is opened."""
            ...

        def decide(self, contender: Contender) -> None:
            """This contender has decided the race."""
            ...


class Contender:
    """A run that takes part: its source, and how far it came."""

    #: The source that is open, or was last.
    source: AsyncSource | None = None
    #: Its last command, if it did not end with a source that decides the race.
    command: Command | None = None
    #: An exception, but not the failure of a source: of a callback, or a cancellation.
    raised: BaseException | None = None

    def __init__(self, contest: Contest, run: Run) -> None:
        self.contest = contest
        self.run = run

    @property
    def name(self) -> str:
        """The name of its source."""
        source = self.source
        return "" if source is None else source.attempt.source.name

    @property
    def has_withdrawn(self) -> bool:
        """Whether it has failed, and others are running."""
        return isinstance(self.command, Withdraw)

    async def carry_out(self, command: Command) -> None:
        """Carry out the commands of the run, until it has decided the race, lost it or failed."""
        run, contest = self.run, self.contest
        try:
            while not contest.is_decided.is_set():
                match command:
                    case Open():
                        self.source = source = AsyncSource(run, command.attempt)
                        contest.set_timer()
                        await source.open()
                        if contest.is_decided.is_set() or run.decides(
                            source.failure, has_committed=source.has_committed
                        ):
                            return
                        command = await source.finish()
                    case Admit():
                        command = run.admitted(await command.health.aadmit(command.key))
                    case Sleep():
                        if command.seconds:  # else another one could win: the retry is paid for
                            await contest.tasks.wait(contest.is_decided, command.seconds)
                        if not contest.is_decided.is_set():
                            command = run.slept()
                    case _:
                        self.command = command
                        return
        except BaseException as error:  # it ends the stream, which raises it
            self.raised = error
        finally:
            del command  # it may hold an error whose traceback holds this frame

    def opened(self) -> Any:
        """The source as the stream sees it; None if it has none."""
        return self.source

    def interrupt(self) -> None:
        """End the pull of its source, if there is one: it has lost."""
        if self.source is not None and self.source.puller is not None:
            deadline: Any = self.source.attempt.deadline  # each source of a race has one
            deadline.is_superseded = True
            self.source.puller.interrupt()

    async def leave(self) -> None:
        """Close the source: another contender has decided the race."""
        source, is_abandoned = self.source, False
        if source is not None:
            close_error = None
            try:
                close_error = await source.close()
                if close_error is not None:
                    log_abandoned(self.name, close_error, "when it was superseded")
            except BaseException as error:
                self.raised = self.raised or error
            finally:
                del close_error  # its traceback refers to this frame
            is_abandoned = source.is_abandoned
            source.release()
        if self.run.state is not State.DONE:
            try:
                self.run.superseded(abandoned=is_abandoned)
            except BaseException as error:  # of a listener
                self.raised = self.raised or error


class Backup(Contender):
    """A contender with its own task, which pulls its source for the stream if it wins."""

    #: The request of the stream: a function to call, or None to close the source.
    _call: Callable[[], Awaitable[Any]] | None = None
    _error: BaseException | None = None
    _result: Any = None
    _close_error: BaseException | None = None
    #: Whether its task has made a step: one that is cancelled before never does.
    _has_begun = False

    def __init__(self, contest: Contest, run: Run) -> None:
        super().__init__(contest, run)
        self._tasks = tasks = contest.tasks
        self.gone, self._asked, self._answered = tasks.event(), tasks.event(), tasks.event()

    def start(self, command: Command) -> None:
        """Start the task."""
        self.cancel = self._tasks.start(
            lambda: self._run(command), self._done, "failover_iter: a hedge"
        )

    # In the task.

    async def _run(self, command: Command) -> None:
        self._has_begun = True
        await self.carry_out(command)
        contest = self.contest
        if contest.decider is None and not self.has_withdrawn:
            if self._is_cancelled:
                self.raised = self._gone()
            contest.decide(self)
        if contest.decider is self and self.command is None and self.source is not None:
            await self._serve()
        if contest.decider is self:
            await self._close()
        else:  # also if the consumer has left before the first item
            await self.leave()

    def _done(self) -> None:
        """The task has ended, perhaps before it began: a cancelled one may never run."""
        if not self._has_begun and self.contest.decider is None:
            self.raised = self._gone()
            self.contest.decide(self)
        self.gone.set()
        self._answered.set()

    @property
    def _is_cancelled(self) -> bool:
        """Whether others have cancelled the task, as when the event loop ends."""
        error = self.raised if self.source is None else self.raised or self.source.failure
        return isinstance(error, self._tasks.cancelled)

    async def _serve(self) -> None:
        """Do what the stream asks for, until it asks to close the source."""
        try:
            while True:
                await self._asked.wait()
                self._asked = self._tasks.event()
                call, self._call = self._call, None
                if call is None:
                    return
                try:
                    self._result = await call()
                except Exception as error:
                    self._error = error
                finally:
                    del call
                self._answered.set()
        except BaseException as error:  # it was cancelled, by the stream or with the event loop
            self._error = error

    async def _close(self) -> None:
        if self.source is not None:
            try:
                self._close_error = await self.source.close()
            except BaseException as error:
                self._close_error = error
            self.source.iterable = self.source.iterator = self.source.puller = None

    # In the task of the consumer.

    @property
    def abandoned(self) -> bool:
        """Whether a source in a thread was left while it was blocked."""
        return self.source is not None and self.source.is_abandoned

    def opened(self) -> Any:
        """The source as the stream sees it."""
        inner = self.source
        if inner is None:
            return None
        source = AsyncSource(self.run, inner.attempt)
        source.worker = self
        source.iterable = source.iterator = Remote(self, inner)
        source.has_ended, source.failure = inner.has_ended, inner.failure
        inner.failure = None  # its traceback refers to the inner one
        source.has_committed = inner.has_committed
        return source

    async def ask(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Have the task await this."""
        if self.gone.is_set():
            raise self._gone()
        self._call, self._answered = call, self._tasks.event()
        del call
        self._asked.set()
        try:
            await self._answered.wait()
        except BaseException:
            self._dismiss()
            self.cancel()
            await self.wait_until_gone()
            self._error = self._result = None
            raise
        error, self._error = self._error, None
        result, self._result = self._result, None
        try:
            if isinstance(error, self._tasks.cancelled):
                raise self._gone()
            if error is not None:
                raise_unchanged(error)
        finally:
            del error
        return result

    def interrupt(self) -> None:
        """End the pull of its source, or its wait for the stream: it has lost."""
        super().interrupt()
        self._dismiss()

    def _dismiss(self) -> None:
        self._call = None
        self._asked.set()

    async def wait_until_gone(self) -> None:
        """Wait until the task has ended. A cancellation reaches it, too, and is raised then."""
        await self._tasks.wait_shielded(self.gone, self.cancel)

    async def wait_until_left(self) -> None:
        """Wait until the task has left its source, as another contender has decided the race."""
        try:
            await self.wait_until_gone()
        finally:
            if not self._has_begun:
                await self.leave()

    async def close(self) -> None:
        """Close the source, in its task."""
        self._dismiss()
        await self.wait_until_gone()
        error, self._close_error = self._close_error, None
        try:
            if error is not None:
                raise_unchanged(error)
        finally:
            del error

    def _gone(self) -> RuntimeError:
        return RuntimeError(f"the task of source {self.name!r} of a hedge was cancelled")


class Remote:
    """The iterator in the task of a backup."""

    __slots__ = ("_backup", "_source")

    def __init__(self, backup: Backup, source: AsyncSource) -> None:
        self._backup = backup
        self._source = source

    def __anext__(self) -> Any:
        return self._backup.ask(lambda: self._pulled(lambda: anext(self._source.iterator)))

    @property
    def asend(self) -> Callable[[Any], Any]:
        """A pull that sends a value, if the source has an `asend`."""
        asend = self._source.iterator.asend
        return lambda value: self._backup.ask(lambda: self._pulled(lambda: asend(value)))

    @property
    def athrow(self) -> Callable[[BaseException], Any]:
        """The `athrow` of the source, if it has one."""
        athrow = self._source.iterator.athrow
        return lambda thrown: self._backup.ask(lambda: athrow(thrown))

    def aclose(self) -> Any:
        """Close the source."""
        return self._backup.close()

    def _pulled(self, pull: Callable[[], Awaitable[Any]]) -> Any:
        self._source.puller.check()
        return self._source.puller.wait(pull())
