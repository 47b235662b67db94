"""Scans of a table by `keyset`, on a fake of a driver."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from failover_iter import afailover_stream, failover_stream
from failover_iter.sources import keyset
from failover_iter.sources._key_query import AFTER, Side
from sources.databases import AConnection, Cut
from sources.readers import Result, aread_all, read_all
from support.runners import quiet

ROWS = [(n, n % 3, f"row {n}") for n in range(10)]


def read(connect: Callable[[], Any], **options: Any) -> Result:
    """Read a table with a sync driver."""
    scan = {"query": "SELECT a, b FROM t", "key": "a", **options}
    stream = failover_stream(
        [keyset(connect, **scan)], retry_on=sqlite3.OperationalError, attempts=3
    )
    with quiet():
        return read_all(stream)


def aread(connect: Callable[[], Any]) -> Result:
    """Read a table with an async driver."""

    async def aconnect() -> AConnection:
        return AConnection(connect())

    scan = keyset(aconnect, "SELECT a, b FROM t", key="a")
    stream = afailover_stream([scan], retry_on=sqlite3.OperationalError, attempts=3)
    with quiet():
        return asyncio.run(aread_all(stream))


class Fake:
    """A connection of a driver whose cursor has the given rows, and those up to the cursor."""

    def __init__(
        self, *rows: Any, columns: str = "a b", cut: bool = False, up_to: Sequence[Any] = ()
    ) -> None:
        self.given, self.up_to, self.cut = rows, up_to, cut
        self.description = [(name,) for name in columns.split()]
        self.statements: list[Any] = []

    def cursor(self) -> Fake:
        return self

    def execute(self, *statement: Any) -> None:
        self.statements.append(statement)
        self.rows = [*self.up_to] if "<=" in statement[0] else [*self.given]

    def fetchmany(self, size: int) -> list[Any]:
        if not self.rows and self.cut:
            raise Cut("fetch")
        rows, self.rows = self.rows[:size], self.rows[size:]
        return rows

    def close(self) -> None:
        """Nothing to do."""


paramstyle = "qmark"  # of this module as the driver of Fake


def fakes(*connections: Fake) -> Callable[[], Fake]:
    left = iter(connections)
    return lambda: next(left)


def statement(style: str, key: Any = None, side: Side = AFTER, **options: Any) -> tuple[Any, ...]:
    """The statement for the rows after a key, with a driver of this paramstyle."""
    from failover_iter.sources import _key_query

    query = _key_query.new_query(
        options.get("query", "SELECT a, b FROM t"),
        options.get("columns", "a"),
        options.get("params"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_key_query, "_paramstyle", lambda *_: style)
        return query.statement(None, None, key, side)  # type: ignore[union-attr]
