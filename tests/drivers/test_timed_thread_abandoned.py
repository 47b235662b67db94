"""Blocking sources that are given up: closed by their own thread when they come back, once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from failover_iter import (
    Closed,
    Failed,
    Opening,
    Policy,
    Source,
    SourceTimeout,
    StreamTimeout,
    failover_stream,
)
from failover_iter._drivers.clock import clock
from failover_iter.testing import VirtualClock

variable: ContextVar[str] = ContextVar("variable", default="unset")
LONG = 60.0  # seconds, of which none passes here


class Stall:
    """A source that blocks until it is told to go on, and writes down what is done to it."""

    def __init__(self, fake: VirtualClock, *, late: BaseException | None = None) -> None:
        self.fake = fake
        self.late = late
        self.log: list[str] = []

    def __iter__(self) -> Stall:
        return self

    def __next__(self) -> int:
        self.fake.sleep(1e9)
        self.log.append("came back")
        if self.late is not None:
            raise self.late
        return 1

    def close(self) -> None:
        self.log.append("closed")


@pytest.fixture
def fake() -> Iterator[VirtualClock]:
    threads = VirtualClock()
    token = clock.set(threads)
    yield threads
    clock.reset(token)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def stream_of(*factories: Any, **options: Any) -> Any:
    return failover_stream(
        list(factories), **{"retry_on": ConnectionError, "idle_timeout": LONG, **options}
    )


def test_a_stalled_source_is_abandoned_and_closed_later(fake: VirtualClock) -> None:
    """The consumer goes on at once; the thread closes the source when that comes back, once."""
    stall, events = Stall(fake), list[Any]()
    items = list(
        stream_of(
            lambda: stall,
            Source(lambda: [7], idle_timeout=None),
            idle_timeout=1,
            on_event=events.append,
        )
    )
    assert items == [7]
    assert stall.log == []
    failed = next(event for event in events if isinstance(event, Failed))
    assert (failed.abandoned, type(failed.error)) == (True, SourceTimeout)
    fake.wake_all()
    assert stall.log == ["came back", "closed"]


def test_hands_off_what_is_not_owned(fake: VirtualClock) -> None:
    """`close=False` holds for what is abandoned too."""
    stall = Stall(fake)
    with pytest.raises(SourceTimeout):
        list(stream_of(Source(lambda: stall, close=False), idle_timeout=1))
    fake.wake_all()
    assert stall.log == ["came back"]


def test_iterator_and_iterable_are_both_closed(fake: VirtualClock) -> None:
    """The iterator first, then what it came from."""
    stall = Stall(fake)

    class Response:
        def __iter__(self) -> Stall:
            return stall

        def close(self) -> None:
            stall.log.append("response closed")

    with pytest.raises(SourceTimeout):
        list(stream_of(Response, idle_timeout=1))
    fake.wake_all()
    assert stall.log == ["came back", "closed", "response closed"]


def test_what_comes_late_goes_to_the_log(
    fake: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that an abandoned source raises, or its closing, is not lost."""

    class Rude(Stall):
        def close(self) -> None:
            super().close()
            raise ValueError("while closing")

    stall = Rude(fake, late=KeyError("late"))
    with pytest.raises(SourceTimeout):
        list(stream_of(Source(lambda: stall, name="rude"), idle_timeout=1))
    caplog.clear()
    with caplog.at_level(logging.WARNING, "failover_iter"):
        fake.wake_all()
    assert [record.getMessage() for record in caplog.records] == [
        "rude, given up before, raised KeyError: 'late'",
        "rude, given up before, raised when it was closed ValueError: while closing",
    ]
    assert caplog.records[0].exc_info is not None


def test_a_late_end_is_no_news(fake: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A source that ends when it comes back is closed, and nothing is said of it."""
    stall = Stall(fake, late=StopIteration())
    with pytest.raises(SourceTimeout):
        list(stream_of(lambda: stall, idle_timeout=1))
    caplog.clear()
    fake.wake_all()
    assert (stall.log, caplog.records) == (["came back", "closed"], [])


def test_an_item_at_the_last_moment_is_taken() -> None:
    """The source answers while the consumer gives up: one of them is first, and nothing is lost."""

    class LastMoment(VirtualClock):
        def acquire(self, lock: threading.Lock, seconds: float) -> bool:
            lock.acquire()  # the item is there ...
            lock.release()
            return False  # ... and the time is over

    token = clock.set(LastMoment())
    try:
        assert list(stream_of(lambda: iter([1, 2]), idle_timeout=1)) == [1, 2]
    finally:
        clock.reset(token)


class Interrupted(VirtualClock):
    """Somebody presses Ctrl-C where the time would be over."""

    def acquire(self, lock: threading.Lock, seconds: float) -> bool:
        if not super().acquire(lock, seconds):
            raise KeyboardInterrupt
        return True


def test_an_interrupt_while_waiting_abandons() -> None:
    """Ctrl-C goes through at once; the source is closed when it comes back."""
    fake = Interrupted()
    stall, events = Stall(fake), list[Any]()
    token = clock.set(fake)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(stream_of(lambda: stall, lambda: [9], on_event=events.append))
    finally:
        clock.reset(token)
    assert [type(event) for event in events] == [Opening, Closed]
    assert (events[-1].abandoned, type(events[-1].error)) == (True, KeyboardInterrupt)
    assert stall.log == []
    fake.wake_all()
    assert stall.log == ["came back", "closed"]


def test_the_time_of_the_stream_abandons_too(fake: VirtualClock) -> None:
    """`StreamTimeout` in a pull: the source is left to its thread, no other is opened."""
    stall, events, opened = Stall(fake), list[Any](), list[str]()
    with pytest.raises(StreamTimeout):
        list(
            stream_of(
                lambda: stall,
                lambda: opened.append("no") or [1],
                idle_timeout=None,
                total_timeout=1,
                on_event=events.append,
            )
        )
    assert ([type(event).__name__ for event in events], opened) == (["Opening", "Closed"], [])
    assert events[-1].abandoned
    fake.wake_all()
    assert stall.log == ["came back", "closed"]


def test_the_time_of_a_stream_inside_is_an_error_like_any_other(fake: VirtualClock) -> None:
    """The stream around it switches, where its `retry_on` names it."""
    stall = Stall(fake)
    inner = Policy(retry_on=OSError, total_timeout=1).source([lambda: stall])
    assert list(failover_stream([inner, lambda: [7]], retry_on=TimeoutError)) == [7]
    fake.wake_all()


def test_a_stream_inside_that_is_abandoned_opens_nothing_more(fake: VirtualClock) -> None:
    """In a thread that nobody waits for, the next source inside is not tried (trap 12)."""
    opened: list[str] = []

    def fails_late() -> Iterator[int]:
        opened.append("first")
        fake.sleep(1e6)
        raise ConnectionError("late")
        yield

    def second() -> Iterator[int]:
        opened.append("second")
        yield 1

    inner = Policy(retry_on=ConnectionError).source([fails_late, second])
    assert list(stream_of(inner, Source(lambda: [7], idle_timeout=None), idle_timeout=1)) == [7]
    fake.wake_all()
    assert opened == ["first"]
