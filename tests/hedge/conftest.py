"""Fixtures: a clock for blocking races."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from failover_iter.testing import VirtualClock
from support.virtual import virtual_time


@pytest.fixture
def virtual() -> Iterator[VirtualClock]:
    with virtual_time(VirtualClock()) as fake:
        yield fake
