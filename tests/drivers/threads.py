"""Helpers for the tests of sources that live in threads."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from failover_iter import failover_stream
from failover_iter._drivers import mailbox
from failover_iter.testing import VirtualClock

LONG = 60.0  # seconds, none of which pass in a test


def stream_of(*factories: Any, **options: Any) -> Any:
    """A stream with a time limit, so that its sources live in threads."""
    return failover_stream(
        list(factories), **{"retry_on": ConnectionError, "idle_timeout": LONG, **options}
    )


def wait_until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for another thread, and fail if that takes too long."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "another thread did not do what it should"
        time.sleep(0.0005)


def mailboxes() -> list[mailbox.Mailbox]:
    """The mailboxes of all threads that run."""
    return list(mailbox._served)


def printed_by(script: str, *args: str) -> str:
    """Return the output of a script, which must not write to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


class Endless:
    """A source that yields the same item for ever, and records that it was closed."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.stream: Any = None

    def __iter__(self) -> Endless:
        return self

    def __next__(self) -> int:
        return 1

    def close(self) -> None:
        self.log.append("closed")


class Stall(Endless):
    """A source that blocks until the virtual clock wakes it."""

    def __init__(self, fake: VirtualClock, *, late: BaseException | None = None) -> None:
        super().__init__()
        self.fake = fake
        self.late = late

    def __next__(self) -> int:
        self.fake.sleep(1e9)
        self.log.append("returned")
        if self.late is not None:
            raise self.late
        return 1


class Interrupted(VirtualClock):
    """Somebody presses Ctrl-C where the time would be up."""

    waits_for_ever = float("inf")

    def get(self, queue: SimpleQueue[Any], seconds: float, jobs: Any = None) -> Any:
        try:
            return super().get(queue, min(seconds, self.waits_for_ever), jobs)
        except Empty:
            raise KeyboardInterrupt from None
