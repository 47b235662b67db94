"""The clock of the testing kit, in threads."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import pytest

from failover_iter.testing import VirtualClock


def test_a_source_that_was_abandoned_sleeps_once() -> None:
    """It sleeps until it is woken at the end, and then no more: nobody waits for it."""
    clock = VirtualClock()
    queue: SimpleQueue[Any] = SimpleQueue()
    done: list[str] = []

    def source() -> None:
        clock.sleep(10)
        clock.sleep(1000)
        done.append("done")

    Thread(target=source, name="failover_iter: source").start()
    with pytest.raises(Empty):
        clock.get(queue, 5)
    assert not done
    clock.wake_all()
    assert done == ["done"]
