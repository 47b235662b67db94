"""A blocked source that is abandoned is aborted, so that its thread returns and closes it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from types import GeneratorType
from typing import Any

import pytest

from drivers.threads import (
    Endless,
    Interrupted,
    Stall,
    mailboxes,
    printed_by,
    stream_of,
    wait_until,
)
from failover_iter import Policy, Progress, Source, SourceTimeout
from failover_iter._drivers.mailbox import Job
from failover_iter.testing import VirtualClock
from support.virtual import virtual_time

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def time_out(factory: Any, abort: Any) -> None:
    """Pull a source that blocks for longer than its timeout."""
    list(stream_of(Source(factory, name="unit", abort=abort), idle_timeout=1))


def test_before_the_source_is_closed(fake: VirtualClock) -> None:
    """The source returns while `abort` runs, and the thread waits with closing it."""
    stall, callers = Stall(fake), list[Any]()

    def abort(opened: Any, memo: Any) -> None:
        assert (opened, memo) == (stall, {})
        callers.append(threading.get_ident())
        next(iter(fake._sleepers.values())).wakes.set()
        (box,) = mailboxes()
        wait_until(lambda: box.state == "idle")
        stall.log.append("aborted")

    with pytest.raises(SourceTimeout):
        time_out(lambda: stall, abort)
    fake.wake_all()
    assert stall.log == ["returned", "aborted", "closed"]
    assert callers == [threading.get_ident()]


def test_a_handle_in_the_memo(fake: VirtualClock) -> None:
    """A generator is of no use to `abort`, so the memo of the stream holds a handle."""
    log: list[Any] = []

    def source(progress: Progress) -> Iterator[int]:
        progress.memo["handle"] = "the socket"
        try:
            yield 1
            fake.sleep(1e9)
        finally:
            log.append("closed")

    def abort(opened: object, memo: dict[str, Any]) -> None:
        log.append((type(opened), memo["handle"]))

    unit = Source(source, abort=abort, mid_stream="resume")
    stream = stream_of(unit, idle_timeout=1)
    assert next(stream) == 1
    with pytest.raises(SourceTimeout):
        next(stream)
    fake.wake_all()
    assert log == [(GeneratorType, "the socket"), "closed"]


def test_its_errors_are_logged(fake: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """They do not hide the timeout, and the next source is opened."""
    stall = Stall(fake)

    def abort(*_: object) -> None:
        raise OSError("socket is closed")

    unit = Source(lambda: stall, name="unit", abort=abort)
    assert list(stream_of(unit, Source(lambda: [7], idle_timeout=None), idle_timeout=1)) == [7]
    assert "unit raised OSError: socket is closed when it was aborted" in caplog.messages
    fake.wake_all()
    assert stall.log == ["returned", "closed"]


@pytest.mark.parametrize("ends_by", ["returning", "raising", "Ctrl-C"])
def test_once(fake: VirtualClock, ends_by: str) -> None:
    """The source is left to its thread however `abort` ends, and is not aborted again."""
    stall, calls = Stall(fake), list[Any]()

    def abort(*called: object) -> None:
        calls.append(called)
        if ends_by != "returning":
            raise OSError if ends_by == "raising" else KeyboardInterrupt

    expected = KeyboardInterrupt if ends_by == "Ctrl-C" else SourceTimeout
    with pytest.raises(expected):
        time_out(lambda: stall, abort)
    fake.wake_all()
    assert (calls, stall.log) == ([(stall, {})], ["returned", "closed"])


def test_not_while_the_factory_blocks(fake: VirtualClock) -> None:
    """There is nothing to abort yet; what the factory returns late is closed."""
    stall, calls = Stall(fake), list[Any]()

    def factory() -> Stall:
        fake.sleep(1e9)
        return stall

    with pytest.raises(SourceTimeout):
        time_out(factory, lambda *called: calls.append(called))
    fake.wake_all()
    assert (calls, stall.log) == ([], ["closed"])


def test_while_iter_blocks(fake: VirtualClock) -> None:
    """The factory has returned, so there is something to abort."""
    stall, calls = Stall(fake), list[Any]()

    class Response:
        def __iter__(self) -> Any:
            fake.sleep(1e9)
            return stall

        def close(self) -> None:
            stall.log.append("response closed")

    response = Response()
    with pytest.raises(SourceTimeout):
        time_out(lambda: response, lambda opened, _: calls.append(opened))
    fake.wake_all()
    assert (calls, stall.log) == ([response], ["closed", "response closed"])


@pytest.mark.parametrize("how", ["an end", "a failure", "a close"])
def test_not_at_rest(how: str) -> None:
    """A source that is not blocked is closed, not aborted."""
    calls, source = list[Any](), Endless()

    def fails() -> Iterator[int]:
        yield 1
        raise ConnectionError

    factories: dict[str, Any] = {
        "an end": lambda: iter([1]),
        "a failure": fails,
        "a close": lambda: source,
    }
    stream = stream_of(Source(factories[how], abort=lambda *called: calls.append(called)))
    with closing(stream), suppress(ConnectionError):
        assert next(stream) == 1
        if how != "a close":
            assert list(stream) == []
    assert calls == []


def test_not_while_it_closes() -> None:
    """An interrupt while the source closes leaves the rest to the thread, without an abort."""
    fake, let_go = Interrupted(), threading.Event()
    calls, log = list[Any](), list[str]()

    class SlowToClose(Endless):
        def close(self) -> None:
            fake.sleep(1e9)
            log.append("iterator")

    class Response:
        def __iter__(self) -> Any:
            return SlowToClose()

        def close(self) -> None:
            log.append("response")
            let_go.set()

    fake.waits_for_ever = 10.0
    with virtual_time(fake):
        stream = stream_of(Source(Response, abort=lambda *called: calls.append(called)))
        next(stream)
        with pytest.raises(KeyboardInterrupt):
            stream.close()
        assert (calls, log) == ([], [])
        fake.wake_all()
        assert let_go.wait(10)
        assert (calls, log) == ([], ["iterator", "response"])


def test_an_interrupt_before_the_wait() -> None:
    """A job that was not sent leaves the thread idle; closing ends it."""
    source, calls = Endless(), list[Any]()
    stream = stream_of(Source(lambda: source, abort=lambda opened, _: calls.append(opened)))
    next(stream)
    stream.gi_frame.f_locals["source"].worker._job = Job(source.__next__)
    stream.close()
    wait_until(lambda: source.log)
    assert (calls, source.log) == ([source], ["closed"])


#: Interrupts a blocked stream at one line of the library after the other.
EACH_LINE = """
    import _thread, logging, sys, threading, time
    from failover_iter import Source, SourceTimeout, failover_stream

    logging.disable()
    sys.unraisablehook = lambda _: None  # an interrupt in a finalizer: Python ignores it
    threads = _thread._count()

    class Blocks:
        def __init__(self):
            self.cut, self.log = threading.Event(), []

        def __iter__(self):
            return self

        def __next__(self):
            self.cut.wait()
            raise OSError("cut")

        def close(self):
            self.log.append("closed")

    def abort(source, memo):
        source.log.append("aborted")
        source.cut.set()

    def outcome(line, source):
        left = line

        def at_line(frame, event, arg):
            nonlocal left
            left -= event == "line"
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            return at_line

        def at_call(frame, event, arg):
            code = frame.f_code
            # No signal handler runs in these two before they have acted.
            if "failover_iter" in code.co_filename and code.co_name not in ("_guard", "abandon"):
                return at_line

        stream = failover_stream(
            [Source(lambda: source, abort=abort)], retry_on=OSError, idle_timeout=0.001
        )
        try:
            sys.settrace(at_call)
            next(stream)
        except BaseException as error:
            return type(error).__name__
        finally:
            sys.settrace(None)

    faults, line, how = [], 1, "KeyboardInterrupt"
    while how == "KeyboardInterrupt":
        source = Blocks()
        how = outcome(line, source)
        patience = time.monotonic() + 5
        while _thread._count() > threads:
            time.sleep(0.0002)
            if time.monotonic() > patience:
                faults.append((line, how, source.log))
                break
        if source.log not in (["aborted", "closed"], ["closed"], []):
            faults.append((line, how, source.log))
        line += int(sys.argv[1])
    print(faults, how, line > 150)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("step", ["7", pytest.param("1", marks=pytest.mark.slow)])
def test_an_interrupt_at_many_lines(step: str) -> None:
    """Each way out of the consumer's code aborts the blocked source, so that its thread ends."""
    assert printed_by(EACH_LINE, step) == "[] SourceTimeout True\n"


class TestWrongUse:
    """What `abort` and `close` accept."""

    def test_no_function(self) -> None:
        """`abort` is called, not awaited."""

        async def abort(opened: object, memo: object) -> None: ...

        for value in ("cancel", abort):
            with pytest.raises(TypeError, match=r"^Source\(abort=...\) must be a function"):
                Source(list, abort=value)  # type: ignore[arg-type]

    def test_an_async_source(self) -> None:
        """It is cancelled, and needs no abort."""

        async def source() -> Any:
            yield 1

        with pytest.raises(TypeError, match=r"^Source\(abort=...\) is for blocking sources"):
            Source(source, abort=print)

    def test_a_group(self) -> None:
        """A group opens nothing itself."""
        group = Policy(retry_on=OSError).source([list])
        wrong: list[Any] = [{"abort": print}, {"close": print}]
        for options in wrong:
            with pytest.raises(ValueError, match="set close and abort on the sources in it"):
                stream_of(replace(group, **options))
