"""Clocks that jump: nothing in the tests sleeps in real time."""

from __future__ import annotations

import asyncio
import selectors
import threading
from typing import Any


class FakeClock:
    """A blocking clock whose sleep takes no time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class _Sleeper:
    """A thread of a source that sleeps."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.wakes = threading.Event()
        self.thread = threading.current_thread()


class ThreadClock(FakeClock):
    """A blocking clock for a consumer and the threads of its sources.

    It jumps when the consumer waits for a source that sleeps: to the end of that sleep or of the
    wait, whichever comes first. A source that is not waited for any more sleeps until the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._consumer = threading.get_ident()
        self._guard = threading.Lock()
        self._waiting: tuple[threading.Lock, float] | None = None
        self._in_time = True
        self._sleeper: _Sleeper | None = None
        self._late: list[_Sleeper] = []

    def sleep(self, seconds: float) -> None:
        if threading.get_ident() == self._consumer:
            super().sleep(seconds)
            return
        sleeper = _Sleeper(self.now + seconds)
        with self._guard:
            self._sleeper = sleeper
            self._jump()
        sleeper.wakes.wait()

    def acquire(self, lock: threading.Lock, seconds: float) -> bool:
        with self._guard:
            self._waiting, self._in_time = (lock, self.now + seconds), True
            self._jump()
        lock.acquire()
        with self._guard:
            self._waiting = None
            return self._in_time

    def _jump(self) -> None:
        if self._waiting is None or self._sleeper is None:
            return
        (lock, until), sleeper, self._sleeper = self._waiting, self._sleeper, None
        self.now = min(until, sleeper.until)
        if sleeper.until <= until:
            sleeper.wakes.set()
        else:
            self._late.append(sleeper)
            self._in_time = False
            lock.release()

    def is_late(self) -> bool:
        """Whether this thread is that of a source that nobody waits for any more."""
        return threading.current_thread() in [sleeper.thread for sleeper in self._late]

    def wake_all(self) -> None:
        """Let what was abandoned come back."""
        for sleeper in self._late:
            sleeper.wakes.set()
            sleeper.thread.join()


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits where nothing is registered to wait for: moves the clock of its loop instead."""

    loop: JumpingLoop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.loop.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when there is nothing else to do."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now
