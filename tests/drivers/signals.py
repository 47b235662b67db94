"""A signal handler that raises, at each point of the library where Python may run it."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import failover_iter
from failover_iter import Progress
from support.flavour import AsyncFlavour, SyncFlavour

needs_monitoring = pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")

HOUSE = Path(failover_iter.__file__).parent
# Before Python 3.14, an exception in a JUMP event skips the handlers and `finally` of the frame.
SEES_JUMPS = sys.version_info >= (3, 14)
WATCHED = (str(HOUSE / "_core"), str(HOUSE / "_drivers"))


class Soft(Exception):
    """Raised by a signal handler, as a soft time limit does; `retry_on` lists it."""


def is_watched(code: Any) -> bool:
    return code.co_filename.startswith(WATCHED)  # type: ignore[no-any-return]  # of a string


def in_finalizer() -> bool:
    """Whether a `__del__` is on the stack."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "__del__":
            return True
    return False


class Signal:
    """Raises `Soft` in the library, at the check for signals with this number.

    Python runs signal handlers when a function starts or goes on, when a call has returned, and
    when a loop jumps back.
    """

    def __init__(self, number: int) -> None:
        self.left = number
        self.thread = threading.get_ident()  # handlers run in the main thread

    def check(self, code: Any, *_: object) -> Any:
        if not is_watched(code):
            return sys.monitoring.DISABLE  # this place costs no more time
        if threading.get_ident() != self.thread:
            return None
        self.left -= 1
        # An exception in a `__del__` is only printed: there, wait for the next check.
        if self.left > 0 or in_finalizer():
            return None
        self.rest()
        raise Soft

    def call(self, code: Any, *_: object) -> Any:
        return None if is_watched(code) else sys.monitoring.DISABLE

    def returned(self, code: Any, *_: object) -> None:
        if is_watched(code):  # Python disables it with the call
            self.check(code)

    def jump(self, code: Any, offset: int, to: int) -> Any:
        return self.check(code) if to < offset else sys.monitoring.DISABLE

    @staticmethod
    def rest() -> None:
        sys.monitoring.set_events(sys.monitoring.DEBUGGER_ID, 0)

    @contextmanager
    def armed(self) -> Iterator[None]:
        tool, events = sys.monitoring.DEBUGGER_ID, sys.monitoring.events
        callbacks = {
            events.PY_START: self.check,
            events.PY_RESUME: self.check,
            events.CALL: self.call,
            events.C_RETURN: self.returned,
            events.JUMP: self.jump,
        }
        sys.monitoring.use_tool_id(tool, "signal")
        gc.disable()  # an exception in a finalizer of an earlier stream would only be printed
        try:
            for event, callback in callbacks.items():
                sys.monitoring.register_callback(tool, event, callback)
            wanted = events.PY_START | events.PY_RESUME | events.CALL
            sys.monitoring.set_events(tool, wanted | events.JUMP if SEES_JUMPS else wanted)
            yield
        finally:
            self.rest()
            for event in callbacks:
                sys.monitoring.register_callback(tool, event, None)
            sys.monitoring.free_tool_id(tool)
            gc.enable()


def drain_into(got: list[int], flavour: SyncFlavour, stream: Any) -> None:
    if isinstance(flavour, AsyncFlavour):

        async def drain() -> None:
            async for item in stream:
                got.append(item)

        flavour.run(drain())
    else:
        got.extend(stream)


class Sources:
    """Counts what it opens and closes. The first source fails after three of six items."""

    def __init__(self) -> None:
        self.opened: list[Numbers] = []

    def started(self) -> Numbers:
        return self.open(0)

    def resumed(self, progress: Progress[int]) -> Numbers:
        return self.open(progress.delivered)

    def open(self, start: int) -> Numbers:
        source = Numbers(start, fails=not self.opened)
        self.opened.append(source)
        return source


class Numbers:
    def __init__(self, start: int, *, fails: bool) -> None:
        self.next = start
        self.fails = fails
        self.closed = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if self.fails and self.next == 3:
            raise ConnectionError("reset by peer")
        if self.next == 6:
            raise StopIteration
        self.next += 1
        return self.next - 1

    def close(self) -> None:
        self.closed += 1

    # The async flavour.

    def __aiter__(self) -> Numbers:
        return self

    async def __anext__(self) -> int:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self.close()
