"""Pulling a blocking source under a time limit: the source lives in its own thread.

Python cannot interrupt a blocked thread. So each attempt of a timed stream starts a daemon thread
with one copy of the context. That thread calls the factory, pulls the source and closes it, one
job at a time, and only when the consumer asks. When time is up, the consumer goes on alone, and
the thread closes the source as soon as the blocked call returns.

Four rules prevent leaks and deadlocks:

1. The thread that opens something closes it. The list `opened` says what is open. Only jobs change
   it, and jobs run in the thread, where no signal handler runs.
2. An idle thread refers to its mailbox, never to `opened`. So the garbage collector finds a stream
   that forms a cycle with its source.
3. The thread ends when it receives `opened`, and it closes everything in that list first. The
   guard sends it (see `_guard`), at the latest when nothing refers to the guard any more. So no
   interrupt of the consumer can leave a thread or an open source behind.
4. Only an explicit `close()` waits until the source is closed. A finalizer sends `opened` and
   returns: it may have interrupted code that holds a lock which the source needs. See
   `Worker.close` for how the two are told apart.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from _thread import start_new_thread
from contextlib import ExitStack, suppress
from contextvars import Context, copy_context
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn
from weakref import ref

from failover_iter._drivers.clock import clock
from failover_iter._drivers.closing import close, has_ended
from failover_iter._drivers.log import log_abandoned
from failover_iter.errors import wrong_use

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from failover_iter._core.deadlines import Limits
    from failover_iter._core.sources import Entry

#: How long the interpreter's exit waits, in total, for sources to close.
EXIT_SECONDS: Final = 1.0

#: The mailboxes that have a running thread. The thread adds and removes its own.
_served: set[Mailbox] = set()


class Job:
    """A call to make in the thread, and its outcome."""

    __slots__ = ("call", "error", "finished", "result")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call: Callable[[], Any] | None = call
        self.result: Any = None
        self.error: BaseException | None = None
        #: Whether there is an outcome. Set in the thread, after the outcome itself.
        self.finished = False

    def run(self) -> None:
        """Make the call, in the thread."""
        call: Any
        call, self.call = self.call, None  # it may hold an error that was thrown in
        try:
            self.result = call()
        except BaseException as error:  # the consumer raises it
            self.error = error
        finally:
            del call
        self.finished = True

    def take(self) -> Any:
        """Return the result or raise the error; either is then forgotten here."""
        if self.error is not None:
            self._raise()
        result, self.result = self.result, None
        return result

    def _raise(self) -> NoReturn:
        error: Any
        error, self.error = self.error, None
        context = error.__context__
        try:
            raise error
        finally:  # restore the context: `raise` set it to what the consumer is handling
            error.__context__ = context
            del error, context


class Mailbox:
    """All that an idle thread refers to: the queue of requests, and how to reply.

    A request is a `Job`. Once it has run, the thread calls `reply(job)`, which must not raise. The
    request that ends the thread is the list `opened`.
    """

    __slots__ = (
        "__weakref__",
        "consumer",
        "gone",
        "guard",
        "name",
        "owner",
        "reply",
        "requests",
        "running",
        "state",
    )

    guard: ref[Generator[None, None, None]]

    def __init__(self, name: str, reply: Callable[[Job], object]) -> None:
        self.name = name
        self.reply = reply
        #: `put` is written in C and is reentrant: finalizers and signal handlers may call it.
        self.requests: SimpleQueue[Job | list[Any]] = SimpleQueue()
        self.state: Literal["idle", "busy", "closing"] = "idle"
        #: Why the thread takes no more jobs; empty while it does.
        self.gone = ""
        #: Held by the thread while it runs.
        self.running = threading.Lock()
        #: The thread that asks, and the one that answers.
        self.consumer = threading.get_ident()
        self.owner = 0

    def start(self, opened: list[Any]) -> Generator[None, None, None]:
        """Start the thread. Return its guard: closing or deleting the guard ends the thread.

        Only a C function may do this in the consumer's thread. `Thread.start` is written in
        Python: Ctrl-C inside it corrupts its locks, or leaves a thread that nobody knows. So it is
        called from a thread that serves no other purpose.
        """
        guard = _guard(self.requests.put, opened)
        next(guard)
        self.guard = ref(guard)
        start_new_thread(_start, (self, copy_context()))
        return guard

    def serve(self) -> None:
        """Run jobs until `opened` arrives, then close what it lists."""
        with self.running:
            self.owner = threading.get_ident()
            _served.add(self)
            try:
                self._serve()
            finally:
                _served.discard(self)

    def _serve(self) -> None:
        late: list[BaseException] = []
        job: Job | None = None
        while True:
            request = self.requests.get()
            if job is not None and job.error is not None:
                late.append(job.error)  # the consumer had gone on before it took this
            if not isinstance(request, Job):
                break
            self.state = "busy"
            job = request
            del request
            job.run()
            self.state = "idle"  # before the reply, after which the interpreter may exit
            self.reply(job)
        self.state = "closing"
        self.close_late(request, [error for error in late if not isinstance(error, StopIteration)])

    def close_late(self, opened: list[Any], late: list[BaseException]) -> None:
        """Close what is open. Nobody waits for it, so errors go to the log."""
        told = [(error, "after it was abandoned") for error in late]
        for each in reversed(opened):
            try:
                close(each)
            except BaseException as error:
                told.append((error, "while its thread closed it"))
        with ExitStack() as logging:  # a log handler that raises does not hide the next error
            for late_error, when in reversed(told):
                logging.callback(log_abandoned, self.name, late_error, when)


def _guard(put: Callable[[list[Any]], None], opened: list[Any]) -> Generator[None, None, None]:
    """Send `opened` to the thread when this generator is closed, or deleted.

    A generator is better than `__del__` or a `weakref.finalize`: closing or deleting it resumes it
    right at the `finally`, and the interpreter checks for signals only after the call of `put`. A
    function is checked when it is entered, so a signal could end it before its first line.
    """
    try:
        yield
    finally:
        put(opened)


def _start(mailbox: Mailbox, context: Context) -> None:
    """Start the thread of a mailbox, from a thread in which no signal handler runs."""
    name = f"failover_iter: {mailbox.name}"
    thread = threading.Thread(target=context.run, args=(mailbox.serve,), name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the system allows no more threads, but this one will do
        context.run(mailbox.serve)


class Worker:
    """The consumer's side of the thread of one attempt."""

    #: Whether the source was left while it was blocked.
    abandoned = False

    def __init__(
        self,
        entry: Entry,
        limits: Limits,
        stream: Callable[[], object] | None = None,
        on_abandon: Callable[[Any], object] | None = None,
    ) -> None:
        """Start the thread.

        Args:
            entry: The source.
            limits: How long to wait for it.
            stream: A weak reference to the stream, with a callback (see `close`).
            on_abandon: Called once, in the consumer's thread, when a blocked source is abandoned,
                with what the factory returned, or None if it has not returned. The thread starts
                to close only after this has returned. Not called when closing blocks.
        """
        self._name = entry.name
        self._limits = limits
        self._stream = stream
        self._on_abandon = on_abandon
        self._get = clock.get().get
        self._opened: list[Any] = []  # the iterator last
        self._keep = self._opened.append if entry.owned else _ignore
        self._iterable: Any = None
        self._job: Job | None = None
        self._replies: SimpleQueue[Job] = SimpleQueue()
        self._mailbox = Mailbox(entry.name, self._replies.put)
        self._guard = self._mailbox.start(self._opened)

    # For the consumer.

    def open(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call the factory, within the time for the first item."""
        return self._ask_in_time(partial(self._call, factory, args))

    def iterate(self, iterable: Any) -> Any:
        """Call `iter`, within the time for the first item."""
        if isinstance(iterable, GeneratorType):
            return iterable  # no need to ask
        return self._ask_in_time(partial(self._iterate, iterable))

    def pull(self, call: Callable[[], Any]) -> Any:
        """Have the source produce an item, within the time for it."""
        self._limits.check_stream()
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
        if has_ended(opened):
            return
        if self._may_wait:
            self._on_abandon = None
            self._ask(partial(self._close, opened), inf)
        else:
            self.stop()

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
        until = self._limits.until()
        return self._ask(call, until if until == inf else until - self._limits.now())

    def _ask(self, call: Callable[[], Any], seconds: float) -> Any:
        """Have the thread make a call, and wait for the outcome.

        An interrupt may come at any point. `_job` says afterwards whether the source is blocked,
        and replies to earlier jobs are ignored.
        """
        if self._mailbox.gone:
            raise wrong_use(
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
        except BaseException:
            if not job.finished:
                self._abandon()
            raise
        if not job.finished:
            self._abandon()
            raise self._limits.over()
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


def _close_at_exit() -> None:
    """Close the streams that are still open when the interpreter exits.

    Daemon threads still run at this point. A blocked source is left alone, and so is a stream whose
    consumer is a daemon thread: it may be pulling the source.
    """
    deadline = monotonic() + EXIT_SECONDS
    consumers = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    closing: list[Mailbox] = []
    for mailbox in list(_served):
        if mailbox.state == "idle" and mailbox.consumer not in consumers:
            mailbox.gone = "while the interpreter exits"
            guard = mailbox.guard()
            if guard is not None:
                with suppress(ValueError):  # it is being closed already
                    guard.close()
        elif mailbox.state != "closing":
            continue
        closing.append(mailbox)
    for mailbox in closing:
        mailbox.running.acquire(timeout=max(0.0, deadline - monotonic()))


def _leave_threads_behind() -> None:
    """Say to each stream that its thread does not exist in a forked child."""
    for mailbox in _served:
        mailbox.gone = "in a forked child process: its thread exists only in the parent"
    _served.clear()


atexit.register(_close_at_exit)
if hasattr(os, "register_at_fork"):  # pragma: no branch (Windows has no fork)
    os.register_at_fork(after_in_child=_leave_threads_behind)
