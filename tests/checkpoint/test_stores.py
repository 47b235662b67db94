"""The stores of a checkpoint, what may be wrong with them, and wrong use of a checkpoint."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

import failover_iter
from failover_iter import (
    Bookmark,
    Checkpoint,
    CheckpointError,
    Policy,
    Progress,
    Resume,
    afailover_stream,
    failover,
    failover_stream,
)
from failover_iter._drivers.away import away
from failover_iter.checkpoint import FileStore, SQLiteStore
from support.needs import needs
from support.runners import quiet

from .memory import Disk
from .streams import RESUME, anumbers, numbers, stream

ROOT = Path(failover_iter.__file__).parents[1]


def redis_store(key: str) -> Any:
    redis = needs("redis")
    from failover_iter.redis import RedisCheckpointStore

    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 6379)):
            pytest.skip("no Redis on 127.0.0.1:6379")
    client = redis.Redis(socket_timeout=5)
    client.delete(key)
    return lambda: RedisCheckpointStore(client, key)


@pytest.fixture(params=["file", "sqlite", "redis"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Make the store of a process: each has its own object."""
    match request.param:
        case "file":
            return lambda: FileStore(tmp_path / "state.json", fsync=True)
        case "sqlite":
            return lambda: SQLiteStore(tmp_path / "state.db", "numbers")
        case _:
            return redis_store(f"failover-iter-test-{os.getpid()}")


def test_a_store_goes_on(new_store: Callable[[], Any]) -> None:
    """Each process goes on where the last one was, sync and async."""
    first = stream(Checkpoint(store=new_store(), every=0))
    assert [next(first), next(first), next(first)] == [0, 1, 2]
    first.close()

    async def rest() -> list[int]:
        checkpoint = Checkpoint(store=new_store(), every=0)
        items = afailover_stream(
            [anumbers], retry_on=OSError, mid_stream=RESUME, checkpoint=checkpoint
        )
        return [item async for item in items]

    assert asyncio.run(rest()) == [2, 3, 4]
    assert list(stream(Checkpoint(store=new_store()))) == []
    new_store().close()  # of a stream that was never pulled


def test_two_processes_with_one_store(new_store: Callable[[], Any]) -> None:
    """The second one gets a clear error: at its first pull, or when it saves."""
    first, second = stream(Checkpoint(store=new_store(), every=0)), None
    assert [next(first), next(first)] == [0, 1]
    with pytest.raises(CheckpointError, match="in use by another|saved by another"):
        second = stream(Checkpoint(store=new_store(), every=0))
        assert next(second) == 1
        assert next(first) == 2
        next(second)
    first.close()


def test_a_stream_of_another_process_holds_the_lock(tmp_path: Path) -> None:
    """The lock is one of the system: it is gone when the process is."""
    path = tmp_path / "state.json"
    code = (
        "import sys; from failover_iter.checkpoint import FileStore\n"
        f"store = FileStore({str(path)!r}); store.load(); print('locked', flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(CheckpointError, match=r"state\.json is in use by another stream or"):
            next(stream(Checkpoint(path)))
        process.kill()
    assert list(stream(Checkpoint(path))) == [0, 1, 2, 3, 4]


def test_one_checkpoint_serves_one_stream_at_a_time(tmp_path: Path) -> None:
    """A second stream with the same object is refused, until the first one has ended."""
    checkpoint = Checkpoint(tmp_path / "state.json")
    first = stream(checkpoint)
    next(first)
    with pytest.raises(CheckpointError, match="in use by another stream of this process"):
        next(stream(checkpoint))
    first.close()
    assert list(stream(checkpoint)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: delete it to start over"),
        (b"\n", "is empty"),
        (b'{"failover_iter": 1, "cur', "is damaged: delete it to start over"),
        (b"[]", "is damaged"),
        (b"{}", "is damaged"),
        (b"[" * 100_000, "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b'{"failover_iter": 1}', "is damaged"),
        (b'{"failover_iter": 1, "cursor": "{", "delivered": 1, "at": 0}', "is damaged"),
        (b'{"failover_iter": 2}', "has version 2, this release reads version 1"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    """It is an error that says so, never a start from the beginning; the lock is given back."""
    path = tmp_path / "state.json"
    path.write_bytes(content)
    opened: list[int] = []
    for _ in range(2):
        with pytest.raises(CheckpointError, match=message):
            next(stream(Checkpoint(path), lambda progress: opened.append(1) or [1]))
    assert path.read_bytes() == content
    assert opened == []


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    """The error of the system is raised, and the lock is given back."""
    (tmp_path / "state.json").mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            next(stream(Checkpoint(tmp_path / "state.json")))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_is_full_or_read_only(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error reaches the consumer, no source is blamed, and the old file is whole."""
    path = tmp_path / "state.json"
    items = stream(Checkpoint(path, every=0), attempts=3)
    assert [next(items), next(items)] == [0, 1]
    before = path.read_text("utf-8")

    def fail(*_: Any) -> Any:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        next(items)
    assert caught.value.errno == code
    monkeypatch.undo()
    assert path.read_text("utf-8") == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["state.json", "state.json.lock"]
    assert list(stream(Checkpoint(path))) == [1, 2, 3, 4]


def test_an_error_at_the_end(tmp_path: Path) -> None:
    """It is raised after a normal end, and a note at an error that the stream raises."""
    disk = Disk()
    items = stream(Checkpoint(store=disk.store(), every=60))
    next(items), next(items)
    disk.error = OSError("full")
    with pytest.raises(OSError, match="^full$"):
        items.close()
    disk.error = None
    items = stream(Checkpoint(store=disk.store(), every=60))
    next(items), next(items)
    disk.error = OSError("full")
    with pytest.raises(KeyError) as caught:
        items.throw(KeyError("consumer"))
    assert caught.value.__notes__ == ["saving the checkpoint raised OSError: full"]


def test_cursors_that_json_does_not_keep(tmp_path: Path) -> None:
    """A cursor that JSON changes is refused at the first save; dumps and loads help."""
    strategy = Resume(start=(0, 0), advance=lambda at, item: (item + 1, 0))

    def source(progress: Any) -> Iterator[int]:
        yield from range(progress.cursor[0], 3)

    path = tmp_path / "state"
    items = stream(Checkpoint(path, every=0), source, mid_stream=strategy)
    next(items)
    with pytest.raises(TypeError, match="a tuple becomes a list; pass dumps and loads"):
        next(items)
    how: dict[str, Any] = {
        "dumps": lambda cursor: pickle.dumps(cursor).hex(),
        "loads": lambda text: pickle.loads(bytes.fromhex(text)),
    }
    items = stream(Checkpoint(path, every=0, **how), source, mid_stream=strategy)
    next(items), next(items)
    items.close()
    items = stream(Checkpoint(path, **how), source, mid_stream=strategy)
    assert list(items) == [1, 2]
    items = stream(Checkpoint(tmp_path / "b", every=0, dumps=pickle.dumps), source,  # type: ignore[arg-type]
                   mid_stream=strategy)  # fmt: skip
    next(items)
    with pytest.raises(TypeError, match="^dumps must return a str, got bytes"):
        next(items)


@pytest.mark.parametrize(
    "value",
    [
        7,
        "x",
        b"\x00\xff",
        Decimal("1.50"),
        UUID(int=7),
        dt.date(2026, 1, 31),
        dt.datetime(2026, 1, 31, 12, 0, 0, 1),  # noqa: DTZ001 (as of a column without a zone)
        dt.datetime(2026, 1, 31, tzinfo=dt.UTC),
        dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.time(12, 30),
        dt.time(12, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        {"failover_iter": "date"},
    ],
    ids=repr,
)
def test_cursors_with_the_values_of_databases(tmp_path: Path, value: Any) -> None:
    """The keys of rows need no dumps and loads: in the next process they are equal."""
    for cursor in (value, [value, 1]):
        path = tmp_path / type(cursor).__name__
        checkpoint = Checkpoint(path, auto=False)
        checkpoint.done(cursor)
        checkpoint.close()
        following = Checkpoint(path)
        saved = following.open()
        following.close()
        assert saved is not None
        assert str(saved.cursor) == str(cursor)
        assert saved.cursor == cursor


def test_a_cursor_of_another_type(tmp_path: Path) -> None:
    """It is refused, also if it is a kind of date: it would lose what it adds."""

    class Day(dt.date):
        """A day that knows more."""

    checkpoint = Checkpoint(tmp_path / "state", auto=False)
    for value in (Day(2026, 1, 1), 1j):
        name = type(value).__name__
        with pytest.raises(TypeError, match=f"^a cursor with a {name} cannot be saved as JSON: "):
            checkpoint.done([value])


def test_a_consumer_that_reads_ahead(tmp_path: Path) -> None:
    """With `auto=False`, what is processed is what `done` was called with."""
    path = tmp_path / "state.json"
    with quiet():
        checkpoint = Checkpoint(path, every=3600, auto=False)
        batch = list(stream(checkpoint))
        assert not path.exists()
        checkpoint.done(batch[2] + 1)  # after the end it is saved at once
        assert json.loads(json.loads(path.read_text("utf-8"))["cursor"]) == 3
        with pytest.raises(CheckpointError, match="in use"):
            next(stream(Checkpoint(path)))
        assert list(stream(checkpoint)) == [3, 4]
        checkpoint.close()
        assert list(stream(Checkpoint(path))) == [3, 4]


def test_an_advance_that_raises_stop_iteration(tmp_path: Path) -> None:
    """It does not pass for the end of the source."""

    def leaks(cursor: int, item: int) -> int:
        raise StopIteration

    strategy = Resume(start=0, advance=leaks)
    with pytest.raises(RuntimeError, match="^the function of advance raised StopIteration$"):
        list(stream(Checkpoint(tmp_path / "state"), mid_stream=strategy))


def test_done_while_the_stream_runs(tmp_path: Path) -> None:
    """It saves if that is due, and the end of the stream saves the rest."""
    path = tmp_path / "state.json"
    checkpoint = Checkpoint(path, every=3600, auto=False)
    items = stream(checkpoint)
    for number in (1, 2):
        next(items)
        checkpoint.done(number)
    assert json.loads(json.loads(path.read_text("utf-8"))["cursor"]) == 1
    items.close()
    assert json.loads(json.loads(path.read_text("utf-8"))["cursor"]) == 2
    checkpoint.close()

    async def later() -> list[int]:
        again = Checkpoint(path, every=0, auto=False)
        items = afailover_stream([anumbers], retry_on=OSError, mid_stream=RESUME, checkpoint=again)
        first = await anext(items)
        await again.adone(3)
        await items.aclose()
        await away(again.close)
        return [first]

    assert asyncio.run(later()) == [2]
    assert list(stream(Checkpoint(path))) == [3, 4]


def test_bookmarks_alone_are_saved(tmp_path: Path) -> None:
    """A source that yields bookmarks for hours brings the stream further."""
    path = tmp_path / "state.json"

    def feed(progress: Any) -> Iterator[Any]:
        yield "item"
        for number in range(progress.cursor or 1, 4):
            yield Bookmark(number)
        raise KeyboardInterrupt

    items = stream(Checkpoint(path, every=0), feed, mid_stream=Resume(start=0))
    assert next(items) == "item"
    with pytest.raises(KeyboardInterrupt):
        next(items)
    assert json.loads(json.loads(path.read_text("utf-8"))["cursor"]) == 2


def test_a_cancelled_save_is_waited_for() -> None:
    """A save that went on after its stream had gone could undo that of the next one."""
    log: list[str] = []

    async def main() -> None:
        import threading

        begun, go_on = threading.Event(), threading.Event()

        def save() -> None:
            begun.set()
            go_on.wait(30)
            log.append("saved")

        task = asyncio.create_task(away(save))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        asyncio.get_running_loop().call_later(0.01, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        log.append("cancelled")

    asyncio.run(main())
    assert log == ["saved", "cancelled"]


def test_without_a_loop_it_is_called_here() -> None:
    """Neither asyncio nor trio runs the coroutine: it has no thread to wait for."""
    call = away(lambda: 3)
    with pytest.raises(StopIteration) as stop:
        call.send(None)
    assert stop.value.value == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mid_stream": "skip"}, "checkpoint needs a stream with a cursor: set mid_stream=Resume"),
        ({"complete_when": bool}, "complete_when looks at the last item, which a checkpoint does"),
    ],
)
def test_options_that_exclude_a_checkpoint(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    """The message says what to use instead."""
    with pytest.raises(ValueError, match=message):
        list(stream(Checkpoint(tmp_path / "state"), lambda *_: iter([1]), **options))


def test_each_source_needs_a_cursor(tmp_path: Path) -> None:
    """A source that starts over would repeat what was processed."""
    from failover_iter import Source

    sources = [Source(lambda: [1], mid_stream="restart", name="cache"), numbers]
    with pytest.raises(ValueError, match="source 'cache' has mid_stream='restart': use Resume"):
        list(
            failover_stream(
                sources,
                retry_on=OSError,
                mid_stream=RESUME,
                checkpoint=Checkpoint(tmp_path / "state"),
            )
        )


def test_a_group_has_none(tmp_path: Path) -> None:
    """A checkpoint belongs to the whole stream."""
    policy = Policy(retry_on=OSError, mid_stream=RESUME, checkpoint=Checkpoint(tmp_path / "state"))
    with pytest.raises(ValueError, match="checkpoint is for a whole stream, not for a Policy"):
        policy.source([numbers])
    inner = Policy(retry_on=OSError, mid_stream=RESUME).source([numbers])
    assert list(policy.stream([inner])) == [0, 1, 2, 3, 4]


def test_a_decorated_function(tmp_path: Path) -> None:
    """It has a checkpoint like any stream, and then takes no progress of its caller."""
    checkpoint = Checkpoint(tmp_path / "state")

    @failover(retry_on=OSError, mid_stream=RESUME, checkpoint=checkpoint)
    def read(*, progress: Progress = Progress()) -> Iterator[int]:
        yield from range(progress.cursor, 5)

    items = read()
    next(items), next(items)
    items.close()
    assert list(read()) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="a stream with a checkpoint takes no progress"):
        read(progress=Progress(delivered=2, total=2, cursor=2))


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((), {}, "Checkpoint takes a path or a store, got path=None, store=None"),
        (("a",), {"store": Disk().store()}, "Checkpoint takes a path or a store"),
        ((), {"store": 3}, "store must have the methods of a Store, got 3"),
        ((), {"store": Disk().store(), "fsync": True}, "fsync is for a path"),
        (("a",), {"every": "1"}, "every must be"),
        (("a",), {"auto": 1}, "auto must be"),
        (("a",), {"dumps": 1}, "dumps must be a function cursor -> str"),
        (("a",), {"loads": 1}, "loads must be a function str -> cursor"),
        (("a",), {"evry": 1}, "did you mean 'every'"),
    ],
)
def test_wrong_options(args: Any, options: Any, message: str) -> None:
    """Wrong use fails at once, and the error names the option."""
    with pytest.raises(TypeError, match=message):
        Checkpoint(*args, **options)


def test_wrong_calls(tmp_path: Path) -> None:
    """`done` is for auto=False, the option takes a Checkpoint, and Redis a blocking client."""
    checkpoint = Checkpoint(tmp_path / "a")
    assert repr(checkpoint) == f"Checkpoint({tmp_path / 'a'}, every=1)"
    assert "auto=False" in repr(Checkpoint("a", auto=False))
    with pytest.raises(TypeError, match=r"^done\(cursor\) is for a Checkpoint\(auto=False\)"):
        checkpoint.done(3)
    for wrong in ("a", Checkpoint):
        with pytest.raises(TypeError, match="^checkpoint must be a Checkpoint, or None, got "):
            failover_stream([list], retry_on=OSError, checkpoint=wrong)  # type: ignore[arg-type]


def test_redis_takes_a_blocking_client() -> None:
    """An asyncio client cannot be called from a thread."""
    redis = needs("redis")
    from failover_iter.redis import RedisCheckpointStore

    with pytest.raises(TypeError, match="^client must be a redis.Redis, got object$"):
        RedisCheckpointStore(object(), "key")
    store = RedisCheckpointStore(redis.Redis(), "orders")
    assert (str(store), store.close()) == ("the checkpoint 'orders'", None)
