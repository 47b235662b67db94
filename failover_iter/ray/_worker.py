"""What runs on a worker: a source, and what it sends to the driver."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager, suppress
from functools import partial
from importlib import import_module
from math import inf
from pathlib import Path
from threading import current_thread, main_thread
from time import monotonic
from traceback import format_exception
from types import TracebackType
from typing import Any, Final, NamedTuple, NoReturn, TypeGuard

from failover_iter import Progress, failover_stream

#: After this pause, in seconds, an item is sent at once: only a fast source fills its batches.
_PAUSE: Final = 0.01


def ray_module() -> Any:
    """The package Ray; imported when it is used."""
    return import_module("ray")


class Worker(NamedTuple):
    """Where a task runs."""

    node: str
    pid: int
    #: The name of its process while it runs there, and of no other one.
    name: str


class Batch(NamedTuple):
    """One message of a worker."""

    items: list[Any]
    #: The memo after these items.
    memo: dict[str, Any]
    #: Said once, in the first message.
    worker: Worker | None = None
    #: What ended the source after these items.
    error: Raised | None = None

    def finish(self, memo: dict[str, Any]) -> None:
        """Take over the memo, once the items are delivered, and raise the error."""
        memo.clear()
        memo.update(self.memo)
        if self.error is not None:
            self.error.throw()


def run(source: partial[Iterable[Any]], size: int) -> Generator[Batch]:
    """Run a source on a worker, and yield what it yields, in batches."""
    memo = memo_of(source.args)
    with _interruptible(), _named() as name:
        node = ray_module().get_runtime_context().get_node_id()
        yield Batch([], memo, Worker(node, os.getpid(), name))  # before anything can hang
        yield from _batches(source, size, memo)


def _batches(source: partial[Iterable[Any]], size: int, memo: dict[str, Any]) -> Generator[Batch]:
    items: list[Any] = []
    error = None
    sent = -inf
    raylet = os.getppid()
    kept = memo.get("checkpoint")
    # A stream of this one source closes it, and refuses what is not a source.
    with closing(failover_stream([source], retry_on=_no_error)) as stream:
        try:
            for item in stream:
                if memo.get("checkpoint") is not kept:  # it belongs to this item and the next ones
                    kept = memo.get("checkpoint")
                    yield Batch(items, _sendable(memo))
                    items = []
                items.append(item)
                if len(items) >= size or monotonic() - sent >= _PAUSE:
                    yield Batch(items, _sendable(memo))
                    items = []
                    sent = monotonic()
                    if os.getppid() != raylet:
                        # Nothing can reach an orphan to cancel it.
                        sys.exit("the raylet of this node has died")
        except Exception as raised:  # noqa: BLE001 (the driver raises it, after the items)
            error = Raised.of(raised)
    yield Batch(items, _sendable(memo), error=error)


@contextmanager
def _interruptible() -> Generator[None]:
    """Let Ray cancel a task also where Ctrl-C is ignored, as in all that a shell starts with `&`.

    Ray cancels by `_thread.interrupt_main`, which does nothing then.
    """
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN or current_thread() is not main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _named() -> Generator[str]:
    """Give this process a unique name while a task runs in it, under Linux."""
    name, before = f"ray::{os.urandom(5).hex()}", ""  # Linux keeps 15 characters
    own = Path(f"/proc/{os.getpid()}/comm")
    with suppress(OSError):
        before = own.read_text("utf-8", "replace")
        own.write_text(name, "utf-8")
    try:
        yield name
    finally:
        with suppress(OSError):
            own.write_text(before, "utf-8")


def kill_named(pid: int, name: str) -> None:
    """Kill a worker of this node if the task still runs in it: Ray has asked it in vain to exit.

    That is so if it was stopped, or if it is in C code that lets no other thread run Python.
    """
    with suppress(OSError):  # it has ended, or this is not Linux
        if Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").rstrip("\n") == name:
            os.kill(pid, signal.SIGKILL)


def _no_error(_: Exception) -> bool:
    return False


class Raised(NamedTuple):
    """An error that a source raised on a worker, so that the driver can raise it."""

    pickled: bytes
    where: str

    @classmethod
    def of(cls, error: Exception) -> Raised:
        """Pickle an error, also one whose class does not support that."""
        dumps = ray_module().cloudpickle.dumps
        lines = format_exception(type(error), error, _traceback_of(error))
        where = f"on a Ray worker: {''.join(lines).rstrip()}"
        if type(_copy(error)) is not type(error):  # as of a class with more arguments than `args`
            args = tuple([arg if _pickles(arg) else repr(arg) for arg in error.args])
            state = {name: value for name, value in vars(error).items() if _pickles(value)}
            return cls(dumps(partial(_rebuilt, type(error), args, state)), where)
        return cls(dumps(error), where)

    def throw(self) -> NoReturn:
        """Raise the error on the driver."""
        found: Any = pickle.loads(self.pickled)  # noqa: S301 (as all that comes from a worker)
        error: Exception = found if isinstance(found, Exception) else found()
        del found
        BaseException.add_note(error, self.where)
        try:
            raise error
        finally:
            del error  # its traceback refers to this frame


def _traceback_of(error: Exception) -> TracebackType | None:
    """The traceback from the source on, without the frames of this package."""
    traceback = error.__traceback__
    while traceback and _module_of(traceback).startswith("failover_iter."):
        traceback = traceback.tb_next
    return traceback


def _module_of(traceback: TracebackType) -> str:
    return str(traceback.tb_frame.f_globals.get("__name__"))


def _copy(value: object) -> object:
    """Return what the driver would receive, or None."""
    try:
        return pickle.loads(ray_module().cloudpickle.dumps(value))  # noqa: S301 (our own)
    except Exception:  # noqa: BLE001 (it does not pickle)
        return None


def _pickles(value: object) -> bool:
    return value is None or _copy(value) is not None


def _sendable(memo: dict[str, Any]) -> dict[str, Any]:
    """The memo without what must stay on the worker, such as an open connection."""
    return {name: value for name, value in memo.items() if _pickles(value)}


def _rebuilt(kind: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    """Make an error without its `__init__`."""
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state)
    return error


def memo_of(args: tuple[Any, ...]) -> dict[str, Any]:
    """The memo of the stream, or an empty one if the source is not resumable."""
    return next((arg.memo for arg in args if is_progress(arg)), dict[str, Any]())


def is_progress(arg: object) -> TypeGuard[Progress[Any]]:
    """Whether this is the argument of a resumable factory."""
    return isinstance(arg, Progress)
