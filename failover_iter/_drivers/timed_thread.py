"""Pulling a blocking source under a time limit: the source lives in its own thread.

Python cannot interrupt a blocked thread. So each attempt of a timed stream starts a daemon thread
with one copy of the context. That thread calls the factory, pulls the source and closes it, one
job at a time, and only when the consumer asks. When time is up, the consumer goes on alone, and
the thread closes the source as soon as the blocked call returns.

Only an explicit `close()` waits until the source is closed. A finalizer lets the thread close it
and returns: it may have interrupted code that holds a lock which the source needs. `Worker.close`
says how the two are told apart; `mailbox` says why no thread and no source is left behind.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from failover_iter._core.usage import mark_usage_error
from failover_iter._drivers.clock import clock
from failover_iter._drivers.closing import close, has_ended
from failover_iter._drivers.log import log_abandoned
from failover_iter._drivers.mailbox import Job, Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from failover_iter._core.deadlines import SourceDeadline
    from failover_iter._core.sources import ResolvedSource


class Worker:
    """The consumer's side of the thread of one attempt."""

    #: Whether the source was left while it was blocked.
    abandoned = False
    #: The exception of a signal handler, raised while the thread was waited for.
    interruption: BaseException | None = None

    def __init__(
        self,
        source: ResolvedSource,
        deadline: SourceDeadline,
        stream: Callable[[], object] | None = None,
        on_abandon: Callable[[Any], object] | None = None,
    ) -> None:
        """Start the thread.

        Args:
            source: The source.
            deadline: How long to wait for it.
            stream: A weak reference to the stream, with a callback (see `close`).
            on_abandon: Called once, in the consumer's thread, when a blocked source is abandoned,
                with what the factory returned, or None if it has not returned. The thread starts
                to close only after this has returned. Not called when closing blocks.
        """
        self._name = source.name
        self._deadline = deadline
        self._stream = stream
        self._on_abandon = on_abandon
        self._get = clock.get().get
        self._opened: list[Any] = []  # the iterator last
        self._keep = self._opened.append if source.owned else _ignore
        self._iterable: Any = None
        self._job: Job | None = None
        self._replies: SimpleQueue[Job] = SimpleQueue()
        self._mailbox = Mailbox(source.name, self._replies.put)
        self._guard = self._mailbox.start(self._opened)

    # For the consumer.

    def open(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call the factory, within the time for the first item."""
        return self._ask_in_time(partial(self._call, factory, args))

    def iterate(self, iterable: Any) -> Any:
        """Call `iter`, within the time for the first item."""
        if type(iterable) is GeneratorType:
            return iterable  # pyright: ignore[reportUnknownVariableType]  # no need to ask
        return self._ask_in_time(partial(self._iterate, iterable))

    def pull(self, call: Callable[[], Any]) -> Any:
        """Have the source produce an item, within the time for it."""
        self._deadline.check_stream()
        return self._ask_in_time(call)

    def throw(self, throw: Callable[..., Any], *thrown: Any) -> Any:
        """Throw an error into the source, without a time limit."""
        call = partial(throw, *thrown)
        del throw, thrown  # or the traceback holds this frame, and this frame the error
        try:
            return self._ask(call, inf)
        finally:
            del call

    def close(self, opened: Any) -> None:
        """Close what was opened, and wait until it is closed, without a time limit.

        Do not wait if the source is blocked, nor in a finalizer. `generator.close()` runs the same
        code whether the consumer calls it or the garbage collector, but a weak reference tells
        which: when an object is finalized, its weak references are dead already. (Those without a
        callback are not, since Python 3.15.) This covers `del stream`, the end of a loop that the
        consumer leaves, and the collection of a cycle, even if the stream is part of another
        generator in that cycle.
        """
        if self._is_blocked:
            self._abandon()
        if not self._may_wait:
            self.stop()
        elif not has_ended(opened):
            self._on_abandon = None
            self._ask(partial(self._close, opened), inf)

    def stop(self) -> None:
        """End the thread, which first closes what is still open; return at once."""
        self._mailbox.gone = "after its source was closed"
        self._guard.close()

    @property
    def _is_blocked(self) -> bool:
        """Whether the last job is not finished: an interrupt ended the wait for it."""
        return self._job is not None and not self._job.finished

    @property
    def _may_wait(self) -> bool:
        if self._mailbox.gone or sys.is_finalizing():
            return False
        if self._stream is not None and self._stream() is None:
            return False
        return threading.get_ident() != self._mailbox.owner

    def _ask_in_time(self, call: Callable[[], Any]) -> Any:
        until = self._deadline.until()
        return self._ask(call, until if until == inf else until - self._deadline.now())

    def _ask(self, call: Callable[[], Any], seconds: float) -> Any:
        """Have the thread make a call, and wait for the outcome.

        An interrupt may come at any point. `_job` says afterwards whether the source is blocked,
        and replies to earlier jobs are ignored.
        """
        if self._mailbox.gone:
            raise mark_usage_error(
                RuntimeError(f"a stream with a timeout cannot be continued {self._mailbox.gone}")
            )
        self._job = job = Job(call)
        del call
        try:
            self._mailbox.requests.put(job)
            while self._get(self._replies, seconds) is not job:
                pass
        except Empty:
            pass
        except BaseException as error:
            self.interruption = error
            if not job.finished:
                self._abandon()
            raise
        if not job.finished:
            self._abandon()
            raise self._deadline.expired()
        return job.take()

    def _abandon(self) -> None:
        """Leave the blocked source to its thread."""
        on_abandon, self._on_abandon = self._on_abandon, None
        self.abandoned = True
        try:
            if on_abandon is not None:
                on_abandon(self._iterable)
        except Exception as error:
            log_abandoned(self._name, error, "when it was aborted")
        finally:
            self.stop()

    # In the thread.

    def _call(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        self._iterable = iterable = factory(*args)
        self._keep(iterable)
        return iterable

    def _iterate(self, iterable: Any) -> Any:
        iterator = iter(iterable)
        if iterator is not iterable:
            self._keep(iterator)
        return iterator

    def _close(self, opened: Any) -> None:
        for index, each in enumerate(self._opened):
            if each is opened:
                del self._opened[index]
                close(opened)
                return


def _ignore(_: object) -> None:
    """Record nothing: the source is not ours to close."""


class Remote:
    """A proxy for an iterable or iterator in the thread of a worker."""

    __slots__ = ("_next", "_opened", "_worker")

    def __init__(self, worker: Worker, opened: Any) -> None:
        self._worker = worker
        self._opened = opened
        self._next = partial(next, opened)

    def __iter__(self) -> Iterator[Any]:
        """Return a proxy for the iterator."""
        iterator = self._worker.iterate(self._opened)
        return self if iterator is self._opened else Remote(self._worker, iterator)

    def __next__(self) -> Any:
        """Pull an item."""
        return self._worker.pull(self._next)

    @property
    def send(self) -> Callable[[Any], Any]:
        """A pull that sends a value, if the source has a `send`."""
        send = self._opened.send
        return lambda value: self._worker.pull(partial(send, value))

    @property
    def throw(self) -> Callable[..., Any]:
        """The `throw` of the source, if it has one."""
        return partial(self._worker.throw, self._opened.throw)

    def close(self) -> None:
        """Close the source."""
        self._worker.close(self._opened)
