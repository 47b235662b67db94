"""Reports are sent soon after they were made, by a thread, or by a task under asyncio."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from queue import SimpleQueue
from typing import Final, Protocol
from weakref import WeakSet, finalize, ref

_LINGER: Final = 0.01  # seconds that reports wait for a question to go with


class Sends(Protocol):
    """A store."""

    def send(self) -> None:
        """Send the reports that wait, and block meanwhile."""

    async def asend(self) -> None:
        """Send the reports that wait, under asyncio."""


class Sender:
    """Sends the reports of a store soon: in a thread, or in a task under asyncio."""

    def __init__(self, store: Sends, *, is_async: bool) -> None:
        self._store = ref(store)
        self._is_async = is_async
        self._bell = SimpleQueue[bool]()
        self._process: int | None = None
        self._task: asyncio.Task[None] | None = None
        finalize(store, self._bell.put, False)
        _senders.add(self)

    def start(self) -> None:
        """Start the thread, in each process once."""
        process = os.getpid()
        if self._process != process:
            self._process = process
            threading.Thread(target=self._serve, name="failover_iter.redis", daemon=True).start()

    def wake(self) -> None:
        """Have reports sent. It never blocks, even in a finalizer."""
        if not self._is_async:
            if self._bell.empty():  # one ring is enough: more would pile up
                self._bell.put(True)
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # the next question takes them along
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._asend())

    def stop(self) -> None:
        """End the thread."""
        self._bell.put(False)

    def flush(self) -> None:
        """Send what waits, at the exit of the interpreter."""
        store = self._store()
        if store is not None:
            store.send()

    def _serve(self) -> None:
        while self._bell.get():
            time.sleep(_LINGER)
            self.flush()

    async def _asend(self) -> None:
        store = self._store()
        if store is not None:
            await store.asend()


_senders: Final = WeakSet[Sender]()


@atexit.register
def flush_all() -> None:
    for sender in list(_senders):
        sender.flush()
