"""A blocked source is abandoned: `on_abandon` is called, and the source is closed later."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from drivers.threads import Interrupted, Stall, mailboxes, wait_until
from failover_iter import SourceTimeout
from failover_iter._core.deadlines import SourceDeadline
from failover_iter._core.groups import Level
from failover_iter._core.sources import ResolvedSource, SourceQueue
from failover_iter._drivers.clock import clock
from failover_iter._drivers.mailbox import Job
from failover_iter._drivers.timed_thread import Remote, Worker
from failover_iter._options import Options
from failover_iter.testing import VirtualClock

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class TestAbort:
    """`on_abandon` is called before the thread may close."""

    def worker(self, fake: VirtualClock, factory: Any, on_abandon: Any) -> tuple[Worker, Any]:
        options = Options(retry_on=OSError, idle_timeout=1.0)
        source = ResolvedSource(factory, 0, options)
        source.name = "unit"
        level = Level(options, SourceQueue((source,), "sync", options), fake.time(), None)
        level.source, level.opened_at = source, fake.time()
        deadline = SourceDeadline([level], fake.time)
        worker = Worker(source, deadline, None, on_abandon)
        return worker, Remote(worker, worker.open(factory, ()))

    def test_before_the_source_is_closed(self, fake: VirtualClock) -> None:
        """It gets the iterable, in the consumer's thread; the source returns and waits for it."""
        stall = Stall(fake)

        def abort(opened: Any) -> None:
            assert opened is stall
            fake._late[0].wakes.set()
            (box,) = mailboxes()
            wait_until(lambda: box.state == "idle")
            stall.log.append("aborted")

        worker, remote = self.worker(fake, lambda: stall, abort)
        with pytest.raises(SourceTimeout):
            next(remote)
        assert worker.abandoned
        fake.wake_all()
        assert stall.log == ["returned", "aborted", "closed"]

    def test_its_errors_are_logged(
        self, fake: VirtualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """They do not hide the timeout."""
        stall = Stall(fake)

        def abort(_: object) -> None:
            raise OSError("socket is closed")

        _, remote = self.worker(fake, lambda: stall, abort)
        with pytest.raises(SourceTimeout):
            next(remote)
        assert caplog.messages == ["unit raised OSError: socket is closed when it was aborted"]
        fake.wake_all()
        assert stall.log == ["returned", "closed"]

    def test_an_interrupt_while_it_aborts(self, fake: VirtualClock) -> None:
        """The source is left to its thread all the same, and not aborted again."""
        stall, calls = Stall(fake), list[Any]()

        def abort(opened: object) -> None:
            calls.append(opened)
            raise KeyboardInterrupt

        worker, remote = self.worker(fake, lambda: stall, abort)
        with pytest.raises(KeyboardInterrupt):
            next(remote)
        remote.close()
        fake.wake_all()
        assert (calls, stall.log) == ([stall], ["returned", "closed"])
        assert worker.abandoned

    def test_an_interrupt_before_the_wait(self, fake: VirtualClock) -> None:
        """A job that was not sent leaves the thread idle; closing ends it."""
        stall, calls = Stall(fake), list[Any]()
        worker, remote = self.worker(fake, lambda: stall, calls.append)
        worker._job = Job(stall.__next__)
        remote.close()
        wait_until(lambda: stall.log)
        assert (calls, stall.log) == ([stall], ["closed"])

    def test_not_while_it_closes(self) -> None:
        """An interrupt while the source closes leaves the rest to the thread, without an abort."""
        fake, let_go = Interrupted(), threading.Event()
        calls, log = list[Any](), list[str]()

        class SlowToClose(Stall):
            def close(self) -> None:
                fake.sleep(1e9)
                log.append("iterator")

        class Response:
            def __iter__(self) -> Any:
                return SlowToClose(fake)

            def close(self) -> None:
                log.append("response")
                let_go.set()

        fake.waits_for_ever = 10.0
        token = clock.set(fake)
        try:
            worker, remote = self.worker(fake, Response, calls.append)
            iterator = iter(remote)
            with pytest.raises(KeyboardInterrupt):
                iterator.close()  # type: ignore[attr-defined]
            remote.close()
            assert (worker.abandoned, calls, log) == (True, [], [])
            fake.wake_all()
            assert let_go.wait(10)
            assert log == ["iterator", "response"]
        finally:
            clock.reset(token)
