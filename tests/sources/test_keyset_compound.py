"""Keys of `keyset` that are more than one value: arrays work, and documents are refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from failover_iter import Progress, Source, afailover_stream, failover_stream
from failover_iter.sources import keyset
from sources.test_keyset_postgres import DSN, URL, is_there
from support.needs import needs
from support.runners import quiet

psycopg = needs("psycopg")
sa = needs("sqlalchemy")
needs("greenlet")

pytestmark = pytest.mark.skipif(not is_there(), reason="no PostgreSQL listens on 127.0.0.1:5432")

NAME = f"keyset_compound_{os.getpid()}"
#: The keys of six rows, in terms of their number.
ARRAYS = {
    "int[]": "ARRAY[n, 1]",
    "bigint[]": "ARRAY[n]::bigint[]",
    "int[] with NULL": "ARRAY[n, NULL]",
    "int[], empty": "CASE n WHEN 1 THEN '{}' ELSE ARRAY[n] END",
    "int[][]": "ARRAY[[n, 1], [2, 3]]",
    "real[]": "ARRAY[n * 0.1]::real[]",
    "double precision[]": "ARRAY[n * 0.1, 'NaN', 'Infinity']::float8[]",
    "numeric[]": "ARRAY[n * 0.1]",
    "boolean[]": "ARRAY[n > 2, n > 3, n > 4, n > 5, n > 1]",
    "text[]": "ARRAY['a ' || n, '{\"']",
    "date[]": "ARRAY[date '2026-01-01' + n]",
}
DOCUMENTS = {
    "object": "jsonb_build_object('n', n)",
    "array": "jsonb_build_array(n)",
    "number": "to_jsonb(n)",
    "text": "to_jsonb('a' || n)",
    "array of them": "ARRAY[to_jsonb(n)]",
}


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Iterator[Any]:
    rows = f"SELECT {request.param} AS k, n FROM generate_series(1, 6) AS n"
    with psycopg.connect(DSN, autocommit=True) as admin:
        admin.execute(f"CREATE TABLE {NAME} AS {rows}")
        yield sa.table(NAME, sa.column("k"), sa.column("n", sa.Integer))
        admin.execute(f"DROP TABLE {NAME}")


def as_text(_: Any) -> Source[Any]:
    return keyset(partial(psycopg.connect, DSN), f"SELECT k, n FROM {NAME}", key="k")


def as_core(table: Any) -> Source[Any]:
    engine = sa.create_engine(URL, poolclass=sa.pool.NullPool)
    return keyset(engine.connect, sa.select(table), key="k")


class Cut(Exception):
    """The connection broke."""


def numbers(source: Source[Any]) -> list[int]:
    """The rows across a takeover after each one."""
    scan: Any = source.factory

    def factory(progress: Progress[Any]) -> Any:
        for row in scan(progress):
            yield row
            raise Cut

    broken = replace(source, factory=factory)
    with quiet():
        return [n for _, n in failover_stream([broken], retry_on=Cut, attempts=3)]


@pytest.mark.parametrize("table", ARRAYS.values(), ids=ARRAYS, indirect=True)
@pytest.mark.parametrize("make", [as_text, as_core])
def test_an_array(make: Any, table: Any) -> None:
    """The database compares it as a value of the column's type."""
    assert numbers(make(table)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("table", DOCUMENTS.values(), ids=DOCUMENTS, indirect=True)
@pytest.mark.parametrize("make", [as_text, as_core])
def test_a_document(make: Any, table: Any) -> None:
    """A jsonb is refused before the first row is delivered, whatever it contains."""
    with pytest.raises(ValueError, match=r"\(k\) is jsonb.*select it as text \(k::text AS k\)"):
        next(failover_stream([make(table)], retry_on=Cut))


@pytest.mark.parametrize("table", ["to_jsonb(n)"], indirect=True)
def test_a_document_with_an_async_driver(table: Any) -> None:
    """It is refused in the same way, also if all rows arrive at once."""
    from sqlalchemy.ext.asyncio import create_async_engine

    async def main() -> None:
        engine = create_async_engine(URL, poolclass=sa.pool.NullPool)
        connect = partial(psycopg.AsyncConnection.connect, DSN)
        scans = [
            keyset(connect, f"SELECT k, n FROM {NAME}", key="k"),
            keyset(engine.connect, sa.select(table), key="k"),
        ]
        for scan in scans:
            async with aclosing(afailover_stream([scan], retry_on=Cut)) as stream:
                with pytest.raises(ValueError, match="is jsonb"):
                    await anext(stream)

    asyncio.run(main())
