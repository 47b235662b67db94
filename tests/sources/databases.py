"""A table in SQLite, read over connections that break as a script says, sync and async."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from failover_iter import afailover_stream, failover_stream
from failover_iter.sources import keyset
from sources.readers import Result, aread_all, read_all

#: Of this module as a driver: its async connections take what SQLite takes.
paramstyle = "qmark"


class Cut(sqlite3.OperationalError):
    """The connection broke, as the script says."""


@dataclass
class Database:
    """A table of rows (a, b, text), and how each connection to it breaks.

    Attributes:
        rows: the rows of the table.
        breaks: for each connection, before which number of fetched rows it breaks; or "connect",
            "execute" or "close". The connections after these are sound.
        load: what the driver makes of a key.
        vanish: whether the row that was delivered last is deleted before a connection is opened.
        is_open: which connections are open.
    """

    rows: Sequence[tuple[Any, ...]]
    breaks: Sequence[int | str] = ()
    vanish: bool = False
    load: Callable[[Any], Any] | None = None
    is_open: list[bool] = field(default_factory=list)
    statements: list[tuple[Any, ...]] = field(default_factory=list)
    delivered: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = sqlite3.connect(":memory:", isolation_level=None)
        self.table.execute("CREATE TABLE t (a, b, text)")
        self.table.executemany("INSERT INTO t VALUES (?, ?, ?)", self.rows)

    def close(self) -> None:
        self.table.close()

    def connect(self) -> Connection:
        number = len(self.is_open)
        script = self.breaks[number] if number < len(self.breaks) else "never"
        self.is_open.append(False)
        if script == "connect":
            raise Cut("refused")
        self.is_open[number] = True
        if self.vanish and self.delivered:
            self.table.execute("DELETE FROM t WHERE a = ? AND b = ?", self.delivered[-1][:2])
        return Connection(self, number, script)

    async def aconnect(self) -> AConnection:
        return AConnection(self.connect())

    def count(self, row: Any) -> Any:
        """Remember a row that was delivered."""
        self.delivered.append(row)
        return row


class Connection:
    """One connection, with the methods of DB-API 2.0."""

    def __init__(self, database: Database, number: int, script: int | str) -> None:
        self.database, self.number, self.script = database, number, script

    def cursor(self) -> Cursor:
        return Cursor(self)

    def close(self) -> None:
        assert self.database.is_open[self.number], "closed twice"
        self.database.is_open[self.number] = False
        if self.script == "close":
            raise Cut("close")


class Cursor:
    """Its cursor."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.fetched = connection, 0

    def execute(self, *statement: Any) -> None:
        self.connection.database.statements.append(statement)
        if self.connection.script == "execute":
            raise Cut("execute")
        self.cursor = self.connection.database.table.execute(*statement)
        self.description = self.cursor.description

    def fetchmany(self, size: int) -> list[Any]:
        rows = self.cursor.fetchmany(size)
        self.fetched += len(rows)
        script = self.connection.script
        if isinstance(script, int) and self.fetched >= script:
            raise Cut("fetch")
        load = self.connection.database.load
        return rows if load is None else [(load(key), *rest) for key, *rest in rows]

    def close(self) -> None:
        if hasattr(self, "cursor"):
            self.cursor.close()


class AConnection:
    """The same, async. Like those of aiosqlite, its cursors are awaited."""

    def __init__(self, inner: Connection) -> None:
        self.inner = inner

    async def cursor(self) -> ACursor:
        return ACursor(self.inner.cursor())

    async def close(self) -> None:
        self.inner.close()


class ACursor:
    """The same, async."""

    def __init__(self, inner: Cursor) -> None:
        self.inner = inner

    @property
    def description(self) -> Any:
        return self.inner.description

    async def execute(self, *statement: Any) -> None:
        self.inner.execute(*statement)

    async def fetchmany(self, size: int) -> list[Any]:
        return self.inner.fetchmany(size)

    async def close(self) -> None:
        self.inner.close()


def scan(database: Database, sources: int, scan_options: dict[str, Any], **options: Any) -> Result:
    """Read the table to its end, or to an error, with the sync driver."""
    scans = [keyset(database.connect, **scan_options) for _ in range(sources)]
    stream = failover_stream(scans, retry_on=sqlite3.OperationalError, **options)
    result = read_all(map(database.count, stream), stream)
    database.close()
    return result


def ascan(database: Database, sources: int, scan_options: dict[str, Any], **options: Any) -> Result:
    """The same with the async driver."""
    scans = [keyset(database.aconnect, **scan_options) for _ in range(sources)]

    async def counted(stream: Any) -> Any:
        async for row in stream:
            yield database.count(row)

    async def main() -> Result:
        stream = afailover_stream(scans, retry_on=sqlite3.OperationalError, **options)
        return await aread_all(counted(stream), stream)

    result = asyncio.run(main())
    database.close()
    return result


#: Both drivers, by their names.
SCANS: dict[str, Any] = {"sync": scan, "async": ascan}


def sorted_by(rows: Iterable[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    """The rows in the order of their first columns."""
    return sorted(rows, key=lambda row: row[:width])
