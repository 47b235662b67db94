"""A race in an async stream: which contender is first, and how the others are left.

The first contender is pulled in the consumer's task. A backup, opened because the first is slow,
has a task of its own, from the opening of its sources to their closing: what a source does to its
task and its context is undone where it was done. If a backup wins, it keeps its task, and the
stream asks that for each item.

A contender that has lost is not cancelled as a task. Only its pull is interrupted, by the means of
a timeout, so its closing may wait. All of them are closed before the first item is delivered.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, NoReturn

from failover_iter._core.commands import Concede, Withdraw
from failover_iter._core.notes import raise_unchanged
from failover_iter._core.state import State
from failover_iter._drivers.contender import Backup, Contender
from failover_iter._drivers.opened import was_interrupted
from failover_iter._drivers.tasks import Tasks, new_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.commands import Command
    from failover_iter._core.race import Race
    from failover_iter._core.run import Run
    from failover_iter._drivers.async_source import AsyncSource


async def compete(run: Run, command: Command) -> tuple[Run, AsyncSource | None, Command | None]:
    """Run a race; return the run that goes on, and its source or else its next command."""
    return await Contest(run, new_tasks()).held(command)


class Contest:
    """One race: its contenders, its timer, and who has decided it."""

    #: The contender that has decided it.
    decider: Contender | None = None
    _stop_timer: Callable[[], object] | None = None

    def __init__(self, run: Run, tasks: Tasks) -> None:
        race: Any = run.race
        self.race: Race = race
        self.tasks = tasks
        self.is_decided = tasks.event()
        self._first = Contender(self, run)
        self._backups: list[Backup] = []

    async def held(self, command: Command) -> tuple[Run, AsyncSource | None, Command | None]:
        """Hold the race; return what goes on."""
        first = self._first
        await first.carry_out(command)
        if self.decider is None and first.has_withdrawn:
            try:
                await self.is_decided.wait()
            except BaseException as error:
                first.raised = error
        if self.decider is None or first.raised is not None or was_interrupted(first.source):
            self.decide(first)
        cancelled = await self._leave_others()
        return await self._outcome(cancelled)

    # The timer.

    def set_timer(self) -> None:
        """A source is opened: if it is slow, the next one is opened beside it."""
        if self._stop_timer is not None:
            self._stop_timer()
            self._stop_timer = None
        if self.race.due < inf:
            self._stop_timer = self.tasks.call_at(self.race.due, self._open_beside)

    def _open_beside(self) -> None:
        self._stop_timer = None
        backup = Backup(self, self._first.run.beside())
        try:
            command = backup.run.begin()
        except BaseException as error:  # of a callback: the stream raises it
            backup.raised = error
            backup.gone.set()
            self.decide(backup)
            return
        if not isinstance(command, Withdraw):
            self._backups.append(backup)
            backup.start(command)

    # The end.

    def decide(self, contender: Contender) -> None:
        """A contender has decided the race: interrupt the others."""
        self.decider = contender
        is_leaving = contender.raised is not None or was_interrupted(contender.source)
        self.race.decide(contender.run.now(), None if is_leaving else contender.name)
        if self._stop_timer is not None:
            self._stop_timer()
        self.is_decided.set()
        for each in (self._first, *self._backups):
            if each is not contender:
                each.interrupt()

    async def _leave_others(self) -> BaseException | None:
        """Close the sources of the others; return a cancellation that came meanwhile.

        It reaches all that are still being closed, as it would in the task of the consumer.
        """
        decider: Any = self.decider
        cancelled: BaseException | None = None
        if decider is not self._first:
            await self._first.leave()
            if isinstance(self._first.raised, self.tasks.cancelled):
                cancelled, self._first.raised = self._first.raised, None
        for backup in self._backups:
            if backup is decider:
                continue
            if cancelled is not None:
                backup.cancel()
            try:
                await backup.wait_until_left()
            except BaseException as error:
                cancelled = error
            if isinstance(backup.raised, self.tasks.cancelled):
                backup.raised = None  # the consumer's, or that of one who ends a loser
        for each in (self._first, *self._backups):
            if each is not decider and each.raised is not None:
                # Of a listener, for example. Its traceback refers to the contender.
                decider.raised, each.raised = decider.raised or each.raised, None
        return cancelled

    async def _outcome(
        self, cancelled: BaseException | None
    ) -> tuple[Run, AsyncSource | None, Command | None]:
        decider: Any = self.decider
        run: Run = decider.run
        command, raised = decider.command, decider.raised
        source: Any = None if isinstance(command, Concede) else decider.opened()
        # Each contender refers to this, and an error to the frames of its contender.
        self._backups.clear()
        del self._first, decider.contest
        decider.raised = decider.command = None
        try:
            if command is None and raised is None:
                run.leave_race(is_open=True)
                if cancelled is not None:  # between the decision and the first item
                    source.fail(cancelled)
                return run, source, None
            raised = cancelled if raised is None else raised
            if raised is None and isinstance(command, Concede):
                return run, None, run.conceded(command)
            return await _end(run, source, raised)
        finally:
            del decider, run, source, command, raised, cancelled


async def _end(run: Run, source: Any, raised: Any) -> NoReturn:
    """Close the source of the run, and raise what ends the stream."""
    try:
        if source is not None:
            await source.interrupt(raised)
        elif run.state is not State.DONE:
            run.interrupted(raised)
        raise_unchanged(raised)
    finally:
        del raised
