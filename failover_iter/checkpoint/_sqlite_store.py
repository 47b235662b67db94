"""`SQLiteStore`: a checkpoint in a table of SQLite."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from failover_iter.errors import CheckpointError


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
        self._path = Path(path).absolute()  # the process may change its folder
        self._key = key
        self._state: str | None = None

    def __str__(self) -> str:
        """Return the key, for messages."""
        return f"the checkpoint {self._key!r}"

    def load(self) -> str | None:
        """Return the text in the row."""
        try:
            with self._connected() as database, database:
                database.text_factory = bytes  # else a damaged text raises OperationalError
                database.execute(
                    "create table if not exists failover_iter_checkpoints "
                    "(key text primary key, state text not null)"
                )
                row = database.execute(
                    "select state from failover_iter_checkpoints where key = ?", [self._key]
                ).fetchone()
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise  # of a subclass: the disk is full, or another process has locked it
            raise CheckpointError(f"{self} is damaged: {error}") from error
        self._state = None if row is None else row[0].decode()
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
