"""Time that passes without anybody waiting for it: the clock of blocking runs."""

from __future__ import annotations

import threading
from typing import Final

#: Where virtual clocks begin: not at 0, so that a time is not taken for a duration.
EPOCH: Final = 1000.0
#: How the threads are called in which failover_iter pulls sources with a time limit.
WORKERS: Final = "failover_iter: "


class _Sleeper:
    """A thread of a source that sleeps."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.wakes = threading.Event()
        self.thread = threading.current_thread()


class VirtualClock:
    """A clock whose sleep takes no time.

    The sources of a blocking run sleep on it, and so do the streams of failover_iter inside. A
    pipeline that waits by other means can be given its `sleep` and `time`.

    Where a stream pulls its sources in threads, to limit their time, the clock jumps when the
    consumer waits for a source that sleeps: to the end of that sleep or of the wait, whichever
    comes first. A source that nobody waits for any more sleeps until `wake_all`.

    Example:
        >>> from failover_iter.testing import VirtualClock
        >>> clock = VirtualClock()
        >>> began = clock.time()
        >>> clock.sleep(3600)
        >>> clock.time() - began, clock.slept
        (3600.0, [3600])
    """

    def __init__(self) -> None:
        """Begin at some time that is no 0."""
        self.now = EPOCH
        self.slept: list[float] = []
        self._guard = threading.Lock()
        self._waiting: tuple[threading.Lock, float] | None = None
        self._in_time = True
        self._sleeper: _Sleeper | None = None
        self._late: list[_Sleeper] = []

    def time(self) -> float:
        """Seconds on a clock that only goes forward."""
        return self.now

    def sleep(self, seconds: float, /) -> None:
        """Let so many seconds pass; in a thread with a time limit, as far as that allows."""
        if not threading.current_thread().name.startswith(WORKERS):
            self.slept.append(seconds)
            self.now += seconds
            return
        sleeper = _Sleeper(self.now + seconds)
        with self._guard:
            self._sleeper = sleeper
            self._jump()
        sleeper.wakes.wait()

    def acquire(self, lock: threading.Lock, seconds: float, /) -> bool:
        """Wait for a lock that a thread will release, for so many seconds at most."""
        with self._guard:
            self._waiting, self._in_time = (lock, self.now + seconds), True
            self._jump()
        lock.acquire()  # the thread, or the clock, releases it
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
        """Let the sources that were abandoned come back, and wait until they have."""
        for sleeper in self._late:
            sleeper.wakes.set()
            sleeper.thread.join()
