"""Time that passes without anybody waiting for it: the clock of blocking runs."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import Any, Final

#: Where virtual clocks begin: not at 0, so that a time is not taken for a duration.
EPOCH: Final = 1000.0
#: How the threads are called in which failover_iter pulls sources with a time limit.
WORKERS: Final = "failover_iter: "
#: A clock puts this into a queue to end the wait for an item.
_TIME_IS_UP: Final = object()


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
        self._waiting: tuple[SimpleQueue[Any], float] | None = None
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

    def get(self, queue: SimpleQueue[Any], seconds: float, /) -> Any:
        """Return the next item of a queue that a thread fills; raise `Empty` when time is up."""
        with self._guard:
            self._waiting = (queue, self.now + seconds)
            self._jump()
        item = queue.get()  # from the thread, or from the clock
        with self._guard:
            self._waiting = None
        if item is _TIME_IS_UP:
            raise Empty
        return item

    def _jump(self) -> None:
        if self._waiting is None or self._sleeper is None:
            return
        (queue, until), sleeper, self._sleeper = self._waiting, self._sleeper, None
        self.now = min(until, sleeper.until)
        if sleeper.until <= until:
            sleeper.wakes.set()
        else:
            self._late.append(sleeper)
            queue.put(_TIME_IS_UP)

    def is_late(self) -> bool:
        """Whether this thread is that of a source that nobody waits for any more."""
        return threading.current_thread() in [sleeper.thread for sleeper in self._late]

    def wake_all(self) -> None:
        """Let the sources that were abandoned come back, and wait until they have."""
        for sleeper in self._late:
            sleeper.wakes.set()
            sleeper.thread.join()
