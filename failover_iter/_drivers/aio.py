"""The async driver: a real async generator that does what the core answers.

It is the twin of the blocking one (`sync.py`), step by step. An async generator cannot delegate, so
it loops over the items, and what the consumer does at a `yield` is caught there. The `try` around
that loop blames the source. Whatever our own lines in it raise, a callback or a signal handler for
example, is marked with `spare`: the source is not to blame.
"""

from __future__ import annotations

from sys import modules
from typing import TYPE_CHECKING, Any, assert_never, cast

from failover_iter._core.commands import (
    Admit,
    Concede,
    Open,
    Raise,
    Return,
    Save,
    Sleep,
    Withdraw,
)
from failover_iter._core.cursor import SAVE
from failover_iter._core.notes import raise_unchanged
from failover_iter._core.state import State
from failover_iter._drivers import log
from failover_iter._drivers.async_source import AsyncSource
from failover_iter._drivers.clock import async_sleep, async_time
from failover_iter._drivers.saving import Saver

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from failover_iter._core.commands import Command
    from failover_iter._core.run import Run


async def drive(run: Run) -> AsyncGenerator[Any, Any]:
    """Deliver one stream."""
    stream = _Stream(run)
    source = items = on_item = item = thrown = sent = command = end = None
    del run
    try:
        command = await stream.start()
        while (end := await stream.carry_out(command)) is None:
            # Without the command, or the attempt would outlive the source.
            command, source, count = None, stream.source, 0
            items, item, step, on_item = source.items()
            try:
                async for item in items:
                    try:
                        is_delivered = (
                            on_item is None
                            or not (answer := on_item(item))
                            or await stream.saves_and_notes(item, answer)
                        )
                        count += step  # 0 if there are items that are not delivered
                    except BaseException as error:
                        source.spare(error)
                        raise
                    if not is_delivered:
                        continue
                    try:
                        sent = yield item
                    except BaseException as error:
                        thrown = error
                        break
                    if sent is not None:
                        break
            except BaseException as error:
                source.raised_by(items, error)
            finally:
                # Without a call, for a signal handler may come before its first line.
                source.attempt.delivered.counted += count
                source.keep_last(item)
            # Out of the `except`, or the source would run as if it handled what is thrown.
            if thrown is not None or sent is not None:
                await source.answer(thrown, sent)
                thrown = sent = None
            elif source.failure is None:
                source.exhausted(items)
            if not source.goes_on:
                command = await source.finish()
        if isinstance(end, Raise):
            raise_unchanged(end.error)
    except BaseException as error:  # raised by a callback or a signal handler, for example
        if not modules:
            raise GeneratorExit from None  # the interpreter has taken our modules apart
        await stream.interrupt(error)
        raise
    finally:
        # The traceback of an error that leaves holds this frame: it must not hold the error, and
        # not the last item either.
        if modules:
            stream.release()
        del stream, source, items, on_item, item, thrown, sent, command, end


class _Stream:
    """A running stream apart from its items: its run, its open source, its checkpoint."""

    __slots__ = ("_saver", "run", "source")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.source: Any = None
        self._saver = None if run.checkpoint is None else Saver(run, async_time(), is_async=True)

    async def start(self) -> Command:
        """Ask the core what to do first."""
        if self._saver is not None:
            await self._saver.aload()
        return self.run.start(async_time(), log)

    async def carry_out(self, command: Command | None) -> Raise | Return | None:
        """Carry out commands until a source is open; return how the stream ends, if it does."""
        try:
            while True:
                match command:
                    case None:
                        return None
                    case Open():
                        if command.attempt.race is None:
                            self.source = AsyncSource(self.run, command.attempt)
                            await self.source.open()
                            command = None
                        else:
                            self.run, self.source, command = await _compete(self.run, command)
                        if command is None and self.source.has_committed:
                            self.run.committed()
                    case Admit():
                        command = self.run.admitted(await command.health.aadmit(command.key))
                    case Sleep():
                        await async_sleep(command.seconds)
                        command = self.run.slept()
                    case Save():
                        command = self.run.saved(await cast("Saver", self._saver).afinish())
                    case Withdraw() | Concede():
                        raise NotImplementedError("in compete")
                    case Raise() | Return():
                        return command
                    case _:
                        assert_never(command)
        finally:
            del command  # or the traceback holds this frame, and this frame the error

    async def saves_and_notes(self, item: Any, answer: object) -> bool:
        """Save before an item, and note it, if `on_item` has asked for that; or False."""
        if answer is not SAVE:
            return False
        await cast("Saver", self._saver).asave()
        is_delivered: bool = self.source.attempt.note(item)
        return is_delivered

    async def interrupt(self, error: BaseException) -> None:
        """Close what is open: code of ours has raised."""
        try:
            if self.source is not None:
                await self.source.interrupt(error)
            elif self.run.state in (State.ASKING, State.WAITING):
                self.run.interrupted(error)
        finally:
            if self._saver is not None:
                self._saver.note(error, await self._saver.afinish())
            del error

    def release(self) -> None:
        """Drop all references: the frames of a traceback may keep this object alive."""
        self.run.release()
        del self.run, self.source, self._saver


async def _compete(run: Run, command: Command) -> tuple[Run, Any, Command | None]:
    from failover_iter._drivers.race_async import compete  # for those who need it

    return await compete(run, command)
