"""Checkpoints and the system: forks, locks, folders, copies."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import failover_iter
import failover_iter.checkpoint._file_store
from failover_iter import Checkpoint, CheckpointError, Policy
from failover_iter.checkpoint import FileStore, SQLiteStore

from .memory import Disk
from .streams import RESUME, numbers, stream

ROOT = Path(failover_iter.__file__).parents[1]


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
