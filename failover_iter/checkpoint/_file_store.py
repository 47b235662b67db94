"""`FileStore`: a checkpoint in a file, and the lock beside it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final

from failover_iter.errors import CheckpointError

_locking: Final[Any] = import_module("msvcrt" if sys.platform == "win32" else "fcntl")
#: Locks a file, or raises OSError at once. The system unlocks it when the process ends.
_lock: Final[Callable[[int], object]] = (
    (lambda file: _locking.locking(file, _locking.LK_NBLCK, 1))
    if sys.platform == "win32"
    else (lambda file: _locking.flock(file, _locking.LOCK_EX | _locking.LOCK_NB))
)
#: Unlocks it; closing it is not enough while a forked process has it open too.
_unlock: Final[Callable[[int], object]] = (
    (lambda file: _locking.locking(file, _locking.LK_UNLCK, 1))
    if sys.platform == "win32"
    else (lambda file: _locking.flock(file, _locking.LOCK_UN))
)
#: The error numbers of a lock that another process has.
_LOCKED: Final = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


class FileStore:
    """Keeps a checkpoint in a file, which is replaced as a whole: `Checkpoint(path)` uses it.

    Args:
        path: the file. A file with the ending `.lock` beside it is locked while a stream runs.
        fsync: `True`: a save waits until the disk has it.

    Example:
        >>> import tempfile
        >>> from failover_iter.checkpoint import FileStore
        >>> store = FileStore(tempfile.mkdtemp() + "/state")
        >>> store.load()
        >>> store.save("at 5")
        >>> store.load()
        'at 5'
        >>> store.close()
    """

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = False) -> None:
        # One name, wherever the process goes, and whichever link leads there.
        self._path = Path(path).resolve()
        self._new = self._path.with_name(f"{self._path.name}.new")
        self._fsync = fsync
        self._lock: BinaryIO | None = None
        self._owner = 0

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has in common with this one: not the lock."""
        return {**self.__dict__, "_lock": None}

    def __str__(self) -> str:
        """Return the path."""
        return str(self._path)

    def load(self) -> str | None:
        """Lock the file, and return what is in it."""
        self._hold()
        try:
            return self._path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except BaseException:
            self.close()
            raise

    def _hold(self) -> None:
        """Lock the file, unless that was done."""
        if self._lock is not None and self._owner == os.getpid():
            return
        # An object, which is closed when the store is abandoned, and with it the lock.
        file = Path(f"{self._path}.lock").open("ab")  # noqa: SIM115 (it stays open)
        try:
            _lock(file.fileno())
        except OSError as error:
            file.close()
            if error.errno not in _LOCKED:
                raise  # the file system has no locks, for example
            raise CheckpointError(f"{self} is in use by another stream or process") from error
        self._lock, self._owner = file, os.getpid()

    def save(self, state: str) -> None:
        """Write a new file, and replace the old one by it."""
        self._hold()
        try:
            with self._new.open("w", encoding="utf-8") as file:
                file.write(state)
                if self._fsync:
                    file.flush()
                    os.fsync(file.fileno())
            self._new.replace(self._path)
        except BaseException:
            with suppress(OSError):
                self._new.unlink(missing_ok=True)
            raise
        if self._fsync:
            _sync_folder(self._path.parent)

    def close(self) -> None:
        """Unlock the file."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        try:
            if self._owner == os.getpid():  # a forked process must not unlock that of its parent
                _unlock(lock.fileno())
        finally:
            lock.close()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where folders can be opened."""
    with suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
