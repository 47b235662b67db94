"""What both drivers know of an open source: how it ended, and who is to blame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from failover_iter._core.notes import has_context, set_context
from failover_iter._drivers.closing import is_unfinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.attempt import Attempt
    from failover_iter._core.commands import Command
    from failover_iter._core.run import Run
    from failover_iter._source import Abort


class OpenedSource:
    """An open source: the object that the factory returned, and how it ended."""

    # Class attributes are what a source begins with: to make one is half the work then. They also
    # serve `__del__`, if a signal handler raises in `__init__`.
    iterable: Any = None
    iterator: Any = None
    is_iterator_closed = False
    is_iterable_closed = False
    has_ended = False
    #: Whether it has an item to deliver: the driver says so to the core.
    has_committed = False
    #: False if it ended in answer to a throw.
    check_complete = True
    #: The exception that ended it.
    failure: BaseException | None = None
    #: An exception that came out of a pull, but is not the source's.
    spared: BaseException | None = None
    by_consumer = False
    #: Whether the consumer closes the stream.
    is_left = False
    #: Whether the held item is the answer of an async source to a throw or a send.
    is_answer = False
    #: The consumer's side of its thread, if it has one. The thread then closes it.
    worker: Any = None

    def __init__(self, run: Run, attempt: Attempt) -> None:
        self.run = run
        self.attempt = attempt

    def raised(self, error: BaseException) -> None:
        """A pull raised: the source is to blame, unless it cannot have raised."""
        self.failure = error
        pulled = self.iterable if self.iterator is None else self.iterator
        if is_unfinished(pulled) and error is not self.spared:
            self.spare(error)

    def fail(self, error: BaseException) -> None:
        """The source failed before the commit: discard the held items."""
        self.raised(error)
        self.attempt.held.clear()

    def receive(self, item: Any) -> bool:
        """Take an item before the commit; True if that commits the attempt, or is a failure."""
        attempt = self.attempt
        if not attempt.receive(item):
            return False
        if attempt.diverged is None:
            self.has_committed = True
        else:
            self.fail(attempt.diverged)
        return True

    def spare(self, error: BaseException, *, by_consumer: bool = False) -> None:
        """Remember an error that the source did not cause, unless the source has diverged."""
        if error is not self.attempt.diverged:
            self.spared, self.by_consumer = error, by_consumer

    @property
    def closer(self) -> Callable[[Any], object] | None:
        """The function of `Source(close=...)`, if it is called here."""
        return None if self.worker is not None else self.attempt.source.closer

    @property
    def abort(self) -> tuple[Abort, dict[str, Any]] | None:
        """The function of `Source(abort=...)`, and the memo of the stream to call it with."""
        abort = self.attempt.source.abort
        return None if abort is None else (abort, self.attempt.memo)

    @property
    def is_abandoned(self) -> bool:
        """Whether the source is still blocked in its thread, which closes it when it returns."""
        return self.worker is not None and self.worker.abandoned

    @property
    def is_open(self) -> bool:
        """Whether there may be more to deliver."""
        return not self.has_ended and self.failure is None

    def chain(self, error: BaseException) -> None:
        """Make the failure of the source the context of the error that interrupts its closing."""
        failure = self.failure
        if failure is not None and not (failure is error or has_context(error)):
            set_context(error, failure)

    def failed_or_left(self, error: BaseException, close_error: Exception | None) -> Command:
        """Ask the core what follows an error; the source is closed."""
        try:
            if self.is_to_blame(error):
                return self.run.failed(error, close_error, abandoned=self.is_abandoned)
            by_consumer = self.by_consumer and error is self.spared
            return self.run.left(
                error, close_error, by_consumer=by_consumer, abandoned=self.is_abandoned
            )
        finally:
            del error, close_error

    def is_to_blame(self, error: BaseException) -> TypeGuard[Exception]:
        """Whether this error is a failure of the source, by its own doing or by a timeout."""
        deadline = self.attempt.deadline
        is_timeout = deadline is not None and error is deadline.raised
        return isinstance(error, Exception) and (is_timeout or not self.is_spared(error))

    def is_spared(self, error: BaseException) -> bool:
        """Whether the consumer caused this error, or is leaving."""
        return error is self.spared or self.is_left

    def release(self) -> None:
        """Drop all references: the frames of a traceback may keep this object alive."""
        self.iterable = self.iterator = self.failure = self.spared = self.worker = None
        if self.attempt.deadline is not None:
            self.attempt.deadline.raised = None
        if self.attempt.diverged is not None:
            self.attempt.diverged = self.attempt.surplus = None
        self.attempt.held.clear()


def was_interrupted(source: OpenedSource | None) -> bool:
    """Whether the consumer was cancelled, for example, while this source was pulled."""
    failure = None if source is None else source.failure
    return failure is not None and not isinstance(failure, Exception)
