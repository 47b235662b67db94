"""A signal handler that raises at any point of a blocking race: the consumer gets it, once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.signals import Signal, Soft, needs_monitoring
from drivers.threads import wait_until
from failover_iter import Failed, Policy
from failover_iter._drivers.clock import clock
from failover_iter.events import Event
from failover_iter.testing import VirtualClock

pytestmark = [
    needs_monitoring,
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Sources:
    """Sources that wait before each item; it counts the ones that are opened and closed."""

    def __init__(self, virtual: VirtualClock) -> None:
        self.virtual = virtual
        self.closed: list[int] = []

    def factory(self, *waits: float) -> Any:
        def opened() -> Source:
            self.closed.append(0)
            return Source(self, len(self.closed) - 1, waits)

        return opened


class Source:
    def __init__(self, sources: Sources, number: int, waits: tuple[float, ...]) -> None:
        self.sources, self.number, self.waits = sources, number, iter(waits)

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.sources.virtual.sleep(next(self.waits))
        return self.number

    def close(self) -> None:
        self.sources.closed[self.number] += 1


def consume(
    number: int, waits: tuple[tuple[float, ...], tuple[float, ...]]
) -> tuple[list[int], list[Event], Signal]:
    """Play a race with a signal at this check; all that was opened is closed, once."""
    virtual, events, got, raised = VirtualClock(), list[Event](), list[int](), None
    token = clock.set(virtual)
    sources, signal = Sources(virtual), Signal(number)
    policy = Policy(retry_on=(Soft, ConnectionError), commit_when=2, on_event=events.append)
    stream = policy.stream([policy.hedge([sources.factory(*each) for each in waits], after=1)])
    try:
        with signal.armed():
            try:
                got.extend(stream)
            except Soft as error:
                raised = error
    finally:
        del stream
        clock.reset(token)
    assert (raised is None) == (signal.left > 0)

    def are_closed() -> bool:
        virtual.wake_all()
        return all(each == 1 for each in sources.closed)

    wait_until(are_closed)
    return got, events, signal


@pytest.mark.parametrize(
    "waits",
    [
        ((9.0, 1.0), (0.5, 0.5)),  # the backup wins, and the first is blocked
        ((0.5, 2.0), (9.0, 1.0)),  # the first wins, and the backup is blocked
    ],
)
def test_the_consumer_gets_the_exception_of_a_handler(
    waits: tuple[tuple[float, ...], tuple[float, ...]],
) -> None:
    """Nothing else comes of it: no source is blamed, and none stays open."""
    number = 1
    while True:
        got, events, signal = consume(number, waits)
        assert not [event for event in events if isinstance(event, Failed) and event.matched]
        assert len(set(got)) <= 1
        if signal.left > 0:  # there were fewer checks
            assert len(got) == 2
            assert number > 200
            return
        number += 1
