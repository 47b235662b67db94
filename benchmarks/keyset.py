"""`python -m benchmarks.keyset DSN`: a scan of a million rows against the plain loop.

Both read the same rows of a PostgreSQL with a server-side cursor of psycopg, in turn, in one
process. The plain loop fetches as many rows at once as `keyset` does. In the last scan the server
ends the connection three times.
"""

from __future__ import annotations

import argparse
import logging
from contextlib import closing
from functools import partial
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import psycopg

from failover_iter import failover_stream
from failover_iter.sources import keyset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TABLE = "failover_iter_benchmark"
QUERY = f"SELECT id, body FROM {TABLE}"
BATCH = 1000


def plain(connect: Callable[[], Any]) -> Iterator[Any]:
    """Loop over the cursor."""
    with connect() as db, db.cursor(name="plain") as cursor:
        cursor.itersize = BATCH
        cursor.execute(f"SELECT * FROM ({QUERY}) AS t ORDER BY id")
        yield from cursor


def scan(connect: Callable[[], Any]) -> Iterator[Any]:
    """Read the same rows with `keyset`."""
    rows = keyset(connect, QUERY, key="id", batch=BATCH)
    return failover_stream([rows], retry_on=psycopg.OperationalError, attempts=3)


def seconds(rows: Iterator[Any], size: int) -> float:
    """How long it takes to read all rows."""
    began = perf_counter()
    count = sum(1 for _ in rows)
    assert count == size
    return perf_counter() - began


def interrupted(rows: Iterator[Any], size: int, admin: Any) -> float:
    """The same, while the server ends the connection three times."""
    places = {size // 7, size // 2, size - 2}
    began = perf_counter()
    for number, row in enumerate(rows):
        assert row[0] == number
        if number in places:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = %s",
                [TABLE],
            )
    assert number == size - 1
    return perf_counter() - began


def main() -> None:
    """Make the table, measure, and drop the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn", nargs="?", default="host=127.0.0.1 user=postgres dbname=postgres")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    logging.disable()
    connect = partial(psycopg.connect, options.dsn, application_name=TABLE)
    with closing(psycopg.connect(options.dsn, autocommit=True)) as admin:
        admin.execute(f"DROP TABLE IF EXISTS {TABLE}")
        admin.execute(
            f"CREATE TABLE {TABLE} AS SELECT n AS id, 'body ' || n AS body "
            f"FROM generate_series(0, {options.rows - 1}) AS n"
        )
        admin.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (id)")
        admin.execute(f"ANALYZE {TABLE}")
        pairs = [
            (seconds(plain(connect), options.rows), seconds(scan(connect), options.rows))
            for _ in range(options.rounds)
        ]
        cut = interrupted(scan(connect), options.rows, admin)
        admin.execute(f"DROP TABLE {TABLE}")
    print(f"plain loop          {median(a for a, _ in pairs):.2f} s")
    print(f"keyset              {median(b for _, b in pairs):.2f} s")
    print(f"plain / keyset      {median(a / b for a, b in pairs):.2f}")
    print(f"keyset, three cuts  {cut:.2f} s")


if __name__ == "__main__":
    main()
