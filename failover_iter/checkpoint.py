"""`Checkpoint`: the cursor of what was processed, kept where the next process finds it.

>>> import tempfile
>>> from failover_iter import Checkpoint, Resume, failover_stream
>>> def numbers(progress):
...     yield from range(progress.cursor, 5)
>>> path = tempfile.mkdtemp() + "/numbers.json"
>>> def stream():
...     return failover_stream(
...         [numbers], retry_on=OSError, mid_stream=Resume(start=0, advance=lambda at, _: at + 1),
...         checkpoint=Checkpoint(path))
>>> first = stream()
>>> next(first), next(first), next(first)  # the last one is not processed yet
(0, 1, 2)
>>> first.close()
>>> list(stream())
[2, 3, 4]
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from failover_iter._cursor_text import dumps, loads
from failover_iter._drivers.away import away
from failover_iter._validation import (
    check_bool,
    check_callback,
    offers,
    seconds_of,
    suggest_options,
)
from failover_iter.errors import CheckpointError

__all__ = ["Checkpoint", "FileStore", "SQLiteStore", "Store"]

#: The version of what is saved.
_VERSION: Final = 1


class Store(Protocol):
    """Keeps the state of one stream, a text, for the next process.

    Both methods block; an async stream calls them in a thread. `save` is atomic: after a crash
    `load` returns the whole text that was saved last, or the one before it.
    """

    def load(self) -> str | None:
        """Return what was saved last, or None; raise `CheckpointError` if another process writes.

        It is called at the first pull of each stream.
        """
        ...

    def save(self, state: str, /) -> None:
        """Replace what was saved; raise `CheckpointError` if another process has saved too."""
        ...

    def close(self) -> None:
        """The stream has ended: let other processes go on."""
        ...


class Saved(NamedTuple):
    """The saved position of a stream."""

    cursor: Any
    #: Items that were processed, and how many of them the cursor includes.
    delivered: int
    at: int


@suggest_options
class Checkpoint:
    """Where a stream is, kept so that the next process goes on there.

    Pass it to a stream with a cursor: `Resume(start=..., advance=...)`, or a source with resume
    built in. The stream reads it at its first pull. It saves the cursor at most every `every`
    seconds, when an item arrives, and at its end. An item counts as processed when the consumer
    asks for the next one. So handle each item before you ask for the next one: then nothing is
    lost, whenever the process is killed, and at most the items of one interval repeat. If the
    consumer leaves, or raises, in the middle of an item, that item repeats.

    One stream at a time uses a checkpoint. A second one, in this process or in another one, gets a
    `CheckpointError`. The checkpoint of a stream that has ended stays: the next stream yields only
    what is new. Delete it to start over.

    Args:
        path: the file to keep it in; a relative path is that of the folder where this process is
            now. It is replaced as a whole, by a rename. A file with the ending `.lock` beside it is
            locked while a stream runs, and stays there.
        every: the seconds between two saves; 0 saves at each item.
        auto: `False`: items are processed when you call `done(cursor)`. For consumers that read
            ahead (batches, queues). Their number is not saved, so `expect_items` is refused.
        fsync: `True`: each save waits until the disk has it, so that it survives a power cut.
        dumps: a function that turns a cursor into a text; JSON by default, which also takes bytes,
            `Decimal`, `UUID`, dates and times.
        loads: a function that turns the text back.
        store: where to keep it instead of in a file: a `SQLiteStore`, a `RedisCheckpointStore` of
            `failover_iter.redis`, or another object with the methods of a `Store`.

    Raises:
        TypeError: an argument has the wrong type, or `path` and `store` are both given, or neither.
        ValueError: `every` is negative.

    The first pull of a stream raises `CheckpointError` if what was saved is damaged, empty, or of
    another version, and whatever the store raises. A pull raises what a save raises (the disk is
    full, for example). No source is blamed for that, and none is opened after it.

    Example:
        >>> import tempfile
        >>> from failover_iter import Checkpoint, Resume, failover_stream
        >>> def letters(progress):
        ...     yield from "abcde"[progress.cursor:]
        >>> checkpoint = Checkpoint(tempfile.mkdtemp() + "/letters.json", every=5)
        >>> resume = Resume(start=0, advance=lambda at, _: at + 1)
        >>> stream = failover_stream([letters], retry_on=OSError, mid_stream=resume,
        ...                          checkpoint=checkpoint)
        >>> for letter in stream:
        ...     if letter == "c":
        ...         break  # it was not processed
        >>> stream.close()
        >>> list(failover_stream([letters], retry_on=OSError, mid_stream=resume,
        ...                      checkpoint=checkpoint))
        ['c', 'd', 'e']
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        every: float | timedelta = 1.0,
        auto: bool = True,
        fsync: bool = False,
        dumps: Callable[[Any], str] = dumps,
        loads: Callable[[str], Any] = loads,
        store: Store | None = None,
    ) -> None:
        check_bool("auto", auto)
        check_bool("fsync", fsync)
        check_callback("dumps", dumps, "a function cursor -> str")
        check_callback("loads", loads, "a function str -> cursor")
        self.every = seconds_of("every", every)
        self.auto = auto
        self._dumps = dumps
        self._loads = loads
        self._store = _store_of(path, store, fsync=fsync)
        self._is_used = False
        #: The class of the cursors that `loads` returns equal.
        self._checked: type | None = None
        self._mutex = threading.RLock()
        #: Which stream saves: so two of them never save the same text.
        self._by = ""
        self._due = 0.0
        self._done: Saved | None = None

    def __repr__(self) -> str:
        """Return what the options say, in one line."""
        auto = "" if self.auto else ", auto=False"
        return f"Checkpoint({self._store}, every={self.every:g}{auto})"

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has in common with this one: no stream uses the copy yet."""
        return {**self.__dict__, "_is_used": False, "_done": None, "_mutex": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make a copy, which a policy needs that is pickled."""
        self.__dict__.update(state, _mutex=threading.RLock())

    # For consumers that read ahead.

    def done(self, cursor: Any) -> None:
        """Say that all items up to this cursor are processed; with `auto=False`.

        It saves if that is due, and always after the stream has ended. Call `close` last.

        Raises:
            TypeError: the checkpoint has `auto=True`, or the cursor cannot be saved.
        """
        if self.auto:
            raise TypeError("done(cursor) is for a Checkpoint(auto=False), this one has auto=True")
        with self._mutex:
            self._done = Saved(cursor, 0, 0)
            if time.monotonic() >= self._due or not self._is_used:
                self.flush()

    async def adone(self, cursor: Any) -> None:
        """Say the same in async code, without blocking the event loop."""
        await away(lambda: self.done(cursor))

    def flush(self) -> None:
        """Save what was done last."""
        with self._mutex:
            if self._done is not None:
                self.save(*self._done)
                self._done = None  # not before: `close` tries again
                self._due = time.monotonic() + self.every

    def close(self) -> None:
        """Save what was done last, and let other processes go on; with `auto=False`."""
        try:
            self.flush()
        finally:
            self._store.close()

    # For the stream.

    def open(self) -> Saved | None:
        """Return what was saved last; from now on this stream alone uses the checkpoint."""
        with self._mutex:
            if self._is_used:
                raise CheckpointError(f"{self._store} is in use by another stream of this process")
            text = self._store.load()
            try:
                saved = None if text is None else self._read(text)
            except BaseException:
                self._store.close()
                raise
            self._is_used = True
            self._by = os.urandom(4).hex()
            return saved

    def save(self, cursor: Any, delivered: int, at: int) -> None:
        """Save where the stream is."""
        text = self._dumps(cursor)
        if not isinstance(text, str):
            raise TypeError(f"dumps must return a str, got {type(text).__name__}")
        if type(cursor) is not self._checked:
            self._check(cursor, text)
        state = {"failover_iter": _VERSION, "cursor": text, "delivered": delivered, "at": at}
        self._store.save(json.dumps({**state, "by": self._by}))

    def release(self) -> None:
        """The stream has ended."""
        with self._mutex:
            try:
                if self.auto:
                    self._store.close()
                else:
                    self.flush()
            finally:
                self._is_used = False

    def _check(self, cursor: Any, text: str) -> None:
        loaded = self._loads(text)
        if type(loaded) is not type(cursor) or loaded != cursor:
            raise TypeError(
                "loads(dumps(cursor)) does not return an equal cursor: a "
                f"{type(cursor).__name__} becomes a {type(loaded).__name__}; pass dumps and loads"
            )
        self._checked = type(cursor)

    def _read(self, text: str) -> Saved:
        try:
            state = json.loads(text)
            version = state["failover_iter"]
        except (ValueError, TypeError, KeyError) as error:
            what = "is damaged" if text.strip() else "is empty"
            raise CheckpointError(f"{self._store} {what}: delete it to start over") from error
        if version != _VERSION:
            raise CheckpointError(
                f"{self._store} has version {version!r}, this release reads version {_VERSION}"
            )
        try:
            delivered, at = int(state["delivered"]), int(state["at"])
            return Saved(self._loads(state["cursor"]), delivered, at)
        except Exception as error:
            raise CheckpointError(f"{self._store} is damaged: delete it to start over") from error


def _store_of(path: Any, store: Any, *, fsync: bool) -> Store:
    if (path is None) == (store is None):
        raise TypeError(f"Checkpoint takes a path or a store, got path={path!r}, store={store!r}")
    if store is None:
        return FileStore(path, fsync=fsync)
    if fsync:
        raise TypeError("fsync is for a path: a store has its own guarantees")
    if not all(offers(store, method) for method in ("load", "save", "close")):
        raise TypeError(f"store must have the methods of a Store, got {store!r}")
    return store  # type: ignore[no-any-return]  # it has the methods


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
        self._path = Path(path).absolute()  # the process may change its folder
        self._new = self._path.with_name(f"{self._path.name}.new")
        self._fsync = fsync
        self._lock: int | None = None
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
        except UnicodeDecodeError:
            self.close()
            raise CheckpointError(f"{self} is damaged: delete it to start over") from None
        except BaseException:
            self.close()
            raise

    def _hold(self) -> None:
        """Lock the file, unless that was done."""
        if self._lock is not None:
            return
        file = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(file)
        except OSError as error:
            os.close(file)
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
                _unlock(lock)
        finally:
            os.close(lock)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where folders can be opened."""
    with suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


class SQLiteStore:
    """Keeps a checkpoint in a table of an SQLite database, which other streams may share.

    A save replaces what this stream has loaded or saved. If another process has saved meanwhile,
    it raises `CheckpointError`.

    Args:
        path: the database. The table `failover_iter_checkpoints` is made in it.
        key: which row of the table: one for each stream.

    Example:
        >>> import tempfile
        >>> from failover_iter import Checkpoint
        >>> from failover_iter.checkpoint import SQLiteStore
        >>> store = SQLiteStore(tempfile.mkdtemp() + "/state.db", "orders")
        >>> Checkpoint(store=store, every=5)
        Checkpoint(the checkpoint 'orders', every=5)
    """

    def __init__(self, path: str | os.PathLike[str], key: str) -> None:
        self._path = path
        self._key = key
        self._state: str | None = None

    def __str__(self) -> str:
        """Return the key, for messages."""
        return f"the checkpoint {self._key!r}"

    def load(self) -> str | None:
        """Return the text in the row."""
        with self._connected() as database, database:
            database.execute(
                "create table if not exists failover_iter_checkpoints "
                "(key text primary key, state text not null)"
            )
            row = database.execute(
                "select state from failover_iter_checkpoints where key = ?", [self._key]
            ).fetchone()
        self._state = None if row is None else row[0]
        return self._state

    def save(self, state: str) -> None:
        """Replace the text in the row, if nobody else has."""
        with self._connected() as database, database:
            if self._state is None:
                changed = database.execute(
                    "insert or ignore into failover_iter_checkpoints values (?, ?)",
                    [self._key, state],
                )
            else:
                changed = database.execute(
                    "update failover_iter_checkpoints set state = ? where key = ? and state = ?",
                    [state, self._key, self._state],
                )
        if changed.rowcount != 1:
            raise CheckpointError(f"{self} was saved by another stream or process meanwhile")
        self._state = state

    def close(self) -> None:
        """Do nothing: a connection is open only while it is used."""

    def _connected(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path))
