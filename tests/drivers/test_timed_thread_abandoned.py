"""Blocked sources that are abandoned: their threads close them when they return, once."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Any
from weakref import ref

import pytest

from drivers.threads import Endless, Interrupted, Stall, mailboxes, stream_of, wait_until
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
from support.runners import quiet
from support.virtual import virtual_time

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_a_stalled_source_is_abandoned_and_closed_later(fake: VirtualClock) -> None:
    """The consumer goes on at once; the thread closes the source when it returns, once."""
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
    assert stall.log == ["returned", "closed"]


def test_a_source_that_is_not_owned_stays_open(fake: VirtualClock) -> None:
    """`close=False` holds for abandoned sources too."""
    stall = Stall(fake)
    with pytest.raises(SourceTimeout):
        list(stream_of(Source(lambda: stall, close=False), idle_timeout=1))
    fake.wake_all()
    assert stall.log == ["returned"]


def test_iterator_and_iterable_are_both_closed(fake: VirtualClock) -> None:
    """The iterator first, then the iterable."""
    stall = Stall(fake)

    class Response:
        def __iter__(self) -> Stall:
            return stall

        def close(self) -> None:
            stall.log.append("response closed")

    with pytest.raises(SourceTimeout):
        list(stream_of(Response, idle_timeout=1))
    fake.wake_all()
    assert stall.log == ["returned", "closed", "response closed"]


class Rude(Stall):
    """Its `close` raises."""

    def close(self) -> None:
        super().close()
        raise ValueError("while closing")


def test_late_errors_go_to_the_log(fake: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Errors that an abandoned source raises, or its `close`, are not lost."""
    stall = Rude(fake, late=KeyError("late"))
    with pytest.raises(SourceTimeout):
        list(stream_of(Source(lambda: stall, name="rude"), idle_timeout=1))
    caplog.clear()
    with caplog.at_level(logging.WARNING, "failover_iter"):
        fake.wake_all()
    assert [record.getMessage() for record in caplog.records] == [
        "rude raised KeyError: 'late' after it was abandoned",
        "rude raised ValueError: while closing while its thread closed it",
    ]
    assert caplog.records[0].exc_info is not None


def test_a_log_handler_that_raises(fake: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source is closed before anything is logged, and each error is logged."""
    stall, seen, crashes = Rude(fake, late=KeyError("late")), list[str](), list[Any]()

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "late" in record.getMessage() or "closing" in record.getMessage():
                seen.append(record.getMessage())
                assert stall.log == ["returned", "closed"]
                raise RuntimeError("the handler is broken")

    logger, broken = logging.getLogger("failover_iter"), Broken()
    monkeypatch.setattr(threading, "excepthook", lambda args: crashes.append(args.exc_value))
    logger.addHandler(broken)
    try:
        with pytest.raises(SourceTimeout):
            list(stream_of(lambda: stall, idle_timeout=1))
        fake.wake_all()
    finally:
        logger.removeHandler(broken)
    assert stall.log == ["returned", "closed"]
    assert len(seen) == 2
    assert [str(crash) for crash in crashes] == ["the handler is broken"]


@pytest.mark.parametrize("late", [None, KeyError])
def test_late_errors_keep_nothing_alive(fake: VirtualClock, late: Any) -> None:
    """When the thread has ended, its source is freed with them, without the collector."""
    sources = [Rude(fake, late=late)]
    source = ref(sources[0])
    gc.collect()
    gc.disable()
    try:
        with quiet():  # pytest keeps what is logged
            assert list(stream_of(sources.pop, lambda: [7], idle_timeout=1)) == [7]
            fake.wake_all()
        assert source() is None
    finally:
        gc.enable()


def test_an_error_of_closing_the_loser_of_a_race(caplog: pytest.LogCaptureFixture) -> None:
    """The race gets it, and logs it; for the thread, which has nothing to do, it is not late."""

    class Loser(Endless):
        def close(self) -> None:
            raise ValueError("while closing")

    stream = stream_of(Loser)
    assert next(stream) == 1
    error = stream.gi_frame.f_locals["source"].worker.leave()
    assert str(error) == "while closing"
    wait_until(lambda: not mailboxes())
    assert caplog.records == []
    stream.close()


def test_a_late_end_is_not_logged(fake: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A source that ends when it returns is closed, without a word."""
    stall = Stall(fake, late=StopIteration())
    with pytest.raises(SourceTimeout):
        list(stream_of(lambda: stall, idle_timeout=1))
    caplog.clear()
    fake.wake_all()
    assert (stall.log, caplog.records) == (["returned", "closed"], [])


@pytest.mark.parametrize("is_lost", [False, True])
def test_an_item_at_the_last_moment_is_taken(is_lost: bool) -> None:
    """The source replies while the consumer's time runs out: the item is delivered, once."""

    class LastMoment(VirtualClock):
        has_old_reply = False

        def get(self, queue: SimpleQueue[Any], seconds: float, jobs: Any = None) -> Any:
            reply = queue.get()
            if self.has_old_reply or seconds > 1:  # only a close has no limit
                self.has_old_reply = False
                return reply
            if not is_lost:
                queue.put(reply)
                self.has_old_reply = True
            raise Empty

    token = clock.set(LastMoment())
    try:
        assert list(stream_of(lambda: iter([1, 2]), idle_timeout=1)) == [1, 2]
    finally:
        clock.reset(token)


def test_the_time_of_the_stream_abandons_too(fake: VirtualClock) -> None:
    """`StreamTimeout` in a pull leaves the source to its thread, and no other is opened."""
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
    assert stall.log == ["returned", "closed"]


class TestInside:
    """Streams that run in the thread of an abandoned source."""

    def test_the_time_of_a_group_is_an_error_like_any_other(self, fake: VirtualClock) -> None:
        """The outer stream switches if its `retry_on` names it."""
        stall = Stall(fake)
        inner = Policy(retry_on=OSError, total_timeout=1).source([lambda: stall])
        assert list(failover_stream([inner, lambda: [7]], retry_on=TimeoutError)) == [7]
        fake.wake_all()

    @pytest.mark.parametrize("depth", [1, 2])
    def test_an_abandoned_group_opens_nothing_more(self, fake: VirtualClock, depth: int) -> None:
        """Nobody waits for it, so it does not try its next source (trap 12)."""
        opened: list[str] = []

        def fails_late() -> Iterator[int]:
            opened.append("first")
            fake.sleep(1e6)
            raise ConnectionError("late")
            yield

        def second() -> Iterator[int]:
            opened.append("second")
            yield 1

        group = Policy(retry_on=ConnectionError).source([fails_late, second])
        for _ in range(depth - 1):
            group = Policy(retry_on=ConnectionError).source([group, second])
        assert list(stream_of(group, Source(lambda: [7], idle_timeout=None), idle_timeout=1)) == [7]
        fake.wake_all()
        assert opened == ["first"]

    def test_a_stream_of_the_user_is_not_cut(self, fake: VirtualClock) -> None:
        """A factory's own stream goes on to its end: the factory may put it into a cache."""
        cache: list[int] = []

        def primary() -> Iterator[int]:
            yield 1
            raise ConnectionError("down")

        def slow() -> Iterator[int]:
            fake.sleep(1e6)
            inner = [primary, lambda: iter([1, 2, 3])]
            cache.extend(failover_stream(inner, retry_on=ConnectionError, mid_stream="skip"))
            yield from cache

        assert list(stream_of(slow, Source(lambda: [7], idle_timeout=None), idle_timeout=1)) == [7]
        fake.wake_all()
        assert cache == [1, 2, 3]


def test_an_interrupt_while_waiting_abandons() -> None:
    """Ctrl-C is raised at once; the source is closed when it returns."""
    fake = Interrupted()
    stall, events = Stall(fake), list[Any]()
    with virtual_time(fake):
        with pytest.raises(KeyboardInterrupt):
            list(stream_of(lambda: stall, lambda: [9], on_event=events.append))
        assert stall.log == []
    assert [type(event) for event in events] == [Opening, Closed]
    assert (events[-1].abandoned, type(events[-1].error)) == (True, KeyboardInterrupt)
    assert stall.log == ["returned", "closed"]


def test_an_interrupt_after_the_reply(caplog: pytest.LogCaptureFixture) -> None:
    """The source is at rest, so the stream waits for its close; the error goes to the log."""

    class AfterTheReply(VirtualClock):
        armed = False

        def get(self, queue: SimpleQueue[Any], seconds: float, jobs: Any = None) -> Any:
            reply = queue.get()
            if self.armed:
                self.armed = False
                raise KeyboardInterrupt
            return reply

    class FailsSecond(Endless):
        items = iter([1])

        def __next__(self) -> int:
            for item in self.items:
                return item
            raise OSError("down")

    fake, events, source = AfterTheReply(), list[Any](), FailsSecond()
    with virtual_time(fake):
        stream = stream_of(Source(lambda: source, name="unit"), on_event=events.append)
        next(stream)
        fake.armed = True
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    assert source.log == ["closed"]
    assert (type(events[-1]), events[-1].abandoned) == (Closed, False)
    wait_until(lambda: caplog.messages)
    assert caplog.messages == ["unit raised OSError: down after it was abandoned"]
