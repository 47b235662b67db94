"""An open source of a blocking stream: how it is opened, and how it is closed.

Blame is a matter of place. The factory is called, and the iterator made and pulled, in a `try`
around nothing else, or in the pipeline of `delegation.py`. Whatever else raises, a callback, a
signal handler or the consumer, is never a failure of the source.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from functools import partial
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from failover_iter._core.notes import leaked
from failover_iter._core.refusals import not_iterable, refuse_text, wrong_flavour
from failover_iter._core.state import State
from failover_iter._drivers.closing import close_with, closer_of, first_of, has_ended, needs_close
from failover_iter._drivers.opened import OpenedSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue

    from failover_iter._core.commands import Command
    from failover_iter._drivers.mailbox import Job
    from failover_iter._drivers.timed_thread import Worker

#: Since 3.15 (python/cpython#145667), `yield from` walks these by index, without an iterator. What
#: is sent goes to the sequence itself, and the AttributeError names `list`, not `list_iterator`.
_WALKED_BY_INDEX: Final = tuple[type, ...](
    (list, tuple, str, bytes) if sys.version_info >= (3, 15) else ()
)

#: The streams that are not finalized yet: they are closed at the exit.
open_streams: Final[set[StreamRef]] = set()


class StreamRef(ref[Any]):
    """A weak reference to a stream."""

    #: The thread that pulls it, if its source is in a thread.
    consumer = 0


class SyncSource(OpenedSource):
    """An open source of a blocking stream."""

    #: Whether a value that is sent goes to the iterable (see `_WALKED_BY_INDEX`).
    by_index = False
    #: The value that it returned, if it has ended.
    value: Any = None
    #: An exception that is known to be its failure, wherever it is raised.
    blamed: BaseException | None = None

    def open(self) -> None:
        """Open the source, and pull it until it commits, ends or fails."""
        if not self._make_iterator():
            return
        iterator = self.iterator
        while True:
            try:
                item = next(iterator)
            except StopIteration as stop:
                value = stop.value
                break
            except BaseException as error:
                self.fail(error)
                return
            if self.receive(item):
                return
        self.end(value)
        self.has_committed = self.run.source_ended()

    def _make_iterator(self) -> bool:
        """Call the factory and `iter`; False if that failed."""
        opened = self._call_factory()
        if self.failure is None:
            self.check_opened(opened)
        if self.failure is None:
            try:
                self.iterator = iter(self.iterable)
            except StopIteration as stop:
                self.failure = self.blamed = leaked(stop, "generator")
            except BaseException as error:
                self.raised(error)
        return self.failure is None

    def _call_factory(self) -> Any:
        attempt = self.attempt
        worker = None if attempt.deadline is None else self.start_worker(None)
        factory, args = attempt.source.factory, attempt.args
        attempt.args = ()  # a traceback holds on to the attempt
        opened: Any = None
        try:
            if worker is not None:
                opened = worker.open(factory, args)
                self.iterable = worker.proxy(opened)
            else:
                self.iterable = opened = factory(*args)
        except StopIteration as stop:
            self.failure = self.blamed = leaked(stop, "generator")
        except BaseException as error:
            self.failure = error
        finally:
            del factory, args  # a traceback holds this frame: failure by failure, a chain of all
        return opened

    def start_worker(self, replies: SimpleQueue[Job] | None) -> Worker:
        """Start the thread of the source; `replies`: where it says that it has done a job."""
        from failover_iter._drivers.timed_thread import Worker  # threads: for those who need them

        opened: Any = self.run.stream
        opened.consumer = get_ident()
        attempt, deadline = self.attempt, self.attempt.deadline
        assert deadline is not None  # noqa: S101 (that is why it has a thread)
        self.worker = worker = Worker(
            attempt.source, deadline, self.run.stream, self.abort, replies
        )
        return worker

    def check_opened(self, opened: object) -> None:
        """Refuse an object that a blocking stream cannot iterate."""
        if isinstance(opened, GeneratorType):
            if opened.gi_frame is None:
                self.run.opened_ended()
            return
        kind, name = type(opened), self.attempt.source.name
        self.by_index = kind in _WALKED_BY_INDEX
        refuse_text(name, opened)
        if hasattr(kind, "__iter__") or hasattr(kind, "__getitem__"):
            return
        if hasattr(kind, "__aiter__") or hasattr(kind, "__await__"):
            if isinstance(opened, CoroutineType):
                opened.close()
            raise wrong_flavour(name, "sync")
        self.failure = self.blamed = not_iterable(name, "iterable", opened)

    def end(self, value: Any, *, check_complete: bool = True) -> None:
        """The source has ended. In answer to a throw it need not be complete."""
        if not self.has_ended:
            self.has_ended, self.value, self.check_complete = True, value, check_complete

    def raised_while_held(self, error: BaseException) -> None:
        """An error came out of the held items: the source is to blame only for its `send`."""
        self.failure = error
        if error is not self.blamed and error is not self.spared:
            self.spare(error)

    def finish(self) -> Command:
        """Close the source, and ask the core what follows."""
        run, error = self.run, self.failure
        close_error = command = None
        try:
            if error is None:
                if needs_close(self.iterable, self.iterator, self.attempt.source):
                    close_error = self.close()
                command = run.ended(self.value, close_error, check_complete=self.check_complete)
            else:
                close_error = self.close()
                command = self.failed_or_left(error, close_error)
            self.release()  # if anything raises before, `interrupt` does it
            return command
        finally:
            del run, error, close_error, command

    def is_spared(self, error: BaseException) -> bool:
        """Also if the source is in a thread and did not raise it there, as a signal handler."""
        if self.worker is None or super().is_spared(error):
            return super().is_spared(error)
        failures = (self.worker.raised, self.blamed, self.attempt.diverged)
        return all(error is not failure for failure in failures)

    def interrupt(self, error: BaseException) -> None:
        """Close what is still open: code of ours has raised."""
        close_error = None
        try:
            self.chain(error)
            try:
                close_error = self.close()
            except BaseException as raised:  # Ctrl-C or a cancellation: it replaces the error
                error = raised
                raise
            finally:
                if self.run.state is not State.DONE:
                    self.run.interrupted(error, close_error, abandoned=self.is_abandoned)
        finally:
            self.release()
            del error, close_error

    def close_iterator(self) -> None:
        """Close the iterator, once."""
        if self.attempt.source.owned and not self.is_iterator_closed:
            closing = self._closing_of(self.iterator)
            if closing is not None:
                # No signal handler runs between these two lines: it is closed once, not never.
                self.is_iterator_closed = True
                closing()

    def close_iterable(self) -> None:
        """Close the iterable, once, if it is not the iterator."""
        if self.attempt.source.owned and not self.is_iterable_closed:
            closing = None if self.iterable is self.iterator else self._closing_of(self.iterable)
            if closing is not None:
                self.is_iterable_closed = True
                closing()

    def _closing_of(self, opened: Any) -> Callable[[], object] | None:
        """What closes the iterator or the iterable, if anything does."""
        if self.closer is not None and opened is self.iterable is not None:
            return partial(close_with, self.closer, self.attempt.source.name, opened)
        return None if has_ended(opened) else closer_of(opened)

    def close(self) -> Exception | None:
        """Close the source; return an Exception raised by that, raise any other."""
        errors: list[BaseException] = []
        try:
            # Twice, for a signal handler may raise before anything is closed.
            for closing in (self.close_iterator, self.close_iterable) * 2:
                try:
                    closing()
                except BaseException as error:
                    errors.append(error)
        finally:
            if self.worker is not None:
                self.worker.stop()
        return first_of(errors, self.attempt.source.name) if errors else None

    def release(self) -> None:
        """Drop all references, also that to what the source returned."""
        if self.worker is not None:
            self.worker.raised = None
        super().release()
        self.value = self.blamed = None
