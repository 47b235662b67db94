"""Threads of timed streams in a forked child, and when the interpreter exits."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from drivers.threads import Endless, Stall, mailboxes, printed_by, stream_of
from failover_iter import SourceTimeout
from failover_iter._drivers import mailbox
from failover_iter.testing import VirtualClock

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class TestFork:
    """The thread of a source stays in the parent."""

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    def test_the_child_gets_an_error(self) -> None:
        """It can neither hang nor switch to another source; a new stream works."""
        script = """
            import os, warnings
            from failover_iter import failover_stream

            warnings.simplefilter("ignore")

            def stream_of(*sources):
                return failover_stream(sources, retry_on=Exception, first_item_timeout=60)

            stream = stream_of(lambda: iter([1, 2]), lambda: iter([3]))
            print(next(stream), flush=True)
            if os.fork():
                os.wait()
                print(list(stream))
            else:
                try:
                    next(stream)
                except RuntimeError as error:
                    print(error)
                stream.close()
                print(list(stream_of(lambda: iter([4]))), flush=True)
                os._exit(0)
        """
        assert printed_by(script) == (
            "1\na stream with a timeout cannot be continued in a forked child process: its thread "
            "exists only in the parent\n[4]\n[2]\n"
        )

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    def test_closing_in_the_child_does_not_hang(self) -> None:
        """Nobody would answer; the parent closes the source."""
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
            else:
                os._exit(0)
        """
        assert printed_by(script) == "done\n"

    def test_what_the_child_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same, in this process."""
        source = Endless()
        stream = stream_of(lambda: source, retry_on=Exception)
        next(stream)
        with monkeypatch.context() as patch:
            patch.setattr(mailbox, "_served", set(mailbox._served))
            mailbox._leave_threads_behind()
        with pytest.raises(RuntimeError, match="cannot be continued in a forked child process"):
            next(stream)


class TestExit:
    """At the interpreter's exit, sources at rest are closed, and nothing is waited for in vain."""

    def test_for_real(self) -> None:
        """Closed are streams at rest, in a cycle too; left are blocked sources and daemon threads.

        A source whose `close` blocks delays the exit for a moment only.
        """
        script = """
            import atexit, logging, os, threading, time
            from failover_iter import SourceTimeout, failover_stream

            logging.disable()
            started = time.monotonic()

            class Source:
                def __init__(self, name):
                    self.name = name

                def __iter__(self):
                    return self

                def __next__(self):
                    return 1

                def close(self):
                    os.write(1, f"closed {self.name}\\n".encode())

            class SlowToClose(Source):
                def close(self):
                    super().close()
                    time.sleep(1000)

            def blocks():
                time.sleep(1000)
                yield

            def late():
                try:
                    next(stream)
                except RuntimeError as error:
                    print(error, time.monotonic() - started < 20)

            atexit.register(late)  # runs after the hook of the library
            try:
                list(failover_stream([blocks], retry_on=OSError, idle_timeout=0.01))
            except SourceTimeout:
                print("timeout", flush=True)

            def stream_of(source):
                stream = failover_stream([lambda: source], retry_on=OSError, idle_timeout=60)
                next(stream)
                return stream

            def pull_for_ever():
                stream = stream_of(Source("of a daemon thread"))
                ready.set()
                while True:
                    next(stream)
                    time.sleep(0.001)

            ready = threading.Event()
            threading.Thread(target=pull_for_ever, daemon=True).start()
            ready.wait()
            stream = stream_of(Source("at rest"))
            tied = Source("in a cycle")
            tied.stream = stream_of(tied)
            del tied
            slow = stream_of(SlowToClose("slowly"))
        """
        timeout, *closed, late = printed_by(script).splitlines()
        assert timeout == "timeout"
        assert sorted(closed) == ["closed at rest", "closed in a cycle", "closed slowly"]
        assert late == (
            "a stream with a timeout cannot be continued while the interpreter exits True"
        )

    def test_a_source_at_rest_is_closed(self) -> None:
        """The hook waits until it is."""
        source = Endless()
        stream = stream_of(lambda: source)
        next(stream)
        mailbox.close_at_exit()
        assert source.log == ["closed"]
        with pytest.raises(RuntimeError, match="cannot be continued while the interpreter exits"):
            next(stream)

    def test_without_a_thread_of_threading(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The thread that serves because no other could be started is waited for too."""

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        source = Endless()
        stream = stream_of(lambda: source)
        next(stream)
        mailbox.close_at_exit()
        assert source.log == ["closed"]

    def test_a_slow_source_is_waited_for_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The hook of the streams calls the hook of the threads, too."""
        closing, let_go = threading.Event(), threading.Event()

        class Slow(Endless):
            def close(self) -> None:
                closing.set()
                let_go.wait()

        stream = stream_of(Slow)
        next(stream)
        monkeypatch.setattr(mailbox, "EXIT_SECONDS", 0)
        mailbox.close_at_exit()
        closing.wait()
        monkeypatch.setattr(mailbox, "EXIT_SECONDS", 1e6)
        mailbox.close_at_exit()
        let_go.set()

    def test_a_blocked_source_is_left_alone(self, fake: VirtualClock) -> None:
        """Python ends its thread with the process."""
        stall = Stall(fake)
        with pytest.raises(SourceTimeout):
            list(stream_of(lambda: stall, idle_timeout=1))
        mailbox.close_at_exit()
        assert stall.log == []

    def test_a_stream_of_another_thread_is_left_alone(self) -> None:
        """Its consumer may be pulling it."""
        source, pulled, let_go = Endless(), threading.Event(), threading.Event()

        def consume() -> None:
            stream = stream_of(lambda: source)
            next(stream)
            pulled.set()
            let_go.wait()
            next(stream)
            source.log.append("went on")
            stream.close()

        consumer = threading.Thread(target=consume)
        consumer.start()
        pulled.wait()
        mailbox.close_at_exit()
        let_go.set()
        consumer.join()
        assert source.log == ["went on", "closed"]

    @pytest.mark.parametrize("busy", [False, True])
    def test_a_source_that_is_being_closed(
        self, monkeypatch: pytest.MonkeyPatch, busy: bool
    ) -> None:
        """The hook waits for it, but not for long."""
        monkeypatch.setattr(mailbox, "EXIT_SECONDS", 0.01)
        closes, let_go = threading.Event(), threading.Event()

        class SlowToClose(Endless):
            def close(self) -> None:
                closes.set()
                let_go.wait()

        stream = stream_of(SlowToClose)
        next(stream)
        (box,) = mailboxes()
        del stream
        if busy:
            closes.wait()
            assert box.state == "closing"
        mailbox.close_at_exit()
        let_go.set()

    def test_while_the_guard_acts(self) -> None:
        """A guard that another thread is closing is left to that thread."""
        stream: Any = stream_of(Endless)
        next(stream)
        (box,) = mailboxes()

        class Running:
            def close(self) -> None:
                raise ValueError("generator already executing")

        guard, box.guard = box.guard, Running  # type: ignore[assignment]
        del stream
        assert guard() is None
        mailbox.close_at_exit()
