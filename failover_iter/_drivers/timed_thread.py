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
from failover_iter._drivers.closing import has_ended
from failover_iter._drivers.mailbox import Job
from failover_iter._drivers.source_thread import SourceThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from failover_iter._core.deadlines import SourceDeadline
    from failover_iter._core.sources import ResolvedSource
    from failover_iter._source import Abort


class Worker:
    """The consumer's side of the thread of one attempt."""

    #: The last error of the source, from opening or pulling it. Nothing else is its failure.
    raised: BaseException | None = None

    def __init__(
        self,
        source: ResolvedSource,
        deadline: SourceDeadline,
        stream: Callable[[], object] | None,
        abort: tuple[Abort, dict[str, Any]] | None,
        replies: SimpleQueue[Job] | None = None,
    ) -> None:
        """Start the thread.

        Args:
            source: The source.
            deadline: How long to wait for it.
            stream: A weak reference to the stream, with a callback (see `close`).
            abort: Makes the source return when it blocks (see `SourceThread`).
            replies: Where the thread says that it has done a job, if others do so too.
        """
        self._deadline = deadline
        self._stream = stream
        self._get = clock.get().get
        self._job: Job | None = None
        self._replies: SimpleQueue[Job] = replies or SimpleQueue()
        self.thread = SourceThread(
            source.name,
            self._replies.put,
            owned=source.owned,
            closer=source.closer,
            abort=abort,
        )

    @property
    def abandoned(self) -> bool:
        """Whether the source was left while it was blocked."""
        return self.thread.abandoned

    def open(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call the factory, within the time for the first item."""
        return self._ask_in_time(partial(self.thread.open, factory, args))

    def proxy(self, opened: Any) -> Remote:
        """Return a proxy for what the factory returned."""
        return Remote(self, opened)

    def iterate(self, iterable: Any) -> Any:
        """Call `iter`, within the time for the first item."""
        if type(iterable) is GeneratorType:
            return iterable  # pyright: ignore[reportUnknownVariableType]  # no need to ask
        return self._ask_in_time(partial(self.thread.iterate, iterable))

    def pull(self, call: Callable[[], Any]) -> Any:
        """Have the source produce an item, within the time for it."""
        self._deadline.check_stream()
        return self._ask_in_time(call)

    def throw(self, throw: Callable[..., Any], *thrown: Any) -> Any:
        """Throw an error into the source, without a time limit."""
        call = partial(throw, *thrown)
        del throw, thrown  # or the traceback holds this frame, and this frame the error
        try:
            return self._ask(call, inf).take()
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
            self.thread.abandon()
        if not self._may_wait:
            self.thread.stop()
        elif not has_ended(opened) or self.thread.closes_what_ended:
            self.thread.begin_to_close()
            self._ask(partial(self.thread.close, opened), inf).take()

    def stop(self) -> None:
        """End the thread, which first closes what is still open; return at once."""
        self.thread.stop()

    @property
    def _is_blocked(self) -> bool:
        """Whether the last job is not finished: an interrupt ended the wait for it."""
        return self._job is not None and not self._job.finished

    @property
    def _may_wait(self) -> bool:
        if self.thread.mailbox.gone or sys.is_finalizing():
            return False
        if self._stream is not None and self._stream() is None:
            return False
        return threading.get_ident() != self.thread.mailbox.owner

    def _ask_in_time(self, call: Callable[[], Any]) -> Any:
        until = self._deadline.until()
        return self.outcome(
            self._ask(call, until if until == inf else until - self._deadline.now())
        )

    def _ask(self, call: Callable[[], Any], seconds: float) -> Job:
        """Have the thread make a call, and wait until it has, or the time is up.

        An interrupt may come at any point. `_job` says afterwards whether the source is blocked,
        and replies to earlier jobs are ignored.
        """
        job = self._new_job(call)
        del call
        try:
            self.thread.mailbox.requests.put(job)
            while self._get(self._replies, seconds, (job,)) is not job:
                pass
        except Empty:
            pass
        except BaseException:
            self.abandon()
            raise
        return job

    def _new_job(self, call: Callable[[], Any]) -> Job:
        gone = self.thread.mailbox.gone
        if gone:
            text = f"a stream with a timeout cannot be continued {gone}"
            raise mark_usage_error(RuntimeError(text))
        self._job = job = Job(call)
        return job

    # For one who waits for several threads.

    def post(self, call: Callable[[], Any]) -> Job:
        """Have the thread make a call, and do not wait."""
        job = self._new_job(call)
        self.thread.mailbox.requests.put(job)
        return job

    def outcome(self, job: Job) -> Any:
        """Return the result of a job, or raise its error; its time is up if it is not finished."""
        if not job.finished:
            self.thread.abandon()
            raise self._deadline.expired()
        self.raised = job.error
        return job.take()

    def abandon(self) -> None:
        """Leave the source, if it is blocked, to its thread."""
        if self._is_blocked:
            self.thread.abandon()

    def leave(self) -> BaseException | None:
        """Abandon the source if it is blocked, or else wait until all that it opened is closed.

        Returns the error of closing it. What this raises comes from a signal handler.
        """
        try:
            self.abandon()
            if self.abandoned or not self._may_wait:
                return None
            self.thread.begin_to_close()
            job = self._ask(self.thread.close_all, inf)
            error, job.error = job.error, None  # or the thread takes it for a late one
            return error
        finally:
            self.thread.stop()


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
