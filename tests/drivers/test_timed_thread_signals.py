"""Ctrl-C in a timed blocking stream: no hang, no thread that stays, no source that stays open."""

from __future__ import annotations

import ctypes
import operator
import signal
import sys
from collections import deque
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest

from drivers.signals import Signal, Soft, Sources, needs_monitoring
from drivers.threads import LONG, Endless, printed_by, stream_of, wait_until
from failover_iter import failover_stream
from failover_iter._drivers.clock import SystemClock, clock
from failover_iter._drivers.mailbox import _guard
from failover_iter.events import Event, Failed
from support.size import EXAMPLES

pytestmark = [
    pytest.mark.usefixtures("no_thread_is_left"),
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]


class InterruptedClock(SystemClock):
    """Raises KeyboardInterrupt when the time is read for the n-th time."""

    def __init__(self, reads: int) -> None:
        self.reads = reads

    def time(self) -> float:  # type: ignore[override]
        self.reads -= 1
        if self.reads == 0:
            raise KeyboardInterrupt
        return SystemClock.time()


@pytest.mark.parametrize("reads", range(1, 14))
def test_an_interrupt_wherever_the_time_is_read(reads: int) -> None:
    """The stream ends with the interrupt, and its source is closed if it was opened."""
    log: list[str] = []

    class Recorded:
        def __iter__(self) -> Any:
            return iter([1, 2, 3])

        def close(self) -> None:
            log.append("closed")

    def factory() -> Recorded:
        log.append("opened")
        return Recorded()

    def consume() -> None:
        clock.set(InterruptedClock(reads))
        with pytest.raises(KeyboardInterrupt):
            list(stream_of(factory, mark_takeovers=True))
            raise KeyboardInterrupt  # it came to its end before

    copy_context().run(consume)
    wait_until(lambda: log.count("opened") == log.count("closed"))


@pytest.mark.parametrize("how", ["closed", "deleted"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_just_before_the_guard_acts(how: str) -> None:
    """It sends what is open before the interpreter looks at the signal.

    All calls are made by `map`, in C, so that the handler runs in the guard and not before.
    """
    queue: SimpleQueue[Any] = SimpleQueue()
    guards = [_guard(queue.put, ["open"])]
    next(guards[0])
    end = guards[0].close if how == "closed" else guards.clear
    if how == "closed":
        guards.clear()
    raise_signal = getattr(ctypes.CDLL(None), "raise")
    calls = [partial(raise_signal, signal.SIGINT), end]
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    del end
    interrupted = False
    try:
        deque(map(operator.call, calls), maxlen=0)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        signal.signal(signal.SIGINT, previous)
    assert queue.get_nowait() == ["open"]
    assert interrupted or how == "deleted"  # Python ignores what a finalizer raises


def test_ctrl_c_while_the_source_blocks() -> None:
    """A real SIGINT ends the main thread's wait for a blocked source."""
    script = """
        import os, signal, sys, threading, time
        from failover_iter import failover_stream

        # A shell starts what it runs in the background with Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def press():
            main = threading.main_thread().ident
            while sys._current_frames()[main].f_code.co_name != "get":
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


#: Interrupts streams at random for some seconds, then prints what went wrong.
RANDOM = """
    import _thread, logging, random, signal, sys, time
    from failover_iter import failover_stream

    class Interrupt(KeyboardInterrupt):
        pass

    def handler(*_):
        if armed:
            raise Interrupt

    class Source:
        def __init__(self, log):
            self.count, self.log = 0, log
            log.append("opened")

        def __iter__(self):
            return self

        def __next__(self):
            self.count += 1
            if self.count == 10:
                raise OSError("down")
            return self.count

        def close(self):
            self.log.append("closed")

    def generator(log):
        log.append("opened")
        try:
            yield from range(10)
            raise OSError("down")
        finally:
            log.append("closed")

    def interrupted(stream):
        global armed
        try:
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 3e-3))
                for _ in stream:
                    pass
            finally:
                armed = False
        except OSError:
            return False
        except Interrupt:
            return True

    armed = False
    logging.disable()
    sys.unraisablehook = lambda _: None  # an interrupt in a finalizer: Python ignores it
    signal.signal(signal.SIGALRM, handler)
    threads = _thread._count()
    end = time.monotonic() + float(sys.argv[1])
    faults, interrupts = set(), 0
    while time.monotonic() < end:
        log, kind = [], random.choice([Source, generator])
        stream = failover_stream([lambda: kind(log)] * 2, retry_on=OSError, idle_timeout=5)
        try:
            interrupts += interrupted(stream)
        except Interrupt:
            interrupts += 1
        except BaseException as error:
            faults.add(repr(error))
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        del stream
        patience = time.monotonic() + 5
        while log.count("opened") != log.count("closed") or _thread._count() > threads:
            time.sleep(0.0002)
            if time.monotonic() > patience:
                faults.add(f"left over: {log}, {_thread._count() - threads} threads")
                break
    print(faults or "{}", interrupts > 20)
"""


def test_real_signals_at_random() -> None:
    """Whatever a signal hits, the source is closed, and the thread ends."""
    assert printed_by(RANDOM, "1.5") == "{} True\n"


@pytest.mark.slow
def test_real_signals_at_random_for_longer() -> None:
    """The same for up to half a minute: for 0.1 s for each example of a long test."""
    assert printed_by(RANDOM, str(min(EXAMPLES / 10, 30))) == "{} True\n"


#: Interrupts a stream at one line of the library after the other, and prints what went wrong.
EACH_LINE = """
    import _thread, logging, sys, time
    from failover_iter import failover_stream

    logging.disable()
    sys.unraisablehook = lambda _: None  # an interrupt in a finalizer: Python ignores it
    threads = _thread._count()

    class Source:
        def __init__(self, log):
            self.count, self.log = 0, log
            log.append("opened")

        def __iter__(self):
            return self

        def __next__(self):
            self.count += 1
            if self.count == 3:
                raise OSError("down")
            return self.count

        def close(self):
            self.log.append("closed")

    def consume(stream, log):
        for _ in stream:
            if log.count("opened") == 2:
                stream.close()

    def outcome(line, log):
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
            # No signal handler runs in the guard before it has acted.
            if "failover_iter" in code.co_filename and code.co_name != "_guard":
                return at_line

        stream = failover_stream([lambda: Source(log)] * 2, retry_on=OSError, idle_timeout=5)
        try:
            sys.settrace(at_call)
            consume(stream, log)
        except BaseException as error:
            return type(error).__name__
        finally:
            sys.settrace(None)
        return "the end"

    faults, line, how = [], 1, "KeyboardInterrupt"
    while how == "KeyboardInterrupt":
        log = []
        how = outcome(line, log)
        patience = time.monotonic() + 5
        while log.count("opened") != log.count("closed") or _thread._count() > threads:
            time.sleep(0.0002)
            if time.monotonic() > patience:
                faults.append((line, how, log))
                break
        line += int(sys.argv[1])
    print(faults, how, line > 500)
"""


def test_an_interrupt_at_many_lines() -> None:
    """Each way out of the consumer's code leads to a closed source and an ended thread."""
    assert printed_by(EACH_LINE, "13") == "[] the end True\n"


@pytest.mark.slow
def test_an_interrupt_at_each_line() -> None:
    """The same for each line of the library that the consumer's thread runs."""
    assert printed_by(EACH_LINE, "1") == "[] the end True\n"


def test_an_interrupt_while_the_thread_starts() -> None:
    """The start is one call in C: there is nothing that an interrupt could leave half done."""
    script = """
        import _thread, sys, threading, time
        from failover_iter import failover_stream

        def interrupt(frame, event, arg):
            if event == "call" and frame.f_code.co_name in ("serve", "_ask", "take"):
                sys.settrace(None)
                raise KeyboardInterrupt

        for _ in range(5):
            sys.settrace(interrupt)
            try:
                next(failover_stream([lambda: iter([1])], retry_on=OSError, idle_timeout=5))
            except KeyboardInterrupt:
                print("interrupted")
            finally:
                sys.settrace(None)
        end = time.monotonic() + 10
        while _thread._count() and time.monotonic() < end:
            time.sleep(0.001)
        print(_thread._count())
    """
    assert printed_by(script) == "interrupted\n" * 5 + "0\n"


@needs_monitoring
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_source_in_a_thread_is_never_blamed_for_a_handler() -> None:
    """The consumer gets the exception of the handler, even if `retry_on` lists it."""
    number = 1
    while True:
        events: list[Event] = []
        made, got, signal_ = Sources(), list[int](), Signal(number)
        stream = failover_stream(
            [made.started] * 2,
            retry_on=(Soft, ConnectionError),
            mid_stream="skip",
            idle_timeout=LONG,
            on_event=events.append,
        )
        with signal_.armed():
            try:
                got.extend(stream)
                assert got == [*range(6)]
            except Soft:
                assert got == [*range(len(got))]
        failures = [event.error for event in events if isinstance(event, Failed) and event.matched]
        assert [type(error) for error in failures] in ([], [ConnectionError])
        wait_until(lambda made=made: all(each.closed for each in made.opened))
        if signal_.left > 0:  # there were fewer checks
            assert number > 200
            return
        number += 1


def test_an_interrupted_close_leaves_the_rest_to_the_thread() -> None:
    """An interrupt before the close was asked for: the thread closes the source all the same."""
    source = Endless()
    stream = stream_of(lambda: source)
    next(stream)
    attempt = stream.gi_frame.f_locals["source"]

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    attempt.worker.close = interrupted
    with pytest.raises(KeyboardInterrupt):
        stream.close()
    del attempt
    wait_until(lambda: source.log)
    assert source.log == ["closed"]
