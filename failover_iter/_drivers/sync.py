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
    stream = _Stream(run)
    source = held = rest = value = None
    del run
    try:
        command: Command | None = stream.start()
        while (end := stream.carry_out(command)) is None:
            command, source = None, stream.source  # or the attempt would outlive the source
            if source.attempt.held:
                held = Held(source)
                try:
                    yield from held
                except BaseException as error:
                    source.raised_while_held(error)
            if source.is_open:
                rest = rest_of(source)
                try:
                    value = yield from rest  # pyright: ignore[reportUnknownVariableType]
                except BaseException as error:
                    source.raised(error)
                else:
                    source.end(value)
            command = source.finish()
        if isinstance(end, Return):
            return end.value
        raise_unchanged(end.error)
    except BaseException as error:  # raised by a callback or a signal handler, for example
        if not modules:
            raise GeneratorExit from None  # the interpreter has taken our modules apart
        stream.interrupt(error)
        raise
    finally:
        # The traceback of an error that leaves holds this frame: it must not hold the error.
        if modules:
            stream.release()
        del stream
        source = held = rest = value = command = end = None


class _Stream:
    """A running stream apart from its items: its run, its open source, its checkpoint."""

    __slots__ = ("_saver", "_time", "run", "source")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.source: Any = None
        self._time = clock.get()
        self._saver = None if run.checkpoint is None else Saver(run, self._time.time)

    def start(self) -> Command:
        """Ask the core what to do first."""
        if self._saver is not None:
            self._saver.load()
        return self.run.start(self._time.time, log)

    def carry_out(self, command: Command | None) -> Raise | Return | None:
        """Carry out commands until a source is open; return how the stream ends, if it does."""
        try:
            while True:
                match command:
                    case None:
                        return None
                    case Open():
                        if command.attempt.race is None:
                            self.source = SyncSource(self.run, command.attempt)
                            self.source.open()
                            command = None
                        else:
                            self.run, self.source, command = _compete(self.run, command)
                        if command is None and self.source.has_committed:
                            self.run.committed()
                    case Admit():
                        command = self.run.admitted(command.health.admit(command.key))
                    case Sleep():
                        if command.seconds:
                            self._time.sleep(command.seconds)
                        command = self.run.slept()
                    case Save():
                        command = self.run.saved(cast("Saver", self._saver).finish())
                    case Withdraw() | Concede():
                        raise NotImplementedError("in compete")
                    case Raise() | Return():
                        return command
                    case _:
                        assert_never(command)
        finally:
            del command  # or the traceback holds this frame, and this frame the error

    def interrupt(self, error: BaseException) -> None:
        """Close what is open: code of ours has raised."""
        try:
            if self.source is not None:
                self.source.interrupt(error)
            elif self.run.state in (State.ASKING, State.WAITING):
                self.run.interrupted(error)
        finally:
            if self._saver is not None:
                self._saver.note(error, self._saver.finish())
            del error

    def release(self) -> None:
        """Drop all references: the frames of a traceback may keep this object alive."""
        self.run.release()
        del self.run, self.source, self._saver


def _compete(run: Run, command: Command) -> tuple[Run, Any, Command | None]:
    from failover_iter._drivers.race_sync import compete  # threads: for those who need them

    return compete(run, command)
