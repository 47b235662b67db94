"""`keyset` on a real PostgreSQL, which ends the connections in the middle of the scan."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from typing import Any

import pytest

from failover_iter import Progress, Source, afailover_stream, failover_stream
from failover_iter.sources import keyset
from failover_iter.sources._key_query import AFTER, UP_TO
from support.needs import needs
from support.runners import quiet

psycopg = needs("psycopg")
sa = needs("sqlalchemy")
needs("greenlet")

HOST = os.environ.get("PGHOST", "127.0.0.1")
PORT = int(os.environ.get("PGPORT", "5432"))
DSN = f"host={HOST} port={PORT} user={os.environ.get('PGUSER', 'postgres')} dbname=postgres"
URL = f"postgresql+psycopg://postgres@{HOST}:{PORT}/postgres"
NAME = f"keyset_{os.getpid()}"
ERRORS = (psycopg.OperationalError, sa.exc.OperationalError)


def is_there() -> bool:
    """Whether a PostgreSQL listens here; a user's machine often has none."""
    try:
        with socket.create_connection((HOST, PORT), timeout=1):
            return True
    except OSError:
        return False


pytestmark = [
    pytest.mark.skipif(not is_there(), reason="no PostgreSQL listens on 127.0.0.1:5432"),
    pytest.mark.filterwarnings("error::ResourceWarning"),
]


class Table:
    """A table with this many rows, and the connections to it."""

    def __init__(self, size: int, name: str = NAME) -> None:
        self.size, self.name = size, name
        self.admin = psycopg.connect(DSN, autocommit=True)
        self.admin.execute(f"DROP TABLE IF EXISTS {name}")
        self.admin.execute(
            f"CREATE TABLE {name} AS SELECT n / 7 AS a, n % 7 AS b, n, 'body%' || n AS body "
            f"FROM generate_series(0, {size - 1}) AS n"
        )
        self.admin.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (a, b)")
        self.query = f"SELECT a, b, n FROM {name}"
        self.table = sa.table(name, *(sa.column(each, sa.Integer) for each in "abn"))
        self.kills = [size // 7, size // 2, size - 2]

    def drop(self) -> None:
        self.admin.execute(f"DROP TABLE {self.name}")
        self.admin.close()

    def backends(self, what: str) -> int:
        """Count or end the connections of the scan."""
        query = f"SELECT count({what}) FROM pg_stat_activity WHERE application_name = %s"
        count: int = self.admin.execute(query, [NAME]).fetchone()[0]
        return count

    def on_row(self, count: int) -> None:
        """End the connection of the scan at three places."""
        if count in self.kills:
            assert self.backends("pg_terminate_backend(pid)") == 1

    def check(self, numbers: list[int]) -> None:
        """Each row came once, and no connection is left."""
        assert numbers == [*range(self.size)]
        for _ in range(1000):  # the server takes a moment to notice
            if not self.backends("pid"):
                return
            time.sleep(0.01)
        raise AssertionError("a connection is left")


@pytest.fixture(scope="module")
def small() -> Iterator[Table]:
    table = Table(5000)
    yield table
    table.drop()


def read(table: Table, *sources: Source[Any]) -> None:
    """Read the table while its connections are ended, and check what came."""
    numbers: list[int] = []
    with quiet(), closing(failover_stream(sources, retry_on=ERRORS, attempts=3)) as stream:
        for row in stream:
            numbers.append(row["n"] if isinstance(row, dict) else row[2])
            table.on_row(len(numbers))
    table.check(numbers)


def aread(table: Table, make: Callable[[], Source[Any]]) -> None:
    """The same with the async driver."""

    async def main() -> None:
        numbers: list[int] = []
        stream = afailover_stream([make()], retry_on=ERRORS, attempts=3)
        with quiet():
            async with aclosing(stream):
                async for row in stream:
                    numbers.append(row[2])
                    table.on_row(len(numbers))
        table.check(numbers)

    asyncio.run(main())


def connect(**options: Any) -> Any:
    return psycopg.connect(DSN, application_name=NAME, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"autocommit": True}, {"row_factory": psycopg.rows.dict_row}],
    ids=["plain", "autocommit", "dict_row"],
)
def test_psycopg(small: Table, options: dict[str, Any]) -> None:
    """A server-side cursor, in a transaction of the connection or of the scan."""
    scan = partial(connect, **options)
    read(small, keyset(scan, small.query, key=("a", "b"), batch=100))


def test_parameters_and_percent_signs(small: Table) -> None:
    """Parameters of the query, and a % in it, before and after a takeover."""
    literal = f"{small.query} WHERE body LIKE 'body%'"
    read(small, keyset(connect, literal, key=("a", "b"), batch=100))
    named = f"{small.query} WHERE body LIKE %(like)s"
    params = {"like": "body%"}
    read(small, keyset(connect, named, key=("a", "b"), params=params, batch=100))
    query = psycopg.sql.SQL("SELECT a, b, n FROM {}").format(psycopg.sql.Identifier(NAME))
    read(small, keyset(connect, query, key=("a", "b"), batch=100))


@pytest.mark.parametrize("autocommit", [False, True])
def test_async_psycopg(small: Table, autocommit: bool) -> None:
    """An async connection, with a server-side cursor."""
    scan = partial(
        psycopg.AsyncConnection.connect, DSN, application_name=NAME, autocommit=autocommit
    )
    aread(small, lambda: keyset(scan, small.query, key=("a", "b"), batch=100))


def test_sqlalchemy(small: Table) -> None:
    """An engine: the composite key is compared as a row."""
    engine = sa.create_engine(
        URL, connect_args={"application_name": NAME}, poolclass=sa.pool.NullPool
    )
    read(small, keyset(engine.connect, sa.select(small.table), key=("a", "b"), batch=100))


def test_async_sqlalchemy(small: Table) -> None:
    """An async engine streams the rows."""
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        URL, connect_args={"application_name": NAME}, poolclass=sa.pool.NullPool
    )
    query = sa.select(small.table)
    aread(small, lambda: keyset(engine.connect, query, key=("a", "b"), batch=100))


def test_a_blocked_query_is_cancelled(small: Table) -> None:
    """A query that takes too long is cancelled on the server, and its connection closed."""
    scan = keyset(connect, "SELECT 1 AS a FROM pg_sleep(600)", key="a")
    with quiet(), pytest.raises(TimeoutError):
        next(failover_stream([scan], retry_on=ERRORS, idle_timeout=0.2))
    small.check([*range(small.size)])


def test_leaving(small: Table) -> None:
    """A consumer that leaves closes the connection."""
    stream = failover_stream([keyset(connect, small.query, key=("a", "b"))], retry_on=ERRORS)
    next(stream)
    stream.close()
    small.check([*range(small.size)])


def test_the_index_is_used(small: Table) -> None:
    """PostgreSQL looks through the subquery: a takeover begins in the index."""
    with closing(connect()) as db, db.cursor() as cursor:
        query: Any = keyset(connect, small.query, key=("a", "b")).factory.__self__.query  # type: ignore[union-attr]
        cursor.execute("SET enable_seqscan = off")
        for side in (AFTER, UP_TO):
            text, params = query.statement(db, cursor, [300, 1], side)
            plan = "\n".join(line for (line,) in cursor.execute(f"EXPLAIN {text}", params))
            assert f"Index Cond: (ROW(a, b) {side.sign} ROW(" in plan
            assert "Sort" not in plan


#: Types of PostgreSQL, and values of them.
TYPES = {
    "real": "-0.0 0.1 0.7 16777217 NaN",
    "double precision": "0.1 3.141592653589793 inf NaN",
    "numeric": "0.10 0.7 1e30 NaN",
    "char(5)": "a ab abcde",
    'text COLLATE "C"': "B a b",
    "money": "-3 1 20",
    "bit(3)": "001 101",
    "uuid": "00000000-0000-0000-0000-000000000001 f0000000-0000-0000-0000-000000000001",
    "bytea": r"\x00 \x00ff \xff",
    "bool": "f t",
    "date": "0001-01-01 2026-01-01",
    "timetz": "12:00+00 13:00+01 14:00+01",
    "timestamp": "2026-01-01T00:00 2026-01-01T00:00:00.000001",
    "timestamptz": "2026-10-25T00:00Z 2026-10-25T00:30Z 2026-10-25T01:00Z 2026-10-25T01:30Z",
}
#: What SQLAlchemy may have been told instead.
DECLARED = {
    "real": sa.Float,
    "numeric": sa.Numeric,
    "char(5)": sa.String,
    "money": sa.String,
    "timestamptz": sa.DateTime,
}


@pytest.fixture
def typed() -> Iterator[Callable[[str], Any]]:
    """Make a table whose key has this type; return how to delete the first row of it."""
    name = f"{NAME}_typed"
    with psycopg.connect(DSN, autocommit=True) as admin:

        def make(type_: str) -> Callable[[], Any]:
            admin.execute(f"CREATE TABLE {name} (k {type_}, n int)")
            rows = f"SELECT k::{type_}, n FROM unnest(%s::text[]) AS k, (VALUES (1), (2)) AS t (n)"
            admin.execute(f"INSERT INTO {name} {rows}", [TYPES[type_].split()])
            first = f"(SELECT ctid FROM {name} ORDER BY k, n LIMIT 1)"
            return lambda: admin.execute(f"DELETE FROM {name} WHERE ctid = {first}")

        yield make
        admin.execute(f"DROP TABLE {name}")


def check_each_place(scan: Source[Any], delete: Callable[[], Any]) -> None:
    """The scan goes on after each row, whether that row is there or was deleted."""
    factory: Any = scan.factory
    rows = [tuple(row) for row in factory(Progress())]
    assert len(rows) > 3
    for number, row in enumerate(rows, 1):
        there = [tuple(each) for each in factory(Progress(cursor=[*row]))]
        delete()
        deleted = [tuple(each) for each in factory(Progress(cursor=[*row]))]
        assert str(there) == str(deleted) == str(rows[number:])  # NaN is not equal to itself


#: A zone in which the clock is put back in October.
BERLIN = "-c TimeZone=Europe/Berlin"


@pytest.mark.parametrize("type_", TYPES)
def test_each_type(type_: str, typed: Any) -> None:
    """The database compares a key as a value of the column's type."""
    delete = typed(type_)
    berlin = partial(psycopg.connect, DSN, options=BERLIN)
    check_each_place(keyset(berlin, f"SELECT k, n FROM {NAME}_typed", key=("k", "n")), delete)


@pytest.mark.parametrize("type_", DECLARED)
def test_a_type_that_was_declared_as_another(type_: str, typed: Any) -> None:
    """So it does with SQLAlchemy, which would cast the key to the declared type."""
    delete = typed(type_)
    table = sa.table(f"{NAME}_typed", sa.column("k", DECLARED[type_]), sa.column("n", sa.Integer))
    engine = sa.create_engine(URL, poolclass=sa.pool.NullPool, connect_args={"options": BERLIN})
    check_each_place(keyset(engine.connect, sa.select(table), key=("k", "n")), delete)


def test_an_interval() -> None:
    """A year has 360 days for PostgreSQL, and 365 for psycopg."""
    scan = keyset(connect, "SELECT '1 year'::interval AS k", key="k")
    with pytest.raises(ValueError, match=r"\(k\) has an interval"):
        next(failover_stream([scan], retry_on=ERRORS))


@pytest.mark.slow
def test_a_million_rows() -> None:
    """A million rows, and three connections ended: each row once, and no connection left."""
    table = Table(1_000_000, f"{NAME}_large")
    try:
        read(table, keyset(connect, table.query, key=("a", "b")))
    finally:
        table.drop()
