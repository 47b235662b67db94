"""Blocking sources with a limit of time: one thread, one context, nothing lost, nothing twice."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from contextvars import ContextVar
from threading import get_ident
from typing import Any

import pytest

from failover_iter import Source, failover_stream
from failover_iter._drivers.timed_thread import _Job

variable: ContextVar[str] = ContextVar("variable", default="unset")
LONG = 60.0  # seconds, of which none passes here


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def printed_by(script: str) -> str:
    """What a program of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


def stream_of(*factories: Any, **options: Any) -> Any:
    return failover_stream(
        list(factories), **{"retry_on": ConnectionError, "idle_timeout": LONG, **options}
    )


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


def test_a_sqlite_cursor_works() -> None:
    """What is bound to the thread that made it is used in that thread alone."""

    def rows() -> Iterator[int]:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("create table numbers (number)")
            connection.executemany("insert into numbers values (?)", [(1,), (2,), (3,)])
            for (number,) in connection.execute("select number from numbers"):
                yield number

    assert list(stream_of(rows)) == [1, 2, 3]


def test_no_thread_without_a_limit_that_needs_one() -> None:
    """Nor for `give_up_after`, which interrupts nothing, nor for a limit of infinity."""
    threads: set[int] = set()

    def source() -> Iterator[int]:
        threads.add(get_ident())
        yield 1

    list(failover_stream([source], retry_on=OSError, give_up_after=5))
    assert threads == {get_ident()}


def test_never_ahead_of_the_consumer() -> None:
    """The source is pulled when an item is asked for, and not before."""
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
    """Law 1 holds through the thread: `send`, `throw`, the value of the end, the same objects."""
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
    """The AttributeError is that of the source, and what is thrown comes out at the `yield`."""
    stream = stream_of(lambda: iter([1, 2]), lambda: [9])
    next(stream)
    with pytest.raises(AttributeError, match="'list_iterator' object has no attribute 'send'"):
        stream.send(1)
    stream = stream_of(lambda: iter([1, 2]), lambda: [9])
    next(stream)
    with pytest.raises(ConnectionError, match="mine"):
        stream.throw(ConnectionError("mine"))


def test_an_error_keeps_its_own_context() -> None:
    """What the consumer handles just now is not what led to the error of the source."""
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


def test_what_is_no_exception_comes_through() -> None:
    """SystemExit in the thread of the source ends the stream of the consumer."""

    def source() -> Iterator[int]:
        yield 1
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        list(stream_of(source, lambda: [9]))


def test_iter_fails_in_the_thread() -> None:
    """What is no iterable is a TypeError, as without a limit."""
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        list(stream_of(lambda: 5))


def test_an_async_source_is_refused() -> None:
    """The flavour is looked at before anything is iterated."""

    async def source() -> Any:
        yield 1

    with pytest.raises(TypeError, match="is async: use afailover_stream"):
        list(stream_of(lambda: source()))


def test_a_stream_that_is_let_go_is_closed() -> None:
    """The garbage collector closes it, in the thread of the source."""
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
    gc.collect()
    assert len(closed) == 1
    assert closed != [get_ident()]


def test_let_go_by_its_own_thread() -> None:
    """The garbage collector may run in the thread of the source: it does not wait for itself."""
    closed: list[str] = []
    kept: list[Any] = []

    class LetsGo:
        """Once its source was asked for, an idle thread closes the stream that it serves."""

        def __iter__(self) -> LetsGo:
            return self

        def __next__(self) -> int:
            return 1

        def close(self) -> None:
            closed.append("closed")

    stream = stream_of(LetsGo)
    next(stream)
    thread, desk = desks()[0]
    kept.append(stream)
    del stream
    desk.job = _Job(Any, kept.clear)  # as if it collected garbage between two jobs
    desk.asked.release()
    thread.join()
    assert closed == ["closed"]


def desks() -> list[tuple[threading.Thread, Any]]:
    """The threads that wait for something to do, and where their jobs are put down."""
    threads = [each for each in threading.enumerate() if each.name.startswith("failover_iter")]
    return [(each, sys._current_frames()[each.ident or 0].f_locals["self"]) for each in threads]


def test_at_the_exit_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is closed while the interpreter ends waits for no thread."""
    stream = stream_of(Source(lambda: iter([1, 2]), close=False))
    other = stream_of(lambda: iter([1, 2]))
    next(stream), next(other)
    idle = desks()
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    stream.close()
    other.close()
    for thread, desk in idle:
        assert thread.is_alive()
        desk.asked.release()
        thread.join()


def test_let_go_in_a_cycle_with_its_source() -> None:
    """An idle thread holds on to nothing: the garbage collector finds the stream, and closes it."""
    closed: list[str] = []

    class Knot:
        stream: Any = None

        def __iter__(self) -> Knot:
            return self

        def __next__(self) -> int:
            return 1

        def close(self) -> None:
            closed.append("closed")

    def tie() -> None:
        knot = Knot()
        knot.stream = stream_of(lambda: knot)
        next(knot.stream)

    tie()
    gc.collect()
    assert closed == ["closed"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_in_a_child_of_a_fork_nobody_waits() -> None:
    """The thread of the source stays behind; to close the stream there does not hang."""
    script = """
        import os, warnings
        from failover_iter import failover_stream

        warnings.simplefilter("ignore")
        stream = failover_stream([lambda: iter([1, 2])], retry_on=OSError, idle_timeout=60)
        next(stream)
        child = os.fork()
        stream.close()
        if child:
            os.waitpid(child, 0)
            print("done")
        os._exit(0) if not child else None
    """
    assert printed_by(script) == "done\n"


def test_it_does_not_keep_the_interpreter() -> None:
    """A source that blocks for ever, and a stream in the middle, do not hold up the exit."""
    script = """
        import time
        from failover_iter import failover_stream, SourceTimeout

        def blocks():
            time.sleep(1000)
            yield

        def fine():
            yield 1
            yield 2

        try:
            list(failover_stream([blocks], retry_on=OSError, idle_timeout=0.01))
        except SourceTimeout as error:
            print(error)
        stream = failover_stream([fine], retry_on=OSError, idle_timeout=60)
        print(next(stream))
    """
    assert printed_by(script) == "blocks gave no first item within 0.01 s (idle_timeout)\n1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_for_real() -> None:
    """A real SIGINT ends the wait of the main thread for a blocked source."""
    script = """
        import os, signal, sys, threading, time
        from failover_iter import failover_stream

        # A shell starts what it runs in the background with Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def press():
            main = threading.main_thread().ident
            while sys._current_frames()[main].f_code.co_name != "acquire":
                time.sleep(0.01)
            time.sleep(0.1)  # Python may miss a signal just before it blocks
            os.kill(os.getpid(), signal.SIGINT)

        def blocks():
            threading.Thread(target=press, daemon=True).start()
            time.sleep(1000)
            yield

        try:
            list(failover_stream([blocks], retry_on=Exception, idle_timeout=500))
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert printed_by(script) == "interrupted\n"


def test_a_key_runs_in_the_thread_of_the_consumer() -> None:
    """Callbacks are the consumer's, whatever thread the source lives in."""
    threads: set[int] = set()

    def enough(item: int) -> bool:
        threads.add(get_ident())
        return item > 1

    assert list(stream_of(lambda: iter([1, 2]), commit_when=enough)) == [1, 2]
    assert threads == {get_ident()}


def nested(depth: int) -> Callable[[], Any]:
    """A source that is a failover with a limit of its own, so deep."""
    if depth == 0:
        return lambda: iter([1, 2, 3])
    return lambda: stream_of(nested(depth - 1))


def test_threads_within_threads() -> None:
    """A timed stream may be the source of a timed stream."""
    assert list(stream_of(nested(3))) == [1, 2, 3]
