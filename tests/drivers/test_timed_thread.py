"""Blocking sources with a time limit: one thread, one context, nothing lost, nothing twice."""

from __future__ import annotations

import gc
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from contextvars import ContextVar, copy_context
from threading import get_ident
from typing import Any

import pytest

from drivers.threads import LONG, Endless, mailboxes, stream_of, wait_until
from failover_iter import Policy, Source, failover_stream
from failover_iter._drivers import mailbox
from failover_iter._drivers.closing import close
from failover_iter._drivers.mailbox import Job, Mailbox

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

variable: ContextVar[str] = ContextVar("variable", default="unset")


def test_one_thread_and_one_context_for_an_attempt() -> None:
    """Factory, pulls and closing share a thread and a context: a token resets in the `finally`."""
    seen: list[tuple[str, int, str]] = []

    def source() -> Iterator[int]:
        token = variable.set("in the source")
        try:
            for number in range(3):
                seen.append(("pull", get_ident(), variable.get()))
                yield number
        finally:
            variable.reset(token)
            seen.append(("close", get_ident(), variable.get()))

    def factory() -> Iterator[int]:
        seen.append(("factory", get_ident(), variable.get()))
        return source()

    variable_token = variable.set("of the consumer")
    with closing(stream_of(factory)) as stream:
        assert [next(stream), next(stream)] == [0, 1]
    variable.reset(variable_token)
    assert len({thread for _, thread, _ in seen} - {get_ident()}) == 1
    assert [(what, value) for what, _, value in seen] == [
        ("factory", "of the consumer"),
        ("pull", "in the source"),
        ("pull", "in the source"),
        ("close", "of the consumer"),
    ]


def test_the_context_is_a_plain_copy() -> None:
    """The library adds no context variable that a source could see, or pass on to a task."""
    seen = list(stream_of(lambda: iter([dict(copy_context())])))
    assert seen == [dict(copy_context())]


def test_the_thread_has_a_name() -> None:
    """It is a daemon thread of `threading`, named after the source."""
    (thread,) = stream_of(Source(lambda: iter([threading.current_thread()]), name="orders"))
    assert (thread.name, thread.daemon) == ("failover_iter: orders", True)


def test_a_sqlite_cursor_works() -> None:
    """An object that is bound to its thread is used in that thread alone."""

    def rows() -> Iterator[int]:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("create table numbers (number)")
            connection.executemany("insert into numbers values (?)", [(1,), (2,), (3,)])
            for (number,) in connection.execute("select number from numbers"):
                yield number

    assert list(stream_of(rows)) == [1, 2, 3]


def test_no_thread_without_a_limit_that_needs_one() -> None:
    """`give_up_after` interrupts nothing, so it starts no thread."""
    threads: set[int] = set()

    def source() -> Iterator[int]:
        threads.add(get_ident())
        yield 1

    list(failover_stream([source], retry_on=OSError, give_up_after=5))
    assert threads == {get_ident()}


def test_never_ahead_of_the_consumer() -> None:
    """The source is pulled when the consumer asks for an item, and not before."""
    pulled: list[int] = []

    def source() -> Iterator[int]:
        for number in range(5):
            pulled.append(number)
            yield number

    with closing(stream_of(source)) as stream:
        for expected in range(3):
            assert next(stream) == expected
            assert pulled == list(range(expected + 1))


def test_values_sent_thrown_and_returned() -> None:
    """Law 1 holds through the thread: `send`, `throw`, the return value, the same objects."""
    thrown = LookupError("mine")

    def source() -> Iterator[Any]:
        sent = yield 1
        try:
            yield sent
        except LookupError as error:
            yield error
        return "value"

    stream = stream_of(source)
    assert (next(stream), stream.send("sent")) == (1, "sent")
    assert stream.throw(thrown) is thrown
    with pytest.raises(StopIteration) as caught:
        next(stream)
    assert caught.value.value == "value"


def test_an_iterator_without_send_and_throw() -> None:
    """The source raises the AttributeError; an error that is thrown is raised at the `yield`."""
    stream = stream_of(lambda: iter([1, 2]), lambda: [9])
    next(stream)
    with pytest.raises(AttributeError, match="'list_iterator' object has no attribute 'send'"):
        stream.send(1)
    stream = stream_of(lambda: iter([1, 2]), lambda: [9])
    next(stream)
    with pytest.raises(ConnectionError, match="mine"):
        stream.throw(ConnectionError("mine"))


def test_an_error_keeps_its_own_context() -> None:
    """An exception that the consumer is handling does not become the context of the error."""
    inner = KeyError("inner")

    def source() -> Iterator[int]:
        yield 1
        try:
            raise inner
        except KeyError:
            raise ValueError("outer")  # noqa: B904

    stream = stream_of(source)
    next(stream)
    try:
        raise RuntimeError("the consumer's")
    except RuntimeError:
        with pytest.raises(ValueError, match="outer") as caught:
            next(stream)
    assert caught.value.__context__ is inner


def test_base_exceptions_reach_the_consumer() -> None:
    """SystemExit in the thread of the source ends the stream of the consumer."""

    def source() -> Iterator[int]:
        yield 1
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        list(stream_of(source, lambda: [9]))


def test_iter_fails_in_the_thread() -> None:
    """An object that is not iterable raises a TypeError, as without a limit."""
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        list(stream_of(lambda: 5))


def test_an_async_source_is_refused() -> None:
    """The stream checks the flavour before it iterates."""

    async def source() -> Any:
        yield 1

    with pytest.raises(TypeError, match="is async: use afailover_stream"):
        list(stream_of(lambda: source()))


def test_a_key_runs_in_the_thread_of_the_consumer() -> None:
    """Callbacks run in the thread of the consumer, wherever the source lives."""
    threads: set[int] = set()

    def enough(item: int) -> bool:
        threads.add(get_ident())
        return item > 1

    assert list(stream_of(lambda: iter([1, 2]), commit_when=enough)) == [1, 2]
    assert threads == {get_ident()}


def nested(depth: int) -> Callable[[], Any]:
    """A timed stream in a timed stream, and so on."""
    if depth == 0:
        return lambda: iter([1, 2, 3])
    return lambda: stream_of(nested(depth - 1))


def test_threads_within_threads() -> None:
    """A timed stream may be the source of a timed stream."""
    assert list(stream_of(nested(3))) == [1, 2, 3]


class TestClosing:
    """An explicit close waits, a finalizer does not."""

    def test_an_explicit_close_waits(self) -> None:
        """The source is closed when `close` returns."""
        source = Endless()
        stream = stream_of(lambda: source)
        next(stream)
        stream.close()
        assert source.log == ["closed"]

    def test_an_explicit_close_reports_the_error(self) -> None:
        """Law 9: an error while closing reaches the consumer who closes."""

        class Rude(Endless):
            def close(self) -> None:
                raise ValueError("while closing")

        stream = stream_of(Rude)
        next(stream)
        with pytest.raises(ValueError, match="while closing"):
            stream.close()

    def test_a_stream_that_is_deleted_is_closed(self) -> None:
        """Its source is closed in the thread of the source."""
        closed: list[int] = []

        def source() -> Iterator[int]:
            try:
                yield 1
                yield 2
            finally:
                closed.append(get_ident())

        stream = stream_of(source)
        next(stream)
        del stream
        wait_until(lambda: closed)
        assert closed != [get_ident()]

    def test_an_error_after_deletion_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """Nobody waits for it."""

        class Rude(Endless):
            def close(self) -> None:
                raise ValueError("while closing")

        stream = stream_of(Source(Rude, name="rude"))
        next(stream)
        del stream
        wait_until(lambda: caplog.messages)
        assert caplog.messages == [
            "rude raised ValueError: while closing while its thread closed it"
        ]

    def test_in_a_cycle_with_its_source(self) -> None:
        """An idle thread refers to no source: the garbage collector finds the stream."""
        log: list[str] = []

        def tie() -> None:
            knot = Endless()
            knot.log = log
            knot.stream = stream_of(lambda: knot)
            next(knot.stream)

        tie()
        assert log == []
        gc.collect()
        wait_until(lambda: log)
        assert log == ["closed"]

    @pytest.mark.parametrize(
        "how", ["deleted", "deleted with a group", "in a cycle", "in a generator in a cycle"]
    )
    def test_a_finalizer_waits_for_nothing(self, how: str) -> None:
        """The code that it interrupts may hold a lock that the source needs to close."""
        lock, log = threading.Lock(), list[str]()

        class Locks(Endless):
            def close(self) -> None:
                with lock:
                    log.append("closed")

        def around(stream: Any) -> Iterator[int]:
            yield from stream

        def open_and_release() -> Any:
            source = Locks()
            stream = stream_of(lambda: source)
            if how == "deleted with a group":
                group = Policy(retry_on=OSError, idle_timeout=LONG).source([lambda: source])
                stream = failover_stream([group], retry_on=OSError)
            elif how == "in a generator in a cycle":
                stream = around(stream)
            next(stream)
            if how.startswith("deleted"):
                return stream
            source.stream = stream
            return None

        stream = open_and_release()
        with lock:
            del stream
            gc.collect()
            assert log == []
        wait_until(lambda: log)
        assert log == ["closed"]

    @pytest.mark.parametrize("explicit", [False, True])
    def test_closed_by_the_thread_of_its_source(self, explicit: bool) -> None:
        """The garbage collector may run in that thread, which cannot wait for itself."""
        source, kept = Endless(), list[Any]()
        kept.append(stream_of(lambda: source))
        next(kept[0])
        (box,) = mailboxes()
        box.requests.put(Job(kept[0].close if explicit else kept.clear))
        wait_until(lambda: source.log)
        assert source.log == ["closed"]
        kept.clear()

    def test_while_the_interpreter_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Daemon threads may not run any more then: nothing waits for them."""
        let_go, closed = threading.Event(), threading.Event()

        class Slow(Endless):
            def close(self) -> None:
                let_go.wait()
                closed.set()

        stream = stream_of(Slow)
        next(stream)
        monkeypatch.setattr(sys, "is_finalizing", lambda: True)
        stream.close()
        assert not closed.is_set()
        let_go.set()
        assert closed.wait(10)

    def test_only_once(self) -> None:
        """A closed source is not closed again, whether its thread still runs or not."""
        source = Endless()
        with closing(stream_of(lambda: source)) as stream:
            next(stream)
            worker = stream.gi_frame.f_locals["source"].worker
            worker.close(source)
            worker.close(source)
        worker.close(source)
        assert source.log == ["closed"]


def refuse(*_: object) -> None:
    raise RuntimeError("can't start new thread")


class TestStarting:
    """How a thread is started."""

    def test_too_many_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """If a second thread cannot be started, the first one serves."""
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert list(stream_of(lambda: iter([1, 2]))) == [1, 2]

    def test_no_thread_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An attempt that has no thread has failed."""
        with monkeypatch.context() as patch:
            patch.setattr(mailbox, "start_new_thread", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                list(stream_of(lambda: iter([1, 2])))

    @pytest.mark.parametrize("room", [True, False])
    def test_the_thread_that_starts_the_thread(
        self, room: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Called here, where its lines are measured; both ways serve the mailbox."""
        box, source, done = Mailbox("unit", list[Any]().append), Endless(), list[str]()
        box.requests.put(Job(lambda: done.append("called")))
        box.requests.put([(source, close)])
        with monkeypatch.context() as patch:
            if not room:
                patch.setattr(threading.Thread, "start", refuse)
            mailbox._start(box, copy_context())
        wait_until(lambda: source.log)
        assert done == ["called"]
