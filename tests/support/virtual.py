"""Virtual time for the blocking streams of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from failover_iter._drivers.clock import clock
from failover_iter.testing import VirtualClock

C = TypeVar("C", bound=VirtualClock)


@contextmanager
def virtual_time(fake: C) -> Iterator[C]:
    """Blocking streams live by this clock; sources that still sleep at the end are woken."""
    token = clock.set(fake)
    try:
        yield fake
    finally:
        fake.wake_all()
        clock.reset(token)
