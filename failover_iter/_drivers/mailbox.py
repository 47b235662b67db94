"""A thread that owns what it opens: a mailbox for its jobs, how it starts and how it ends.

Three rules prevent leaks and deadlocks:

1. The thread that opens something closes it. The list `opened` says what is open. Only jobs change
   it, and jobs run in the thread, where no signal handler runs.
2. An idle thread refers to its mailbox, never to `opened`. So the garbage collector finds a stream
   that forms a cycle with its source.
3. The thread ends when it receives `opened`, and it closes everything in that list first, each
   object with the function that stands beside it. The
   guard sends it (see `_guard`), at the latest when nothing refers to the guard any more. So no
   interrupt of the consumer can leave a thread or an open source behind.
"""

from __future__ import annotations

import atexit
import os
import threading
from _thread import start_new_thread
from contextlib import ExitStack, suppress
from contextvars import Context, copy_context
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import ref

from failover_iter._core.notes import raise_unchanged
from failover_iter._drivers.log import log_abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

#: How long the interpreter's exit waits, in total, for sources to close.
EXIT_SECONDS: Final = 1.0
#: Why a thread takes no more jobs then.
_EXITS: Final = "while the interpreter exits"

#: The mailboxes that have a running thread. The thread adds and removes its own.
_served: set[Mailbox] = set()


class Job:
    """A call to make in the thread, and its outcome."""

    __slots__ = ("call", "error", "finished", "result", "thread")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call: Callable[[], Any] | None = call
        #: The thread that makes the call, once it has begun.
        self.thread = 0
        self.result: Any = None
        self.error: BaseException | None = None
        #: Whether there is an outcome. Set in the thread, after the outcome itself.
        self.finished = False

    def run(self) -> None:
        """Make the call, in the thread."""
        call: Any
        self.thread = threading.get_ident()
        call, self.call = self.call, None  # it may hold an error that was thrown in
        try:
            self.result = call()
        except BaseException as error:  # noqa: BLE001 (the consumer raises it)
            self.error = error
        finally:
            del call
        self.finished = True
        del self  # or the traceback of the error holds this frame, and this frame the error

    def take(self) -> Any:
        """Return the result or raise the error; either is then forgotten here."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise_unchanged(error)
            finally:
                del error  # or the traceback holds this frame, and this frame the error
        result, self.result = self.result, None
        return result


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
        late: list[tuple[BaseException, str]] = []
        job: Job | None = None
        while True:
            request = self.requests.get()
            if job is not None and not isinstance(job.error, StopIteration | None):
                late.append((job.error, "after it was abandoned"))  # the consumer had gone on
            if not isinstance(request, Job):
                break
            self.state = "busy"
            job = request
            del request
            job.run()
            self.state = "idle"  # before the reply, after which the interpreter may exit
            self.reply(job)
        self.state = "closing"
        del job, self.reply  # they may hold an error whose traceback leads back to this frame
        self.close_late(request, late)

    def close_late(self, opened: list[Any], late: list[tuple[BaseException, str]]) -> None:
        """Close what is open. Nobody waits for it, so errors go to the log, those in `late` too.

        Nothing refers to them then: their tracebacks hold the frames of this thread.
        """
        for each, closing in reversed(opened):
            try:
                closing(each)
            except BaseException as error:  # noqa: BLE001 (there is nobody to raise it to)
                late.append((error, "while its thread closed it"))
        with ExitStack() as logging:  # a log handler that raises does not hide the next error
            while late:
                logging.callback(log_abandoned, self.name, *late.pop())


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


def close_at_exit() -> set[int | None]:
    """Close the sources that are still open when the interpreter exits.

    Daemon threads still run at this point. A blocked source is left alone, and so is a stream whose
    consumer is a daemon thread: it may be pulling the source. Returns these threads.
    """
    deadline = monotonic() + EXIT_SECONDS
    consumers = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    closing: list[Mailbox] = []
    for mailbox in list(_served):
        if mailbox.gone == _EXITS:
            continue  # it was waited for
        if mailbox.state == "idle" and mailbox.consumer not in consumers:
            mailbox.gone = _EXITS
            guard = mailbox.guard()
            if guard is not None:
                with suppress(ValueError):  # it is being closed already
                    guard.close()
        elif mailbox.state != "closing":
            continue
        closing.append(mailbox)
    for mailbox in closing:
        mailbox.running.acquire(timeout=max(0.0, deadline - monotonic()))
    return consumers


def _leave_threads_behind() -> None:
    """Say to each stream that its thread does not exist in a forked child."""
    for mailbox in _served:
        mailbox.gone = "in a forked child process: its thread exists only in the parent"
    _served.clear()


atexit.register(close_at_exit)
if hasattr(os, "register_at_fork"):  # pragma: no branch (Windows has no fork)
    os.register_at_fork(after_in_child=_leave_threads_behind)
