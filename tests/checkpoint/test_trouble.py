"""Each store in trouble for real: other processes, full and read-only disks, damaged states."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import failover_iter
from failover_iter import Checkpoint, CheckpointError
from failover_iter.checkpoint import FileStore, SQLiteStore
from support.needs import needs
from support.redis_server import BINARY, Server

from .streams import stream

ROOT = Path(failover_iter.__file__).parents[1]


class Kind(NamedTuple):
    """A kind of store, how a program makes one, and how to change what it keeps."""

    make: Callable[[], Any]
    #: The same as an expression of Python.
    code: str
    put: Callable[[Any], object]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A Redis that other tests do not use."""
    if BINARY is None:
        pytest.skip("redis-server is not installed")
    server = Server()
    yield server
    server.stop()


@pytest.fixture(params=["file", "sqlite", "redis"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    """Each kind of store, which keeps nothing yet."""
    path = tmp_path / "state"
    match request.param:
        case "file":
            return Kind(lambda: FileStore(path), f"FileStore({str(path)!r})", path.write_bytes)
        case "sqlite":

            def put(state: bytes) -> None:
                SQLiteStore(path, "numbers").load()
                with sqlite3.connect(path) as database:
                    database.execute(
                        "insert into failover_iter_checkpoints values (?, cast(? as text))",
                        ["numbers", state],
                    )
                database.close()

            code = f"SQLiteStore({str(path)!r}, 'numbers')"
            return Kind(lambda: SQLiteStore(path, "numbers"), code, put)
        case _:
            redis = needs("redis")
            from failover_iter.redis import RedisCheckpointStore

            port = request.getfixturevalue("server").port
            client = redis.Redis(port=port)
            client.flushall()
            code = f"RedisCheckpointStore(redis.Redis(port={port}), 'numbers')"
            put_key = partial(client.set, "numbers")
            return Kind(lambda: RedisCheckpointStore(client, "numbers"), code, put_key)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (b"", "is empty: delete it to start over"),
        (b'{"failover_iter": 1, "cur', "is damaged: delete it to start over"),
        (b"\xff\xfe\x00", "is damaged: delete it to start over"),
        (b"[]", "is damaged"),
        (b'{"failover_iter": 2}', "has version 2, this release reads version 1"),
    ],
)
def test_a_state_that_is_wrong(kind: Kind, state: bytes, message: str) -> None:
    """It is an error that says so, never a start from the beginning."""
    kind.put(state)
    opened: list[int] = []
    with pytest.raises(CheckpointError, match=message):
        next(stream(Checkpoint(store=kind.make()), lambda _: opened.append(1) or [1]))
    assert opened == []


@pytest.mark.parametrize("damage", [lambda old: b"not a database" * 99, lambda old: old[:5000]])
def test_a_database_that_is_damaged(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """The error names the checkpoint and what SQLite says."""
    path = tmp_path / "state.db"
    assert list(stream(Checkpoint(store=SQLiteStore(path, "numbers")))) == [0, 1, 2, 3, 4]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"^the checkpoint 'numbers' is damaged: .*database"):
        next(stream(Checkpoint(store=SQLiteStore(path, "numbers"))))


def test_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    """Its error is that of SQLite: nothing is damaged."""
    with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
        next(stream(Checkpoint(store=SQLiteStore(tmp_path / "none" / "state.db", "numbers"))))


PROGRAM = """
import sys
from failover_iter import Checkpoint, CheckpointError, Resume, failover_stream
from failover_iter.checkpoint import FileStore, SQLiteStore
try:
    import redis
    from failover_iter.redis import RedisCheckpointStore
except ImportError:
    pass  # the others need no Redis

def numbers(progress):
    yield from range(progress.cursor, 1000)

def make():
    return failover_stream(
        [numbers], retry_on=OSError, mid_stream=Resume(start=0, advance=lambda at, _: at + 1),
        checkpoint=Checkpoint(store={code}, every=0),
    )

stream = make()
{body}
"""


def start(kind: Kind, body: str, *before: str) -> subprocess.Popen[str]:
    """Start a program with a stream that uses the store."""
    code = PROGRAM.format(code=kind.code, body=textwrap.dedent(body))
    return subprocess.Popen(
        [*before, sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_two_processes(kind: Kind) -> None:
    """Of two that begin at once and pull in turn, one is refused with a clear error."""
    body = """
        try:
            for line in sys.stdin:
                print(next(stream), flush=True)
        except CheckpointError as error:
            print(error)
    """
    processes = [start(kind, body) for _ in range(2)]
    items, errors = list[str](), list[str]()
    for _ in range(4):
        for each in list(processes):
            assert each.stdin is not None
            assert each.stdout is not None
            print("go on", file=each.stdin, flush=True)
            line = each.stdout.readline().strip()
            (items if line.isdigit() else errors).append(line)
            if errors and each in processes and line == errors[-1]:
                processes.remove(each)
                each.communicate()
    (winner,), (error,) = processes, errors
    winner.communicate()
    assert "in use by another stream or process" in error or (
        "was saved by another stream or process meanwhile" in error
    )
    assert items[-3:] == ["1", "2", "3"]


#: Pulls while the disk is in trouble, and then a new stream when it is well again.
TROUBLE = """
import subprocess
from pathlib import Path
print(next(stream), next(stream))
junk = Path({folder!r}, "junk")
if {trouble!r} == "full":
    with junk.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass
else:
    stream.close()  # no file is open for writing
    subprocess.run(["mount", "-o", "remount,ro", {folder!r}], check=True)
    stream = make()
try:
    list(stream)
except Exception as error:
    print(type(error).__name__, error)
if {trouble!r} == "full":
    junk.unlink()
else:
    subprocess.run(["mount", "-o", "remount,rw", {folder!r}], check=True)
print(next(make()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it mounts a small disk")
@pytest.mark.parametrize(
    ("store", "trouble", "error"),
    [
        ("FileStore({!r})", "full", "OSError [Errno 28] No space left on device"),
        ("FileStore({!r})", "read-only", "OSError [Errno 30] Read-only file system: "),
        ("SQLiteStore({!r}, 'a')", "full", "OperationalError database or disk is full"),
        ("SQLiteStore({!r}, 'a')", "read-only", "OperationalError attempt to write a readonly"),
    ],
)
def test_a_disk_in_trouble(tmp_path: Path, store: str, trouble: str, error: str) -> None:
    """A disk of 64 KiB is full, or read-only: its error ends the stream, and no item is lost."""
    mount = f"mount -t tmpfs -o size=64k none {tmp_path}"
    probe = ["unshare", "--mount", "sh", "-c", mount]
    if subprocess.run(probe, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a disk")
    kind = Kind(lambda: None, store.format(f"{tmp_path}/state"), lambda _: None)
    body = TROUBLE.format(folder=str(tmp_path), trouble=trouble)
    process = start(kind, body, "unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh")
    out, err = process.communicate()
    first, second, third = out.splitlines()
    assert (process.returncode, err, first, third) == (0, "", "0 1", "1")
    assert second.startswith(error)


def test_a_redis_in_trouble(server: Server) -> None:
    """One that is full, or a replica: its error ends the stream, and no item is lost."""
    redis = needs("redis")
    from failover_iter.redis import RedisCheckpointStore

    client = redis.Redis(port=server.port)
    client.flushall()

    def items() -> Any:
        return stream(Checkpoint(store=RedisCheckpointStore(client, "numbers"), every=0))

    first = items()
    assert [next(first), next(first)] == [0, 1]
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.RedisError, match="used memory"):
        next(first)
    client.config_set("maxmemory", 0)
    second = items()
    assert [next(second), next(second)] == [1, 2]
    client.replicaof("127.0.0.1", "1")
    with pytest.raises(redis.RedisError, match="read only replica"):
        next(second)
    client.replicaof("NO", "ONE")
    assert list(items()) == [2, 3, 4]
    client.close()
