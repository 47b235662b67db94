"""Fixtures: a stream of each flavour, nested streams, and sources that live in threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from drivers.threads import wait_until
from failover_iter.testing import VirtualClock
from support.flavour import AsyncFlavour, SyncFlavour
from support.runners import quiet
from support.virtual import virtual_time


@pytest.fixture(params=[SyncFlavour, AsyncFlavour])
def flavour(request: pytest.FixtureRequest) -> Iterator[SyncFlavour]:
    made: SyncFlavour = request.param()
    with quiet():
        yield made
    made.finish()


@pytest.fixture(params=[1, 2])
def depth(request: pytest.FixtureRequest) -> int:
    """How many streams a nested source is in, the outermost not counted."""
    return int(request.param)


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Every thread that the test started ends.

    Threads are compared, not counted: a thread of an earlier test may end only now.
    """
    before = sys._current_frames().keys()
    yield
    wait_until(lambda: sys._current_frames().keys() <= before)


@pytest.fixture
def fake() -> Iterator[VirtualClock]:
    """A virtual clock for the blocking streams of a test."""
    with virtual_time(VirtualClock()) as fake:
        yield fake
