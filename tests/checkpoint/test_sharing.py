"""One stream at a time uses a checkpoint, whatever leads to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest

import failover_iter
from failover_iter import Checkpoint, CheckpointError
from failover_iter.checkpoint import FileStore, SQLiteStore

from .memory import Disk
from .streams import stream

ROOT = Path(failover_iter.__file__).parents[1]
FORKED = """
import os, sys
from failover_iter import Checkpoint, CheckpointError, Resume, failover_stream
from failover_iter.checkpoint import SQLiteStore

def numbers(progress):
    yield from range(progress.cursor, 8)

def new_stream(every):
    store = SQLiteStore(sys.argv[2], "numbers")
    where = {"path": sys.argv[1]} if sys.argv[3] == "file" else {"store": store}
    return failover_stream(
        [numbers], retry_on=OSError, checkpoint=Checkpoint(**where, every=every),
        mid_stream=Resume(start=0, advance=lambda at, _: at + 1))

stream = new_stream(3600)
next(stream), next(stream), next(stream)
has_ended, end = os.pipe()
if not os.fork():
    os.close(end)
    os.read(has_ended, 1)
    try:
        stream.close() if sys.argv[4] == "close" else list(stream)
    except CheckpointError as error:
        print(str(error).partition(" is ")[2], flush=True)
    os._exit(0)
next(stream), next(stream)
if sys.argv[5] == "end":
    stream.close()
os.close(end)
os.wait()
stream.close()
print(list(new_stream(0)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("parent", ["end", "go on"])
@pytest.mark.parametrize("child", ["close", "go on"])
@pytest.mark.parametrize("store", ["file", "sqlite"])
def test_a_stream_in_a_forked_process(tmp_path: Path, store: str, child: str, parent: str) -> None:
    """It does not put the checkpoint back, and its parent does not suffer."""
    paths = str(tmp_path / "state"), str(tmp_path / "state.db")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, *paths, store, child, parent],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert ran.stdout.splitlines() == [
        "in use by the parent of this process",
        "[4, 5, 6, 7]",
    ]


def test_a_forked_process_holds_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its parent has locked is not locked by it."""
    store, other = FileStore(tmp_path / "state"), FileStore(tmp_path / "state")
    store.load()
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        with pytest.raises(CheckpointError, match="in use by another stream or process"):
            store.save("")
    store.close()
    other.load()
    other.close()


@pytest.mark.parametrize(
    "another", [copy, lambda checkpoint: Checkpoint(store=checkpoint._store)], ids=["copy", "store"]
)
@pytest.mark.parametrize("kind", ["file", "sqlite", "own"])
def test_two_checkpoints_with_one_store(
    tmp_path: Path, kind: str, another: Callable[[Checkpoint], Checkpoint]
) -> None:
    """They are used by one stream at a time, as one checkpoint is."""
    path = tmp_path / "state"
    stores: dict[str, Callable[[], Any]] = {
        "file": lambda: FileStore(path),
        "sqlite": lambda: SQLiteStore(path, "numbers"),
        "own": Disk().store,
    }
    first = Checkpoint(store=stores[kind](), every=0)
    second = another(first)
    items = stream(first)
    assert [next(items), next(items)] == [0, 1]
    for _ in range(2):
        with pytest.raises(CheckpointError, match="in use by another stream of this process"):
            next(stream(second))
    assert next(items) == 2
    items.close()
    assert list(stream(second)) == [2, 3, 4]


def test_a_store_for_consumers_that_read_ahead(tmp_path: Path) -> None:
    """It belongs to the checkpoint until that is closed."""
    store = FileStore(tmp_path / "state")
    first, second = (Checkpoint(store=store, auto=False) for _ in range(2))
    assert next(stream(first)) == 0  # the stream has ended, but not its consumer
    second.close()
    with pytest.raises(CheckpointError, match="in use by another stream of this process"):
        next(stream(second))
    first.done(3)
    first.close()
    assert list(stream(second)) == [3, 4]
    second.close()


def test_a_load_that_fails_frees_the_store() -> None:
    """Another checkpoint may use it then."""
    disk = Disk()
    store, disk.error = disk.store(), OSError("unplugged")
    first, second = (Checkpoint(store=store) for _ in range(2))
    with pytest.raises(OSError, match="unplugged"):
        next(stream(first))
    disk.error = None
    assert list(stream(second)) == [0, 1, 2, 3, 4]


def test_a_link_to_the_file(tmp_path: Path) -> None:
    """It is the same file, so it has the same lock, and it stays a link."""
    path, link = tmp_path / "state", tmp_path / "link"
    link.symlink_to(path)
    items = stream(Checkpoint(link))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(CheckpointError, match="in use by another stream or process"):
        next(stream(Checkpoint(path)))
    items.close()
    assert link.is_symlink()
    assert list(stream(Checkpoint(path))) == [1, 2, 3, 4]


def test_one_checkpoint_serves_one_stream_at_a_time(tmp_path: Path) -> None:
    """A second stream with the same object is refused, until the first one has ended."""
    checkpoint = Checkpoint(tmp_path / "state.json")
    first = stream(checkpoint)
    next(first)
    with pytest.raises(CheckpointError, match="in use by another stream of this process"):
        next(stream(checkpoint))
    first.close()
    assert list(stream(checkpoint)) == [0, 1, 2, 3, 4]
