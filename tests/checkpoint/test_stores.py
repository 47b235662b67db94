"""The stores of a checkpoint: files, SQLite, Redis, and what may be wrong with them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import failover_iter
from failover_iter import Checkpoint, CheckpointError, afailover_stream
from failover_iter.checkpoint import FileStore, SQLiteStore
from support.needs import needs

from .memory import Disk
from .streams import RESUME, anumbers, stream

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


def test_redis_takes_a_blocking_client() -> None:
    """An asyncio client cannot be called from a thread."""
    redis = needs("redis")
    from failover_iter.redis import RedisCheckpointStore

    with pytest.raises(TypeError, match="^client must be a redis.Redis, got object$"):
        RedisCheckpointStore(object(), "key")
    store = RedisCheckpointStore(redis.Redis(), "orders")
    assert (str(store), store.close()) == ("the checkpoint 'orders'", None)
