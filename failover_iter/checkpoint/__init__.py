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

import json
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple, Protocol
from weakref import WeakValueDictionary

from failover_iter._drivers.away import away
from failover_iter._validation import (
    check_bool,
    check_callback,
    offers,
    seconds_of,
    shown,
    suggest_options,
)
from failover_iter.checkpoint._cursor_text import dumps, loads
from failover_iter.checkpoint._file_store import FileStore
from failover_iter.checkpoint._sqlite_store import SQLiteStore
from failover_iter.errors import CheckpointError

__all__ = ["Checkpoint", "FileStore", "SQLiteStore", "Store"]

#: The version of what is saved.
_VERSION: Final = 1
#: Which checkpoint uses a store, by the `id` of the store.
_users: Final = WeakValueDictionary[int, "Checkpoint"]()
_users_mutex: Final = threading.Lock()


class Store(Protocol):
    """Keeps the state of one stream, a text, for the next process.

    Both methods block; an async stream calls them in a thread. `save` is atomic: after a crash
    `load` returns the whole text that was saved last, or the one before it.
    """

    def load(self) -> str | None:
        """Return what was saved last, or None; raise `CheckpointError` if another process writes.

        It is called at the first pull of each stream. A `UnicodeDecodeError` means that what was
        saved is damaged.
        """
        ...

    def save(self, state: str, /) -> None:
        """Replace what was saved; raise `CheckpointError` if another process has saved too."""
        ...

    def close(self) -> None:
        """The stream has ended: let other processes use the state."""
        ...


class Saved(NamedTuple):
    """The saved position of a stream."""

    cursor: Any
    #: Items that were processed, and how many of them the cursor includes.
    delivered: int
    at: int
    #: The entry "checkpoint" of `Progress.memo`.
    kept: Any = None


@suggest_options
class Checkpoint:
    """The position of a stream, kept so that the next process continues there.

    Pass it to a stream with a cursor: `Resume(start=..., advance=...)`, or a source with resume
    built in. The stream reads it at its first pull. It saves the cursor at most every `every`
    seconds, when an item arrives, and at its end. An item counts as processed when the consumer
    asks for the next one. So handle each item before you ask for the next one: then nothing is
    lost, whenever the process is killed, and at most the items of one interval repeat. If the
    consumer leaves, or raises, in the middle of an item, that item repeats.

    One stream at a time uses a checkpoint, or a store. A second one, in this process or in another
    one, gets a `CheckpointError`. So does a process that was forked while the stream ran: its copy
    of the stream cannot save. The checkpoint of a stream that has ended stays: the next stream
    yields only what is new. Delete it to start over.

    Args:
        path: the file to keep it in; a relative path is that of the folder where this process is
            now. It is replaced as a whole, by a rename. A file with the ending `.lock` beside it is
            locked while a stream runs, and stays there.
        every: the seconds between two saves; 0 saves at each item.
        auto: `False`: items are processed when you call `done(cursor)`. For consumers that read
            ahead (batches, queues). Their number is not saved, so `expect_items` is an error.
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
    full, for example). No source is blamed for that, and none is opened after it. The last save
    comes before the end: if it fails, the stream ends with its error, and listeners are told.

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
        self._mutex = threading.RLock()
        #: Which stream saves: so two of them never save the same text.
        self._by = ""
        #: The process that has opened it.
        self._process = 0
        self._due = 0.0
        self._done: Saved | None = None
        self._kept: Callable[[], Any] | None = None

    def __repr__(self) -> str:
        """Return what the options say, in one line."""
        auto = "" if self.auto else ", auto=False"
        return f"Checkpoint({self._store}, every={self.every:g}{auto})"

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has in common with this one: no stream uses the copy yet."""
        alone = {"_is_used": False, "_done": None, "_process": 0, "_kept": None}
        return {**self.__dict__, **alone, "_mutex": None}

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
            self._done = Saved(cursor, 0, 0, self._kept and self._kept())
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
            self._let_go()

    # For the stream.

    def open(self) -> Saved | None:
        """Return what was saved last; from now on this stream alone uses the checkpoint."""
        with self._mutex:
            with _users_mutex:
                user = _users.setdefault(id(self._store), self)
            if self._is_used or user is not self:
                raise CheckpointError(f"{self._store} is in use by another stream of this process")
            try:
                saved = self._load()
            except BaseException:
                del _users[id(self._store)]
                raise
            self._is_used = True
            self._by = os.urandom(4).hex()
            self._process = os.getpid()
            return saved

    def _load(self) -> Saved | None:
        try:
            text = self._store.load()
        except UnicodeDecodeError as error:
            raise self._damaged() from error
        try:
            return None if text is None else self._read(text)
        except BaseException:
            self._store.close()
            raise

    def follow(self, kept: Callable[[], Any]) -> None:
        """Ask this function what to save with a cursor, when the consumer says it."""
        self._kept = kept

    def save(self, cursor: Any, delivered: int, at: int, kept: Any) -> None:
        """Save where the stream is, and what its sources keep with that."""
        text = self._dumps(cursor)
        if not isinstance(text, str):
            raise TypeError(f"dumps must return a str, got {type(text).__name__}")
        self._check(cursor, text)
        if self._process not in (0, os.getpid()):
            raise CheckpointError(f"{self._store} is in use by the parent of this process")
        place = {"failover_iter": _VERSION, "cursor": text, "delivered": delivered, "at": at}
        try:
            state = json.dumps({**place, "memo": kept, "by": self._by})
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"progress.memo['checkpoint'] must be plain data for JSON, got {shown(kept)} "
                f"({error})"
            ) from error
        self._store.save(state)

    def release(self) -> None:
        """The stream has ended."""
        with self._mutex:
            try:
                if self.auto:
                    self._let_go()
                else:
                    self.flush()
            finally:
                self._is_used = False

    def _let_go(self) -> None:
        if _users.get(id(self._store)) is self:
            del _users[id(self._store)]
        self._store.close()

    def _check(self, cursor: Any, text: str) -> None:
        loaded = self._loads(text)
        if type(loaded) is not type(cursor) or loaded != cursor:
            raise TypeError(
                "loads(dumps(cursor)) does not return an equal cursor: a "
                f"{type(cursor).__name__} becomes a {type(loaded).__name__}; pass dumps and loads"
            )

    def _read(self, text: str) -> Saved:
        try:
            state = json.loads(text)
            version = state["failover_iter"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._damaged("is damaged" if text.strip() else "is empty") from error
        if version != _VERSION:
            raise CheckpointError(
                f"{self._store} has version {version!r}, this release reads version {_VERSION}"
            )
        try:
            delivered, at = int(state["delivered"]), int(state["at"])
            return Saved(self._loads(state["cursor"]), delivered, at, state.get("memo"))
        except Exception as error:
            raise self._damaged() from error

    def _damaged(self, what: str = "is damaged") -> CheckpointError:
        return CheckpointError(f"{self._store} {what}: delete it to start over")


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
