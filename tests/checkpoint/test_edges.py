"""Checkpoints under threads, cancellation and forks, and with cursors that change in place."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import failover_iter
import failover_iter.checkpoint._file_store
from failover_iter import (
    Bookmark,
    Checkpoint,
    CheckpointError,
    Decide,
    Policy,
    Resume,
    Source,
    afailover_stream,
    failover_stream,
)
from failover_iter._drivers.clock import clock
from failover_iter.checkpoint import FileStore, SQLiteStore
from support.needs import needs

from .memory import Disk
from .streams import RESUME, anumbers, numbers, stream

ROOT = Path(failover_iter.__file__).parents[1]


def astream(checkpoint: Checkpoint, **options: Any) -> Any:
    options = {"retry_on": OSError, "mid_stream": RESUME, **options}
    return afailover_stream([anumbers], checkpoint=checkpoint, **options)


class Gate:
    """A store whose calls wait until they may go on."""

    def __init__(self) -> None:
        self.store = Disk().store()
        self.is_reached, self.is_free = threading.Event(), threading.Event()

    def load(self) -> str | None:
        self.is_reached.set()
        assert self.is_free.wait(30)
        return self.store.load()

    def save(self, state: str, /) -> None:
        self.store.save(state)

    def close(self) -> None:
        self.store.close()


async def reached(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.is_reached.wait, 30)


def test_cancelled_while_it_loads() -> None:
    """The lock that the thread has taken meanwhile is given back."""

    async def main() -> list[int]:
        gate = Gate()
        checkpoint = Checkpoint(store=gate)
        first = asyncio.create_task(anext(astream(checkpoint)))
        await reached(gate)
        first.cancel()
        asyncio.get_running_loop().call_soon(gate.is_free.set)
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not gate.store.is_open
        return [item async for item in astream(checkpoint)]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_two_tasks_begin_at_once() -> None:
    """The second one is refused, although the first one is still reading."""

    async def main() -> list[Any]:
        gate = Gate()
        checkpoint = Checkpoint(store=gate)
        tasks = [asyncio.create_task(anext(astream(checkpoint))) for _ in range(2)]
        await reached(gate)
        gate.is_free.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second = sorted(asyncio.run(main()), key=repr, reverse=True)
    assert first == 0 or second == 0
    assert any(isinstance(result, CheckpointError) for result in (first, second))


def test_a_listener_that_raises_twice(tmp_path: Path) -> None:
    """The checkpoint of an async stream is given back all the same."""

    def listener(event: Any) -> None:
        if type(event).__name__ in ("Committed", "Closed"):
            raise RuntimeError(type(event).__name__)

    async def main() -> list[int]:
        checkpoint = Checkpoint(tmp_path / "state")
        with pytest.raises(RuntimeError, match="Closed"):
            await anext(astream(checkpoint, on_event=listener))
        return [item async for item in astream(checkpoint)]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


class ManualClock:
    now = 0.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def saves_of(disk: Disk) -> list[int]:
    return [json.loads(text)["delivered"] for text in disk.saves]


def test_each_interval_is_saved() -> None:
    """An async stream saves at the first item after each interval, as a blocking one does."""
    trio = needs("trio")
    blocking, waiting = Disk(), Disk()
    manual = ManualClock()
    token = clock.set(manual)
    for _ in stream(Checkpoint(store=blocking.store(), every=1)):
        manual.now += 2
    clock.reset(token)

    async def main() -> None:
        async for _ in astream(Checkpoint(store=waiting.store(), every=1)):
            mock.jump(2)

    mock = trio.testing.MockClock()
    trio.run(main, clock=mock)
    assert saves_of(blocking) == saves_of(waiting) == [1, 2, 3, 4, 5]


def test_a_consumer_that_sends() -> None:
    """`send` asks for the next item, as `next` does."""
    disk = Disk()

    def echo(progress: Any) -> Iterator[int]:
        for number in range(progress.cursor, 5):
            yield number

    items = stream(Checkpoint(store=disk.store(), every=0), echo)
    next(items)
    for number in range(1, 4):
        assert items.send("more") == number
        assert saves_of(disk)[-1] == number


def test_cursors_that_are_changed_in_place() -> None:
    """Neither `advance` nor the source can change what is to be saved."""

    def note(cursor: dict[str, int], item: int) -> dict[str, int]:
        cursor["next"] = item + 1
        return cursor

    def folded(progress: Any) -> Iterator[int]:
        for number in range(progress.cursor["next"], 5):
            progress.cursor["next"] = number + 1
            yield number

    def marked(progress: Any) -> Iterator[Any]:
        state = progress.cursor
        for number in range(state["next"], 5):
            state["next"] = number + 1
            yield number
            yield Bookmark(state)

    for source, change in ((folded, note), (marked, None)):
        disk = Disk()
        how: Any = {"mid_stream": Resume(start={"next": 0}, advance=change)}
        items = stream(Checkpoint(store=disk.store(), every=0), source, **how)
        assert [next(items), next(items), next(items)] == [0, 1, 2]
        saved = disk.text
        items.close()
        killed = Disk()
        killed.text = saved
        assert list(stream(Checkpoint(store=killed.store()), source, **how)) == [2, 3, 4]
        assert list(stream(Checkpoint(store=disk.store()), source, **how)) == [2, 3, 4]


@pytest.mark.parametrize(
    ("cursor", "becomes"), [((1, 0), "a tuple becomes a list"), ([(1, 0)], "a list becomes")]
)
def test_a_cursor_that_json_changes_later(cursor: Any, becomes: str) -> None:
    """It is checked as the first one was."""
    strategy = Resume(start=[], advance=lambda at, item: cursor if item else [item])
    items = stream(
        Checkpoint(store=Disk().store(), every=0), lambda _: iter(range(5)), mid_stream=strategy
    )
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(TypeError, match=becomes):
        next(items)


def test_many_calls_of_adone(tmp_path: Path) -> None:
    """Each writes the file alone."""
    path = tmp_path / "state"

    async def main() -> None:
        checkpoint = Checkpoint(path, every=0, auto=False)
        items = astream(checkpoint)
        await anext(items)
        for size in range(20):
            await asyncio.gather(*(checkpoint.adone("x" * size * each) for each in range(8)))
        await items.aclose()
        checkpoint.close()

    asyncio.run(main())
    assert json.loads(path.read_text("utf-8"))["failover_iter"] == 1


def test_done_is_tried_again_by_close() -> None:
    """A save that fails does not lose what is done."""
    disk = Disk()
    checkpoint = Checkpoint(store=disk.store(), every=0, auto=False)
    items = stream(checkpoint)
    next(items)
    disk.error = OSError("full")
    with pytest.raises(OSError, match="full"):
        checkpoint.done(3)
    disk.error = None
    items.close()
    checkpoint.close()
    assert json.loads(json.loads(disk.text or "")["cursor"]) == 3


def test_done_before_the_first_pull(tmp_path: Path) -> None:
    """It does not write into the file of another stream."""
    path = tmp_path / "state"
    items = stream(Checkpoint(path))
    next(items)
    late = Checkpoint(path, auto=False)
    with pytest.raises(CheckpointError, match="in use by another stream"):
        late.done(5)
    items.close()
    assert list(stream(Checkpoint(path))) == [0, 1, 2, 3, 4]


def test_a_consumer_that_reads_ahead_has_no_count(tmp_path: Path) -> None:
    """`done` takes a cursor, not a count: `expect_items` is refused."""
    checkpoint = Checkpoint(tmp_path / "state", auto=False)
    message = r"^expect_items needs the count of items, which Checkpoint\(auto=False\) lacks$"
    with pytest.raises(ValueError, match=message):
        next(stream(checkpoint, expect_items=5))
    with pytest.raises(ValueError, match=message):
        next(stream(checkpoint, Source(numbers, expect_items=5)))
    checkpoint.close()


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_a_folder_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A relative path is that of the folder where the checkpoint was made."""
    monkeypatch.chdir(tmp_path)
    store = FileStore("state") if kind == "file" else SQLiteStore("state", "numbers")
    items = stream(Checkpoint(store=store, every=0))
    next(items)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    next(items)
    items.close()
    assert list(stream(Checkpoint(store=store))) == [1, 2, 3, 4]
    assert (tmp_path / "state").exists()
    assert list((tmp_path / "other").iterdir()) == []


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the system is raised: no other stream is blamed."""

    def no_lock(file: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(failover_iter.checkpoint._file_store, "_lock", no_lock)
    with pytest.raises(OSError, match="No locks available"):
        next(stream(Checkpoint(tmp_path / "state")))


FORKS = """
import os, sys
from failover_iter import CheckpointError
from failover_iter.checkpoint import FileStore

path = sys.argv[1]
store = FileStore(path)
store.load()
if not (child := os.fork()):
    store.close()
    os._exit(0)
os.waitpid(child, 0)
try:
    FileStore(path).load()
except CheckpointError:
    print("still locked")
end, begin = os.pipe()
if not (child := os.fork()):
    os.close(begin)
    os.read(end, 1)  # as long as its parent lives
    os._exit(0)
store.close()
FileStore(path).load()
print("unlocked")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process(tmp_path: Path) -> None:
    """It can neither unlock the file of its parent, nor keep it locked."""
    ran = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path / "state")],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert ran.stdout.splitlines() == ["still locked", "unlocked"]


def test_a_lock_of_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process closes its copy of the file, and leaves the lock to its parent."""
    store, other = FileStore(tmp_path / "state"), FileStore(tmp_path / "state")
    store.load()
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        store.close()
    other.load()  # the file was closed, and with it its lock
    other.close()


def test_a_forked_process_saves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint belongs to its parent."""
    disk = Disk()
    checkpoint = Checkpoint(store=disk.store(), every=0)
    items = stream(checkpoint)
    assert [next(items), next(items)] == [0, 1]
    saved = disk.text
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        with pytest.raises(CheckpointError, match="in use by the parent of this process"):
            next(items)
    assert disk.text == saved


def test_the_last_save_is_interrupted() -> None:
    """Ctrl-C then ends the stream: its listener hears that, and the lock is given back."""
    heard: list[Any] = []
    disk = Disk()
    store = disk.store()
    items = stream(Checkpoint(store=store, every=60), on_event=heard.append)
    next(items)
    disk.error = KeyboardInterrupt()  # type: ignore[assignment]  # not an Exception
    with pytest.raises(KeyboardInterrupt):
        list(items)
    assert heard[-1].error is disk.error
    assert not store.is_open


def test_an_abandoned_async_stream_keeps_no_lock(tmp_path: Path) -> None:
    """Its loop has gone, but it still saves what was processed, and releases the lock."""
    loop = asyncio.new_event_loop()
    items = [astream(Checkpoint(tmp_path / "state"))]
    assert loop.run_until_complete(anext(items[0])) == 0
    loop.close()
    items.clear()
    gc.collect()
    assert list(stream(Checkpoint(tmp_path / "state"))) == [0, 1, 2, 3, 4]


def test_a_copy_is_not_in_use(tmp_path: Path) -> None:
    """A policy with a checkpoint can be pickled, also while a stream runs."""
    policy = Policy(retry_on=OSError, mid_stream=RESUME, checkpoint=Checkpoint(tmp_path / "state"))
    items = policy.stream([numbers])
    assert [next(items), next(items)] == [0, 1]
    copied = pickle.loads(pickle.dumps(policy))
    with pytest.raises(CheckpointError, match="in use by another stream or process"):
        next(copied.stream([numbers]))
    items.close()
    assert list(copied.stream([numbers])) == [1, 2, 3, 4]


def test_redis_saves_a_text_twice() -> None:
    """The client sends it again after a lost connection."""
    redis = needs("redis")
    from failover_iter.redis import RedisCheckpointStore

    client = redis.Redis(socket_timeout=5)
    try:
        client.ping()
    except redis.ConnectionError:
        pytest.skip("no Redis on 127.0.0.1:6379")
    key = f"failover-iter-test-twice-{os.getpid()}"
    store = RedisCheckpointStore(client, key)
    assert store.load() is None
    store.save("a")
    before = store._state
    store.save("b")
    store._state = before  # the answer was lost
    store.save("b")
    client.set(key, "c")
    with pytest.raises(CheckpointError, match="saved by another"):
        store.save("d")
    client.delete(key)


class Memory:
    """Numbers whose source keeps something in the memo, which the next process reads."""

    def __init__(self, kept: Any = None) -> None:
        self.kept = kept
        self.found: list[Any] = []

    def __call__(self, progress: Any) -> Iterator[int]:
        self.found.append(progress.memo.get("checkpoint"))
        for number in range(progress.cursor, 5):
            if self.kept is not None:
                progress.memo["checkpoint"] = self.kept
            yield number


@pytest.mark.parametrize("auto", [True, False])
def test_what_a_source_keeps(auto: bool) -> None:
    """The entry "checkpoint" of the memo is saved with the cursor, from the first item on."""
    disk, first, second = Disk(), Memory({"etag": "a"}), Memory()
    checkpoint = Checkpoint(store=disk.store(), every=0, auto=auto)
    running = stream(checkpoint, first)
    assert next(running) == 0
    checkpoint.done(1) if not auto else next(running)
    again = Checkpoint(store=disk.store(), auto=auto)
    assert list(stream(again, second)) == [1, 2, 3, 4]
    assert (first.found, second.found) == ([None], [{"etag": "a"}])
    running.close()


def test_what_a_discarded_attempt_keeps() -> None:
    """It is not saved with the position of other items."""
    disk = Disk()

    def breaks(name: str, progress: Any) -> Iterator[int]:
        progress.memo["checkpoint"] = {"file": name}
        yield from (0, 1)[progress.cursor :]
        raise OSError("broken")

    restart = Decide(lambda _: "restart", start=0, advance=RESUME.advance)
    sources: list[Any] = [
        Source(partial(breaks, "a")),
        Source(partial(breaks, "b"), mid_stream=restart, commit_when=3),
    ]
    checkpoint = Checkpoint(store=disk.store())
    with pytest.raises(OSError, match="broken"):
        list(failover_stream(sources, retry_on=OSError, mid_stream=RESUME, checkpoint=checkpoint))
    saved = json.loads(disk.saves[-1])
    assert (saved["cursor"], saved["memo"]) == ("2", {"file": "a"})


def test_what_a_bookmark_keeps() -> None:
    """A source that yields bookmarks alone keeps something with each of them."""
    disk = Disk()

    def feed(progress: Any) -> Iterator[Any]:
        for number in (1, 2):
            progress.memo["checkpoint"] = number
            yield Bookmark(number)

    assert list(stream(Checkpoint(store=disk.store()), feed, mid_stream=Resume(start=0))) == []
    saved = json.loads(disk.saves[-1])
    assert (saved["cursor"], saved["memo"]) == ("2", 2)


def test_what_json_cannot_keep() -> None:
    """The save says which entry it is, and not what is in it."""
    checkpoint = Checkpoint(store=Disk().store(), every=0)
    with pytest.raises(TypeError, match="'checkpoint'] must be plain data for JSON, got a set"):
        list(stream(checkpoint, Memory({"secret"})))
