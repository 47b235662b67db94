"""The blocking driver: a real generator that does what the core answers."""

from __future__ import annotations

import atexit
import sys
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
from failover_iter._core.notes import raise_unchanged
from failover_iter._core.state import State
from failover_iter._drivers import log
from failover_iter._drivers.clock import clock
from failover_iter._drivers.delegation import Held, rest_of
from failover_iter._drivers.saving import Saver
from failover_iter._drivers.sync_source import StreamRef, SyncSource, open_streams

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from failover_iter._core.commands import Command
    from failover_iter._core.run import Run


@atexit.register
def _close_at_exit() -> None:
    """Close the streams that are still open when the interpreter exits, as `del` would.

    One that is being pulled, in a daemon thread, is left alone. So is one with a time limit that
    such a thread has pulled. The threads of the others end first, so that none is waited for.
    """
    streams = list(open_streams)
    consumers = _end_threads() if any(each.consumer for each in streams) else ()
    for opened in streams:
        stream = opened()
        if stream is not None and not (stream.gi_running or opened.consumer in consumers):
            try:
                stream.close()
            except BaseException as error:
                # Printed, as an error in a finalizer is; the next stream is closed.
                sys.excepthook(type(error), error, error.__traceback__)


def _end_threads() -> Collection[int | None]:
    from failover_iter._drivers.mailbox import close_at_exit  # loaded: a stream has a thread

    return close_at_exit()


def drive(run: Run) -> Generator[Any, Any, Any]:
    """Return the generator that delivers one stream."""
    stream = _deliver(run)
    # Dead once the stream is finalized, so that no finalizer waits for a thread. It needs a
    # callback: since Python 3.15, references without one are cleared only after finalizers.
    run.stream = opened = StreamRef(stream, open_streams.discard)
    open_streams.add(opened)
    return stream


def _deliver(run: Run) -> Generator[Any, Any, Any]:
    source: Any = None
    command: Command | None = None
    value: Any = None
    held: Any = None
    time = clock.get()
    saver = None if run.checkpoint is None else Saver(run, time.time)
    try:
        if saver is not None:
            saver.load()
        command = run.start(time.time, log)
        while True:
            match command:
                case Open():
                    if command.attempt.race is None:
                        source = SyncSource(run, command.attempt)
                        source.open()
                    else:
                        run, source, command = _compete(run, command)
                        if command is not None:
                            continue
                    if source.has_committed:
                        run.committed()
                case Admit():
                    command = run.admitted(command.health.admit(command.key))
                    continue
                case Sleep():
                    if command.seconds:
                        time.sleep(command.seconds)
                    command = run.slept()
                    continue
                case Raise():
                    raise_unchanged(command.error)
                case Save():
                    command = run.saved(cast("Saver", saver).finish())
                    continue
                case Withdraw() | Concede():
                    raise NotImplementedError("in compete")  # noqa: TRY301 (of a race)
                case Return():
                    return command.value
                case _:
                    assert_never(command)
            command = None  # or the attempt would outlive the source
            if source.attempt.held:
                held = Held(source)
                try:
                    yield from held
                except BaseException as error:
                    source.raised_while_held(error)
            if source.is_open:
                rest: Any = rest_of(source)
                try:
                    value = yield from rest  # pyright: ignore[reportUnknownVariableType]
                except BaseException as error:
                    source.raised(error)
                else:
                    source.end(value)
            command = cast("Command", source.finish())
    except BaseException as error:  # raised by a callback or a signal handler, for example
        if not modules:
            raise GeneratorExit from None  # the interpreter has taken our modules apart
        try:
            if source is not None:
                source.interrupt(error)
            elif run.state in (State.ASKING, State.WAITING):
                run.interrupted(error)
        finally:
            if saver is not None:
                saver.note(error, saver.finish())
        raise
    finally:
        # The traceback of an error that leaves holds this frame: it must not hold the error.
        if modules:
            run.release()
        value = held = rest = None
        del run, source, command, saver


def _compete(run: Run, command: Command) -> tuple[Run, Any, Command | None]:
    from failover_iter._drivers.race_sync import compete  # threads: for those who need them

    return compete(run, command)
