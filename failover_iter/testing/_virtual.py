"""Virtual time: sleeping takes no real time, neither in sync code nor under asyncio."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: The start of virtual time: not 0, so that code that confuses times and durations fails.
EPOCH: Final = 1000.0
#: How the names of the threads begin in which failover_iter pulls sources with a time limit.
WORKERS: Final = "failover_iter: "
#: How many real seconds a loop waits for a thread or a socket if no timer is set.
PATIENCE: Final = 10.0
#: And how many for the function that runs in a thread, before time goes on to the next timer. After
#: each wait in vain it is a tenth, down to the second of these: the thread may wait for the loop.
THREAD_PATIENCE, LEAST_PATIENCE = 1.0, 0.01
#: A clock puts this into a queue to end the wait for an item.
_TIME_IS_UP: Final = object()


class _Sleeper:
    """A source that sleeps in a thread."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.number = threading.get_ident()
        self.wakes = threading.Event()
        self.thread = threading.current_thread()


class VirtualClock:
    """A clock whose `sleep` takes no real time.

    The sources of a sync run sleep on this clock, and so do failover_iter streams in the pipeline.
    If your pipeline sleeps in another way, make it use `sleep` and `time` of this clock.

    With a time limit, a stream pulls its sources in threads. When the consumer waits for a source
    that sleeps, the clock jumps to the end of the sleep or to the end of the wait, whichever is
    earlier. An abandoned source sleeps until `wake_all`.

    `new_event_loop` returns an asyncio event loop on this clock: it jumps to the next timer when
    there is nothing else to do. While a function runs in an executor, as with
    `asyncio.to_thread`, no time passes.

    Example:
        >>> from failover_iter.testing import VirtualClock
        >>> clock = VirtualClock()
        >>> began = clock.time()
        >>> clock.sleep(3600)
        >>> clock.time() - began, clock.slept
        (3600.0, [3600])
        >>> import asyncio
        >>> with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        ...     runner.run(asyncio.sleep(3600, "an hour later"))
        'an hour later'
        >>> clock.time() - began
        7200.0
    """

    def __init__(self) -> None:
        self.now = EPOCH
        self.slept: list[float] = []
        self._guard = threading.Lock()
        self._waiting: tuple[SimpleQueue[Any], float, Collection[Any] | None] | None = None
        #: The sources that sleep, each in its thread, by the number of that.
        self._sleepers: dict[int, _Sleeper] = {}
        #: Those that nobody waits for.
        self._late: set[int] = set()
        self._is_over = False
        #: When a sleep is interrupted, and by which call.
        self._alarm: tuple[float, Callable[[], object]] | None = None

    def time(self) -> float:
        """Return the virtual time in seconds, which never decreases."""
        return self.now

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return an asyncio event loop with this clock: for `asyncio.Runner(loop_factory=...)`."""
        return _JumpingLoop(self)

    def sleep(self, seconds: float, /) -> None:
        """Let this many seconds pass; in a thread with a time limit, up to that limit."""
        if not threading.current_thread().name.startswith(WORKERS):
            self.slept.append(seconds)
            self._pass(seconds)
            return
        if self.is_late():
            return  # nobody waits for a source that was abandoned, and is woken at the end
        sleeper = _Sleeper(self.now + seconds)
        with self._guard:
            self._sleepers[sleeper.number] = sleeper
            self._jump()
        sleeper.wakes.wait()

    def _pass(self, seconds: float) -> None:
        until = self.now + seconds
        if self._alarm is None or until < self._alarm[0]:
            self.now = until
            return
        (self.now, ring), self._alarm = self._alarm, None
        ring()

    def interrupt_after(self, seconds: float | None, ring: Callable[[], object] = bool) -> None:
        """Let a sleep call `ring` when this time has passed: it raises, as a signal handler may.

        `None` takes it back.
        """
        self._alarm = None if seconds is None else (self.now + seconds, ring)

    def get(
        self, queue: SimpleQueue[Any], seconds: float, jobs: Collection[Any] | None = None, /
    ) -> Any:
        """Return the next item of a queue that threads fill; raise `Empty` when time is up.

        `jobs`: what the threads do, if there are several; otherwise one of them sleeps.
        """
        with self._guard:
            self._waiting = (queue, self.now + seconds, jobs)
            self._jump()
        item = queue.get()  # from the thread, or from the clock
        with self._guard:
            self._waiting = None
        if item is _TIME_IS_UP:
            raise Empty
        return item

    def _jump(self) -> None:
        """Go on to what happens next, if all that are waited for sleep."""
        if self._waiting is None:
            return
        queue, until, jobs = self._waiting
        awaited = self._sleepers.keys() - self._late
        if jobs is not None:
            if any(job.finished or job.thread not in awaited for job in jobs):
                return
            awaited = {job.thread for job in jobs}
        elif not awaited:
            return
        sleepers = [self._sleepers[number] for number in awaited]
        first = min(sleepers, key=lambda sleeper: sleeper.until, default=None)
        if first is not None and first.until <= until:
            self.now = max(self.now, first.until)
            del self._sleepers[first.number]
            first.wakes.set()
        else:
            self.now = max(self.now, until)
            self._waiting = None
            self._late |= awaited if jobs is None else set()
            queue.put(_TIME_IS_UP)

    def is_late(self) -> bool:
        """Whether the current thread belongs to an abandoned source."""
        return self._is_over or threading.get_ident() in self._sleepers

    def wake_all(self) -> None:
        """Wake the abandoned sources, and wait until their threads have ended."""
        self._is_over = True
        while self._sleepers:
            _, sleeper = self._sleepers.popitem()
            sleeper.wakes.set()
            sleeper.thread.join()
        self._is_over = False


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        #: What threads of executors do.
        self.working: set[object] = set()
        self.patience = THREAD_PATIENCE

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            ready = super().select(PATIENCE)
        elif self.working:
            ready = super().select(self.patience)
            if not ready:
                self.patience = max(self.patience / 10, LEAST_PATIENCE)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError(
                "all tasks wait for something that never happens, and no timer is set"
            )
        self.clock.now += timeout
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.selector = _JumpingSelector(clock)
        super().__init__(self.selector)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call a function in a thread; no time passes until it returns, if that is soon."""
        future = super().run_in_executor(executor, func, *args)
        self.selector.working.add(future)
        future.add_done_callback(self.selector.working.discard)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Join the threads, in real time too."""
        self.selector.working.add(self)
        self.selector.patience = PATIENCE  # the loop has nothing else to do
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self.selector.working.discard(self)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.clock.time()
