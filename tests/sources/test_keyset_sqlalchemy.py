"""`keyset` with SQLAlchemy 2 Core."""

from __future__ import annotations

import asyncio
import sqlite3
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter import Progress, afailover_stream, failover_stream
from failover_iter.sources import keyset
from support.needs import needs

sa = needs("sqlalchemy")


@pytest.mark.parametrize("key", ["a", ("a", "b")])
def test_sqlalchemy(key: Any, tmp_path: Path) -> None:
    """A `select()` of Core; columns and their names are keys."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/db", poolclass=sa.pool.NullPool)
    table = sa.table("t", sa.column("a", sa.Integer), sa.column("b", sa.Integer))
    with engine.begin() as db:
        db.execute(sa.text("CREATE TABLE t (a, b)"))
        db.execute(sa.insert(table), [{"a": n, "b": 0} for n in range(10)])
    columns = table.c.a if key == "a" else [table.c.a, "b"]
    query = sa.select(table).where(table.c.b == sa.bindparam("zero"))
    source = keyset(engine.connect, query, key=columns, params={"zero": 0}, batch=3)
    assert source.name == "t"
    stream = failover_stream([source], retry_on=OSError)
    assert [row.a for row in stream] == [*range(10)]
    assert [row.a for row in source.factory(Progress(cursor=7 if key == "a" else [7, 0]))] == [8, 9]
    engine.dispose()


def test_sqlalchemy_refusals() -> None:
    """The columns of a `select()` are known, so a wrong key is refused at the call."""
    query = sa.select(sa.column("b"), sa.column("a"))
    with pytest.raises(ValueError, match="the first columns of the query, in their order, got a"):
        keyset(sqlite3.Connection, query, key="a")
    with pytest.raises(TypeError, match="params=...\\) must be a mapping, or None, got list"):
        keyset(sqlite3.Connection, query, key="b", params=[1])
    text = sa.text("SELECT 1 AS a").columns(sa.column("a"))
    assert keyset(sqlite3.Connection, text, key="a").name == "keyset"
    assert keyset(sqlite3.Connection, query, key="b").name == "keyset"
    scan = keyset(lambda: sqlite3.connect(":memory:"), query, key="b")
    with pytest.raises(TypeError, match="a Connection of SQLAlchemy, because the query is a Sel"):
        next(failover_stream([scan], retry_on=OSError))


@pytest.mark.parametrize(("driver", "value"), [("psycopg", "0.5"), ("asyncpg", 0.5)])
def test_postgresql_gets_no_type(driver: str, value: object) -> None:
    """There a key is compared as a value of the column, not of the type that was declared."""
    dialect: Any = import_module(f"sqlalchemy.dialects.postgresql.{driver}").dialect()
    columns = [sa.column("a", sa.Float), sa.column("b", sa.String), sa.column("c", Doubled)]
    scan: Any = keyset(sqlite3.Connection, sa.select(*columns), key=("a", "b", "c")).factory
    connection = SimpleNamespace(dialect=dialect)
    compiled = scan.__self__.query.statement(connection, [0.5, "x", 2]).compile(dialect=dialect)
    assert "::" not in str(compiled)
    assert [*compiled.construct_params().values()] == [value, "x", 4]


class Doubled(sa.TypeDecorator):
    """A type that the user has defined."""

    impl, cache_ok = sa.Integer, True

    def process_bind_param(self, value: Any, dialect: object) -> int:
        """The value in the database."""
        doubled: int = value * 2
        return doubled


class Result:
    """The result of an async connection."""

    def __init__(self, rows: list[tuple[int, ...]]) -> None:
        self.rows, self.is_open = rows, True

    def keys(self) -> list[str]:
        return ["a"]

    async def fetchmany(self, size: int) -> list[tuple[int, ...]]:
        rows, self.rows = self.rows[:size], self.rows[size:]
        return rows

    async def close(self) -> None:
        self.is_open = False


class AsyncEngine:
    """An async engine, whose `connect` returns an object that is awaited."""

    def __init__(self) -> None:
        self.result = Result([(1,), (2,), (3,)])
        self.asked: list[Any] = []

    async def dispose(self) -> None:
        """Nothing to do."""

    def connect(self) -> Any:
        async def connected() -> Any:
            return self

        return connected()

    def execution_options(self) -> None:
        """The method by which a connection of SQLAlchemy is known."""

    def execute(self) -> None:
        """The method by which a connection is known."""

    async def stream(self, statement: Any, params: Any, *, execution_options: Any) -> Result:
        self.asked.append((str(statement), params, execution_options))
        return self.result

    async def close(self) -> None:
        assert not self.result.is_open


def test_an_async_engine() -> None:
    """A consumer that leaves closes the result, then the connection."""
    query = sa.select(sa.column("a"))

    async def main(engine: AsyncEngine, *, leave: bool) -> list[Any]:
        scan = keyset(engine.connect, query, key="a", batch=2)
        stream = afailover_stream([scan], retry_on=OSError)
        if leave:
            first = await anext(stream)
            await stream.aclose()
            return [first]
        return [row async for row in stream]

    for leave, rows in ((False, [(1,), (2,), (3,)]), (True, [(1,)])):
        engine = AsyncEngine()
        assert asyncio.run(main(engine, leave=leave)) == rows
        assert not engine.result.is_open
        ((text, params, options),) = engine.asked
        assert text.endswith("ORDER BY keyset_rows.a")
        assert (params, options) == (None, {"yield_per": 2})
