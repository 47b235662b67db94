"""`remote` and `aremote` on a real Ray cluster of two nodes, of which workers and nodes die.

`.ci/full` runs them without a network: `unshare -n`, with the loopback device up.
"""

from __future__ import annotations

import ast
import asyncio
import ctypes
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from failover_iter import Bookmark, DivergedStream, Progress, Resume, Skip, afailover_stream
from support.needs import needs

ray = needs("ray")

from ray.cluster_utils import Cluster  # noqa: E402 (it needs Ray)

from cluster.nodes import (  # noqa: E402
    LIMIT,
    Item,
    Once,
    add_node,
    cluster,
    counted,
    deliver,
    nothing_is_left,
    numbers_of,
)
from failover_iter.ray import aremote  # noqa: E402

__all__ = ["cluster", "nothing_is_left"]  # fixtures

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray leaves files open
FLAVOURS = pytest.mark.parametrize("flavour", ["sync", "async"])
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import it


@FLAVOURS
def test_the_worker_is_killed(flavour: str) -> None:
    """Another worker takes over after the last delivered item, and each item comes once."""
    kill = Once(57, lambda item: os.kill(item.pid, signal.SIGKILL))
    items = deliver(flavour, [counted(200, 0.005)], kill, attempts=2)
    assert numbers_of(items) == list(range(200))
    assert len({item.pid for item in items}) == 2


@FLAVOURS
def test_workers_are_killed_again_and_again(flavour: str) -> None:
    """Wherever it happens, each item comes once."""
    started: dict[int, int] = {}

    def kill(item: Item) -> None:
        started.setdefault(item.pid, item.number)
        if item.number - started[item.pid] == 23:  # within a batch
            os.kill(item.pid, signal.SIGKILL)

    items = deliver(
        flavour, [counted(150, 0.002)], kill, attempts=2, reset_on_progress=True
    )  # fmt: skip
    assert numbers_of(items) == list(range(150))
    assert len(started) > 2


@FLAVOURS
def test_the_worker_hangs(flavour: str) -> None:
    """A timeout leaves a stopped worker, another takes over, and the stopped one is killed."""
    stop = Once(57, lambda item: os.kill(item.pid, signal.SIGSTOP))
    items = deliver(  # on a busy machine, others may be late, too
        flavour, [counted(200, 0.005)], stop, attempts=9, idle_timeout=1, first_item_timeout=30
    )  # fmt: skip
    assert numbers_of(items) == list(range(200))
    assert len({item.pid for item in items}) >= 2


@FLAVOURS
def test_the_worker_hangs_in_c(flavour: str) -> None:
    """A worker that runs no more Python cannot close its source: it is killed."""

    def source(progress: Progress[int]) -> Iterator[int]:
        for number in range(progress.delivered, 30):
            if number == 17 and progress.attempt == 1:
                ctypes.PyDLL(None).sleep(1000)  # it holds the GIL
            yield number

    found = deliver(flavour, [source], attempts=9, idle_timeout=2, first_item_timeout=30)
    assert found == list(range(30))


@FLAVOURS
def test_the_worker_stops_before_its_first_item(flavour: str) -> None:
    """It is killed as well, although it has sent nothing yet."""

    def source(progress: Progress[int]) -> Iterator[int]:
        if progress.attempt == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        yield from range(progress.delivered, 30)

    found = deliver(flavour, [source], attempts=9, first_item_timeout=5)
    assert found == list(range(30))


@FLAVOURS
def test_the_source_raises(flavour: str) -> None:
    """Its error keeps class and attributes, the items before it are delivered, and it resumes."""

    class Refused(ConnectionError):
        def __init__(self, status: int, *, response: object) -> None:
            super().__init__(f"HTTP status {status}")
            self.status = status
            self.response = response  # an open file: it does not pickle

    def source(progress: Progress[int]) -> Iterator[int]:
        for number in range(progress.delivered, 30):
            if number == 17 and progress.attempt == 1:
                with Path(os.devnull).open() as file:
                    raise Refused(503, response=file)
            yield number

    seen: list[Any] = []

    def matches(error: Exception) -> bool:
        seen.append(error)
        return isinstance(error, Refused)

    assert deliver(flavour, [source], attempts=2, retry_on=matches) == list(range(30))
    (error,) = seen
    assert (type(error), str(error), error.status) == (Refused, "HTTP status 503", 503)
    assert "raise Refused(503, response=file)" in error.__notes__[0]


@FLAVOURS
def test_a_bug_is_no_failure(flavour: str) -> None:
    """An error of the source never becomes a `RayError`, nor does an item that does not pickle."""

    def buggy(_: Progress[int]) -> Iterator[int]:
        yield 1
        raise KeyError("naem")

    def unsendable(_: Progress[int]) -> Iterator[Any]:
        yield (number for number in (1, 2))

    with pytest.raises(KeyError, match="naem"):
        deliver(flavour, [buggy], attempts=9)
    with pytest.raises(TypeError, match="cannot pickle 'generator' object"):
        deliver(flavour, [unsendable], attempts=9)


@FLAVOURS
def test_the_source_diverges_on_replay(flavour: str) -> None:
    """With `skip`, a source that replays other items fails, and nothing wrong is delivered."""

    def source() -> Iterator[Item]:
        pid = os.getpid()
        for number in range(100):
            time.sleep(0.005)
            yield Item(number, pid, f"item {number} of {pid}")

    kill = Once(57, lambda item: os.kill(item.pid, signal.SIGKILL))
    skip = Skip(key=lambda item: item.node)
    with pytest.raises(DivergedStream, match="source replayed other items than the 5[89]"):
        deliver(flavour, [source], kill, attempts=2, mid_stream=skip, switch_on=DivergedStream)


@FLAVOURS
def test_the_source_replays_the_same(flavour: str) -> None:
    """With `skip`, a source that replays the same items needs no progress."""

    def source() -> Iterator[Item]:
        for number in range(100):
            time.sleep(0.005)
            yield Item(number, os.getpid(), "")

    kill = Once(57, lambda item: os.kill(item.pid, signal.SIGKILL))
    skip = Skip(key=lambda item: item.number)
    items = deliver(flavour, [source], kill, attempts=2, mid_stream=skip)
    assert numbers_of(items) == list(range(100))


@FLAVOURS
@pytest.mark.parametrize("batch", [1, 8])
def test_large_items(flavour: str, batch: int) -> None:
    """Items of 1 MB, more of them than the object stores hold, when the worker dies midway."""

    def source(progress: Progress[Any]) -> Iterator[tuple[Item, bytes]]:
        for number in range(progress.delivered, 400):
            yield Item(number, os.getpid(), ""), number.to_bytes(4) * 2**18

    kill = Once(157, lambda item: os.kill(item.pid, signal.SIGKILL))

    def check(pair: tuple[Item, bytes]) -> None:
        item, data = pair
        assert data == item.number.to_bytes(4) * 2**18
        seen.append(item.number)
        kill(item)

    seen: list[int] = []
    deliver(flavour, [source], lambda pair: check(pair), batch=batch, attempts=2)
    assert seen == list(range(400))


@FLAVOURS
@pytest.mark.parametrize(("batch", "ahead"), [(1, 1), (10, 2), (7, 3)])
def test_ahead_is_a_bound(flavour: str, batch: int, ahead: int, tmp_path: Path) -> None:
    """A source never produces more than `ahead` batches before the stream asks for them."""
    path = tmp_path / "produced"
    path.touch()

    def source(_: Progress[int]) -> Iterator[int]:
        with path.open("ab", buffering=0) as file:
            for number in range(300):
                file.write(b".")
                yield number

    def check(number: int) -> None:
        if number % 37 == 0:
            time.sleep(0.1)  # the source goes as far as it may
        gaps.append(path.stat().st_size - number - 1)

    gaps: list[int] = []
    assert len(deliver(flavour, [source], check, batch=batch, ahead=ahead)) == 300
    assert max(gaps) <= (ahead + 1) * batch - 1  # the batch of which this item is the first
    assert max(gaps) > 0


@FLAVOURS
def test_cursor_bookmarks_and_memo(flavour: str) -> None:
    """The cursor and the memo reach the source on its worker; the driver gets the new memo."""

    def source(progress: Progress[Item]) -> Iterator[Any]:
        memo = progress.memo
        memo.setdefault("opened", []).append(progress.cursor)
        for page in range(progress.cursor, 10):
            for number in range(page * 10, page * 10 + 10):
                time.sleep(0.005)
                yield Item(number, os.getpid(), repr(memo["opened"]))
            yield Bookmark(page + 1)

    kill = Once(57, lambda item: os.kill(item.pid, signal.SIGKILL))
    items = deliver(flavour, [source], kill, attempts=2, mid_stream=Resume(start=0))
    assert numbers_of(items) == list(range(100))
    resumed = next(item.number for item in items if item.pid == items[-1].pid)
    begun, cursor = ast.literal_eval(items[-1].node)
    assert begun == 0
    assert cursor * 10 <= resumed <= cursor * 10 + 10  # the bookmark may be on its way


@FLAVOURS
def test_the_consumer_leaves(flavour: str, tmp_path: Path) -> None:
    """The source is closed on its worker before the stream has closed."""
    closed = tmp_path / "closed"

    def source(_: Progress[int]) -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.touch()

    class Left(Exception):
        pass

    def leave(number: int) -> None:
        if number == 1234:
            time.sleep(0.2)  # the source waits, because it is ahead
            raise Left

    with pytest.raises(Left):
        deliver(flavour, [source], leave, batch=100)
    assert closed.exists()


def test_a_cancelled_task(tmp_path: Path) -> None:
    """A task that is cancelled while it waits for the source closes it, too."""
    closed = tmp_path / "closed"

    def source() -> Iterator[int]:
        try:
            yield 1
            while True:
                time.sleep(0.01)
        finally:
            closed.touch()

    async def main() -> None:
        stream = afailover_stream([aremote(source)], retry_on=OSError)
        async with aclosing(stream), asyncio.timeout(None) as limit:
            async for _ in stream:  # however long the worker takes to start
                limit.reschedule(asyncio.get_running_loop().time() + 0.3)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert closed.exists()


@pytest.mark.parametrize("way", ["killed", "exits", "raises"])
def test_the_driver_leaves(way: str, cluster: Cluster) -> None:
    """However the driver ends in the middle of a stream, its task ends with it."""
    script = """
        import itertools, os, signal, sys, time, ray
        from failover_iter import failover_stream
        from failover_iter.ray import remote

        def source():
            yield from itertools.count()

        ray.init(sys.argv[1], log_to_driver=False, logging_level="CRITICAL",
                 _node_ip_address="127.0.0.1")
        stream = failover_stream([remote(source)], retry_on=OSError)
        for number in stream:
            if number == 1000:
                break
        time.sleep(0.2)
        match sys.argv[2]:
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                sys.exit(3)
            case "raises":
                raise KeyError("naem")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), cluster.address, way]
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    expected = {"killed": -signal.SIGKILL, "exits": 3, "raises": 1}
    assert done.returncode == expected[way], done.stderr
    assert "failover_iter" not in done.stderr


# Last, because the cluster goes on to use a dead node for some seconds.


def kill_raylet(cluster: Cluster, item: Item) -> None:
    (node,) = [each for each in cluster.worker_nodes if each.node_id == item.node]
    for raylet in node.all_processes["raylet"]:
        os.kill(raylet.process.pid, signal.SIGKILL)
    cluster.worker_nodes.discard(node)


@FLAVOURS
def test_the_raylet_is_killed(flavour: str, cluster: Cluster) -> None:
    """The other node takes over after the last delivered item."""
    kill = Once(57, lambda item: kill_raylet(cluster, item))
    items = deliver(flavour, [counted(200, 0.005)], kill, attempts=20, wait=0.5)
    assert numbers_of(items) == list(range(200))
    assert len({item.node for item in items}) == 2
    add_node(cluster)


@FLAVOURS
def test_the_raylet_is_killed_and_the_consumer_leaves(flavour: str, cluster: Cluster) -> None:
    """The worker ends, though nothing can reach it."""

    class Left(Exception):
        pass

    def leave(item: Item) -> None:
        kill_raylet(cluster, item)
        raise Left

    with pytest.raises(Left):
        deliver(flavour, [counted(10**9)], Once(57, leave), attempts=20, wait=0.5)
    add_node(cluster)
