"""Pulling a blocking source with a limit of time: in a thread of its own.

Python cannot interrupt a blocked thread. So the source lives in a daemon thread, one for each
attempt, in one copy of the context, and does one thing at a time that the consumer asks for: the
factory is called there, the source pulled and closed. A consumer that has waited for long enough
goes on alone, and the thread closes the source as soon as that comes back.
"""

from __future__ import annotations

import sys
import threading
from contextvars import copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NoReturn

from failover_iter._clock import clock
from failover_iter._closing import close
from failover_iter._log import log_abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from failover_iter._entries import Entry
    from failover_iter._limits import Limits


class Worker:
    """The thread of one attempt: it does what it is asked for, one thing at a time."""

    def __init__(self, entry: Entry, limits: Limits) -> None:
        """Start the thread."""
        self._entry = entry
        self._limits = limits
        self._acquire = clock.get().acquire
        # Taken by who has to wait: the thread for a job, the consumer for what comes of it.
        self._asked, self._answered = threading.Lock(), threading.Lock()
        self._asked.acquire()
        self._answered.acquire()
        self._job: Callable[[], Any] | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        # Who takes it decides whether the job was done in time; to pop is atomic.
        self._open_question: list[None] = []
        self._opened: list[Any] = []  # what has to be closed, the iterator last
        self.abandoned = False
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self._work,),
            name=f"failover_iter: {entry.name}",
            daemon=True,
        )
        self._thread.start()

    # For the consumer.

    def open(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call the factory, in the time until its first item."""
        return self._do(partial(self._keep, factory, args), self._limits.until())

    def iterate(self, iterable: Any) -> Any:
        """Call `iter`, in the time until the first item."""
        return self._do(partial(self._iterate, iterable), self._limits.until())

    def pull(self, job: Callable[[], Any]) -> Any:
        """Have an item made, in the time that there is for it."""
        self._limits.check_stream()
        return self._do(job, self._limits.until())

    def throw(self, throw: Callable[..., Any], *thrown: Any) -> Any:
        """Throw into the source, and wait for as long as that takes."""
        return self._do(partial(throw, *thrown), inf)

    def close(self, opened: Any) -> None:
        """Close what was opened, and wait for as long as that takes."""
        job = partial(self._close, opened)
        if threading.get_ident() == self._thread.ident:
            job()  # the garbage collector closes a stream in whatever thread it happens to run
        elif sys.is_finalizing():
            self.abandoned = True  # the thread does not run any more: nobody would answer
        elif not self.abandoned:
            self._do(job, inf)

    def stop(self) -> None:
        """Let the thread end."""
        if not self.abandoned:
            self._asked.release()
            if threading.get_ident() != self._thread.ident:
                self._thread.join()

    def _do(self, job: Callable[[], Any], until: float) -> Any:
        # Nothing between asking and waiting: what runs there the thread has to wait for.
        seconds = until if until == inf else until - self._limits.now()
        self._job = job
        self._open_question.append(None)
        try:
            self._asked.release()
            if not self._acquire(self._answered, seconds) and not self._abandon():
                self._answered.acquire()  # it came at the last moment
        except BaseException:  # the consumer is interrupted, by Ctrl-C say
            self._abandon()
            raise
        if self.abandoned:
            raise self._limits.over()
        result, self._result = self._result, None
        if self._error is not None:
            self._raise()
        return result

    def _raise(self) -> NoReturn:
        error: Any
        error, self._error = self._error, None
        context = error.__context__
        try:
            raise error
        finally:  # its own context, not what the consumer is handling just now
            error.__context__ = context
            del error, context

    def _abandon(self) -> bool:
        if not self.abandoned:
            self.abandoned = _pops(self._open_question)
        return self.abandoned

    # In the thread.

    def _work(self) -> None:
        while True:
            self._asked.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            try:
                self._result = job()
            except BaseException as error:  # whatever it is, it is for the consumer
                self._error = error
            del job
            if not _pops(self._open_question):
                self._come_back()
                return
            self._answered.release()

    def _keep(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        opened = factory(*args)
        self._opened.append(opened)
        return opened

    def _iterate(self, iterable: Any) -> Any:
        iterator = iter(iterable)
        if iterator is not iterable:
            self._opened.append(iterator)
        return iterator

    def _close(self, opened: Any) -> None:
        self._opened = [other for other in self._opened if other is not opened]
        close(opened)

    def _come_back(self) -> None:
        """Close what the consumer does not wait for any more; nobody but the log is told."""
        late, self._result, self._error = self._error, None, None
        if late is not None and not isinstance(late, StopIteration):
            log_abandoned(self._entry.name, "raised", late)
        if self._entry.owned:
            for opened in reversed(self._opened):
                try:
                    close(opened)
                except BaseException as error:
                    log_abandoned(self._entry.name, "raised when it was closed", error)


def _pops(question: list[None]) -> bool:
    try:
        question.pop()
    except IndexError:
        return False
    return True


class Remote:
    """Stands for an iterable or iterator that lives in the thread of a worker."""

    __slots__ = ("_opened", "_worker")

    def __init__(self, worker: Worker, opened: Any) -> None:
        """Stand for this one."""
        self._worker = worker
        self._opened = opened

    def __iter__(self) -> Iterator[Any]:
        """Give what stands for the iterator."""
        iterator = self._worker.iterate(self._opened)
        return self if iterator is self._opened else Remote(self._worker, iterator)

    def __next__(self) -> Any:
        """Pull."""
        return self._worker.pull(self._opened.__next__)

    @property
    def send(self) -> Callable[[Any], Any]:
        """A pull like any other, where the source has a `send`."""
        send = self._opened.send
        return lambda value: self._worker.pull(partial(send, value))

    @property
    def throw(self) -> Callable[..., Any]:
        """The source's own, where it has one."""
        return partial(self._worker.throw, self._opened.throw)

    def close(self) -> None:
        """Close the source."""
        self._worker.close(self._opened)
