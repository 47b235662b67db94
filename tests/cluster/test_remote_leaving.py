"""`remote` and `aremote` on a fake of Ray: how a task ends when its stream leaves it."""

from __future__ import annotations

import _thread
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cluster.fake_ray import FakeRay, RayError, WorkerCrashedError
from cluster.faked import FLAVOURS, MAKERS, deliver, ray, ten
from drivers.conftest import fake as clock
from drivers.conftest import no_thread_is_left
from drivers.threads import mailboxes, wait_until
from failover_iter import Progress, Source, SourceTimeout, failover_stream
from failover_iter.ray import _worker, remote
from failover_iter.testing import VirtualClock

__all__ = ["clock", "no_thread_is_left", "ray"]  # fixtures


def test_an_orphan_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose raylet has died closes its source and exits at the next batch."""
    closed: list[str] = []

    def source() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append("closed")

    parents = iter([17, 17, 1])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    batches = _worker.run(partial(source), 3)
    assert next(batches).items == []
    assert next(batches).items == [0]
    assert next(batches).items == [1, 2, 3]
    with pytest.raises(SystemExit, match="the raylet of this node has died"):
        next(batches)
    assert closed == ["closed"]


def test_a_worker_that_ignores_ctrl_c() -> None:
    """Ray interrupts a source all the same, and the next task finds the worker as it was."""

    def source() -> Iterator[Any]:
        _thread.interrupt_main()  # as Ray does to cancel a task
        yield from range(10)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(_worker.run(partial(source), 3))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@FLAVOURS
def test_leaving_cancels_and_waits(flavour: str, ray: FakeRay) -> None:
    """A task that is left is cancelled, and one that does not end is killed."""
    assert deliver(flavour, MAKERS[flavour](ten, batch=2), stop_at=3) == [0, 1, 2]
    assert [each for each in ray.log if each != "wait"] == ["cancel"]
    ray.log.clear()
    ray.obeys = False
    assert deliver(flavour, MAKERS[flavour](ten, batch=2), stop_at=3) == [0, 1, 2]
    *log, killed = [each for each in ray.log if each != "wait"]
    assert log == ["cancel", "kill"]
    assert re.fullmatch(rf"kill_named {os.getpid()} ray::[0-9a-f]{{10}} on node 7", killed)


@FLAVOURS
def test_a_task_that_hangs_before_its_first_message(flavour: str, ray: FakeRay) -> None:
    """Nobody knows where it runs, so Ray alone kills it."""
    ray.fault = WorkerCrashedError
    ray.obeys = ray.crash_ends = False
    with pytest.raises(WorkerCrashedError):
        deliver(flavour, MAKERS[flavour](ten))
    assert [each for each in ray.log if each != "wait"] == ["cancel", "kill"]


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="there is no /proc")
def test_only_the_process_of_the_task_is_killed() -> None:
    """Its number may belong to another one meanwhile, and it may run another task."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        comm = Path(f"/proc/{process.pid}/comm")
        wait_until(lambda: comm.read_text().startswith("python"))
        _worker.kill_named(process.pid, "ray::another")
        assert process.poll() is None
        _worker.kill_named(process.pid, comm.read_text().rstrip("\n"))
        assert process.wait() == -signal.SIGKILL
    _worker.kill_named(process.pid, "ray::another")


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="there is no /proc")
def test_the_name_of_a_worker() -> None:
    """While a task runs, its process has a name that no other one has."""
    comm = Path(f"/proc/{os.getpid()}/comm")
    before = comm.read_text()
    batches = _worker.run(partial(iter, [1, 2]), 3)
    worker = next(batches).worker
    assert worker is not None
    assert comm.read_text() == f"{worker.name}\n" != before
    batches.close()
    assert comm.read_text() == before


@FLAVOURS
def test_ray_was_shut_down(flavour: str, ray: FakeRay) -> None:
    """Without a connection there is nothing to cancel."""

    def source(_: Progress[int]) -> Iterator[int]:
        ray.initialized = False
        yield 1
        yield 2

    assert deliver(flavour, MAKERS[flavour](source), stop_at=1) == [1]
    assert ray.log == []


@FLAVOURS
def test_a_task_that_does_not_start(flavour: str, ray: FakeRay) -> None:
    """What Ray raises instead of starting a task is raised, and nothing is cancelled."""
    factory = MAKERS[flavour](ten)

    def refuse(*_: object) -> Any:
        raise RayError("no connection")

    ray.start = refuse  # type: ignore[assignment]
    with pytest.raises(RayError, match="no connection"):
        deliver(flavour, factory)
    assert ray.log == []


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_blocked_task_is_aborted(
    ray: FakeRay, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that leaves a blocked source cancels its task; the thread ends without a word."""
    cancelled = threading.Event()

    def get(ref: Any) -> Any:
        batch = ref.take()
        if batch.items in ([], [1]):
            return batch
        clock.sleep(1e9)
        cancelled.wait()
        raise WorkerCrashedError

    cancel = ray.cancel

    def cancel_and_release(task: Any, *, force: bool = False) -> None:
        cancel(task, force=force)
        cancelled.set()

    ray.get = get  # type: ignore[method-assign]
    ray.cancel = cancel_and_release  # type: ignore[method-assign]
    stream = failover_stream([remote(lambda: [1, 2], batch=1)], retry_on=OSError, idle_timeout=1)
    assert next(stream) == 1
    with pytest.raises(SourceTimeout):
        next(stream)
    clock.wake_all()
    wait_until(lambda: cancelled.is_set() and not mailboxes())
    assert "abandoned" not in caplog.text


def test_an_error_of_another_kind_is_not_lost(ray: FakeRay) -> None:
    """Only a task that was aborted may fail without a word, once it has begun."""
    opened = remote(ten)(Progress())
    opened.failover_abort()  # type: ignore[attr-defined]
    ray.fault = WorkerCrashedError
    with pytest.raises(WorkerCrashedError):
        list(opened)


@pytest.mark.usefixtures("no_thread_is_left")
def test_an_abort_that_is_given_comes_first(clock: VirtualClock) -> None:
    """`Source(abort=...)` is called instead of the abort of the opened object."""
    called: list[str] = []

    class Opened:
        def __iter__(self) -> Iterator[int]:
            clock.sleep(1e9)
            yield 1

        def failover_abort(self) -> None:
            called.append("own")

    for abort in (None, lambda opened, memo: called.append("given")):
        stream = failover_stream([Source(Opened, abort=abort)], retry_on=OSError, idle_timeout=1)
        with pytest.raises(SourceTimeout):
            list(stream)
        clock.wake_all()
    assert called == ["own", "given"]
