"""Fixtures for streams whose sources live in threads."""

from __future__ import annotations

import _thread
from collections.abc import Iterator

import pytest

from drivers.threads import wait_until
from failover_iter._drivers.clock import clock
from failover_iter.testing import VirtualClock


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Every thread that the test started ends."""
    before = _thread._count()
    yield
    wait_until(lambda: _thread._count() == before)


@pytest.fixture
def fake() -> Iterator[VirtualClock]:
    """A virtual clock for the blocking streams of a test."""
    fake = VirtualClock()
    token = clock.set(fake)
    yield fake
    fake.wake_all()
    clock.reset(token)
