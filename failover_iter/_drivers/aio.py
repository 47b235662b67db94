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
    source: Any = None
    command: Command | None = None
    items: Any = None
    left: Any = None
    item = thrown = sent = None
    saver = None if run.checkpoint is None else Saver(run, async_time(), is_async=True)
    try:
        if saver is not None:
            await saver.aload()
        command = run.start(async_time(), log)
        while True:
            match command:
                case None:
                    pass  # the source goes on, after an answer to the consumer
                case Open():
                    if command.attempt.race is None:
                        source = AsyncSource(run, command.attempt)
                        await source.open()
                    else:
                        run, source, command = await _compete(run, command)
                        if command is not None:
                            continue
                    if source.has_committed:
                        run.committed()
                case Admit():
                    command = run.admitted(await command.health.aadmit(command.key))
                    continue
                case Sleep():
                    await async_sleep(command.seconds)
                    command = run.slept()
                    continue
                case Raise():
                    raise_unchanged(command.error)
                case Save():
                    command = run.saved(await cast("Saver", saver).afinish())
                    continue
                case Withdraw() | Concede():
                    raise NotImplementedError("in compete")  # noqa: TRY301 (of a race)
                case Return():
                    return
                case _:
                    assert_never(command)
            command = None  # or the attempt would outlive the source
            items, left, on_item = source.items()
            try:
                async for item in items:
                    try:
                        if on_item is not None:
                            is_sifted_out = on_item(item)
                            if is_sifted_out is SAVE:
                                await cast("Saver", saver).asave()
                                is_sifted_out = on_item(item)
                            if is_sifted_out:
                                continue
                        next(left)  # counts it
                    except BaseException as error:
                        source.spare(error)
                        raise
                    try:
                        sent = yield item
                    except BaseException as error:
                        thrown = error
                        break
                    if sent is not None:
                        break
            except BaseException as error:
                source.raised_by(items, error)
            # Out of the `except`, or the source would run as if it handled what is thrown.
            if thrown is not None or sent is not None:
                await source.answer(thrown, sent)
                thrown = sent = None
            elif source.failure is None:
                source.exhausted(items)
            if not source.goes_on:
                command = await source.finish()
    except BaseException as error:  # raised by a callback or a signal handler, for example
        if not modules:
            raise GeneratorExit from None  # the interpreter has taken our modules apart
        try:
            if source is not None:
                await source.interrupt(error)
            elif run.state in (State.ASKING, State.WAITING):
                run.interrupted(error)
        finally:
            if saver is not None:
                saver.note(error, await saver.afinish())
        raise
    finally:
        # The traceback of an error that leaves holds this frame: it must not hold the error, and
        # not the last item either.
        if modules:
            run.release()
        item = thrown = sent = items = left = on_item = None
        del run, source, command, saver


async def _compete(run: Run, command: Command) -> tuple[Run, Any, Command | None]:
    from failover_iter._drivers.race_async import compete  # for those who need it

    return await compete(run, command)
