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

from failover_iter._drivers.clock import clock, is_abandoned
from failover_iter._drivers.closing import close
from failover_iter._drivers.log import log_abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from failover_iter._core.deadlines import Limits
    from failover_iter._core.sources import Entry


class _Job:
    """One thing to do, and what came of it."""

    __slots__ = ("answered", "call", "error", "is_open", "result", "worker")

    def __init__(self, worker: Worker, call: Callable[[], Any]) -> None:
        self.worker = worker
        self.call: Callable[[], Any] | None = call
        self.result: Any = None
        self.error: BaseException | None = None
        #: The consumer waits for it.
        self.answered = threading.Lock()
        self.answered.acquire()
        #: Who takes what is in here decides whether it was done in time; to pop is atomic.
        self.is_open: list[None] = [None]

    def decide(self) -> bool:
        """Decide it; False: the other side has done so before."""
        try:
            self.is_open.pop()
        except IndexError:
            return False
        return True

    def do(self) -> bool:
        """Do it, in the thread; False: nobody has waited for it."""
        call: Any
        call, self.call = self.call, None  # it may hold what is thrown
        try:
            self.result = call()
        except BaseException as error:  # whatever it is, it is for the consumer
            self.error = error
        finally:
            del call
        if self.decide():
            self.answered.release()
            return True
        self.worker.come_back(self.error)
        return False


class _Desk:
    """Where the jobs of a thread are put down: all that it holds on to while it is idle.

    So a stream that is let go in a cycle with its source is found by the garbage collector.
    """

    __slots__ = ("abandoned", "asked", "job")

    def __init__(self) -> None:
        self.abandoned = False
        self.job: _Job | None = None
        self.asked = threading.Lock()  # the thread waits for it
        self.asked.acquire()

    def serve(self) -> None:
        """Do what is put down, until there is nothing."""
        is_abandoned.set(lambda: self.abandoned)
        while True:
            self.asked.acquire()
            job, self.job = self.job, None
            if job is None or not job.do():
                return
            del job


class Worker:
    """The thread of one attempt, for its consumer: it does one thing at a time."""

    def __init__(self, entry: Entry, limits: Limits) -> None:
        """Start the thread."""
        self._entry = entry
        self._limits = limits
        self._acquire = clock.get().acquire
        self._opened: list[Any] = []  # what has to be closed, the iterator last
        self._desk = desk = _Desk()
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(desk.serve,),
            name=f"failover_iter: {entry.name}",
            daemon=True,
        )
        self._thread.start()

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the source any more."""
        return self._desk.abandoned

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
        job = partial(throw, *thrown)
        del throw, thrown  # or the traceback holds this frame, and this frame the error
        try:
            return self._do(job, inf)
        finally:
            del job

    def close(self, opened: Any) -> None:
        """Close what was opened, and wait for as long as that takes."""
        job = partial(self._close, opened)
        if threading.get_ident() == self._thread.ident:
            job()  # the garbage collector closes a stream in whatever thread it happens to run
        elif not self._is_gone():
            self._do(job, inf)

    def stop(self) -> None:
        """Let the thread end."""
        if not self._is_gone():
            self._desk.asked.release()
            if threading.get_ident() != self._thread.ident:
                self._thread.join()

    def _is_gone(self) -> bool:
        """Whether nobody would answer: no thread outlives a fork, nor the interpreter's exit."""
        return self.abandoned or sys.is_finalizing() or not self._thread.is_alive()

    def _do(self, call: Callable[[], Any], until: float) -> Any:
        desk = self._desk
        desk.job = job = _Job(self, call)
        del call
        # Nothing between asking and waiting: what runs there the thread has to wait for.
        seconds = until if until == inf else until - self._limits.now()
        try:
            desk.asked.release()
            if not self._acquire(job.answered, seconds):
                desk.abandoned = job.decide()
                if not desk.abandoned:
                    job.answered.acquire()  # it came at the last moment
        except BaseException:  # Ctrl-C, say
            desk.abandoned = desk.abandoned or job.decide()
            raise
        if desk.abandoned:
            raise self._limits.over()
        return job.result if job.error is None else _raise(job)

    # In the thread.

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

    def come_back(self, late: BaseException | None) -> None:
        """Close what the consumer does not wait for any more; nobody but the log is told."""
        if late is not None and not isinstance(late, StopIteration):
            log_abandoned(self._entry.name, "raised", late)
        if self._entry.owned:
            for opened in reversed(self._opened):
                try:
                    close(opened)
                except BaseException as error:
                    log_abandoned(self._entry.name, "raised when it was closed", error)


def _raise(job: _Job) -> NoReturn:
    error: Any
    error, job.error = job.error, None
    context = error.__context__
    try:
        raise error
    finally:  # its own context, not what the consumer is handling just now
        error.__context__ = context
        del error, context


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
