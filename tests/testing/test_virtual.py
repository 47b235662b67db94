"""The clock of the testing kit, in threads."""

from __future__ import annotations

import time
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


def test_a_source_that_sleeps_later_than_it_is_waited_for() -> None:
    """The clock waits for it."""
    clock = VirtualClock()
    queue: SimpleQueue[Any] = SimpleQueue()

    def source() -> None:
        while clock._waiting is None:
            time.sleep(0.0005)
        clock.sleep(3)
        queue.put("item")

    Thread(target=source, name="failover_iter: source").start()
    assert clock.get(queue, 5) == "item"
    assert clock.time() == 1003
