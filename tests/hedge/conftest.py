"""Fixtures: a clock for blocking races."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from failover_iter._drivers.clock import clock
from failover_iter.testing import VirtualClock


@pytest.fixture
def virtual() -> Iterator[VirtualClock]:
    fake = VirtualClock()
    token = clock.set(fake)
    yield fake
    fake.wake_all()
    clock.reset(token)
