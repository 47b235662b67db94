"""Scan a table page by page. If the database fails, resume on the replica after the last row.

This program also creates the two databases. The first one becomes unreadable mid-stream.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from failover_iter import Progress, Resume, Source, failover_stream

PAGE = 500


class Row(NamedTuple):
    """A row of the table `person`."""

    id: int
    name: str


def database(path: Path) -> Source[Iterator[Row]]:
    """Return a source that scans a database and can resume after any row."""

    def rows(progress: Progress[Row]) -> Iterator[Row]:
        # Continue after a key, not at an OFFSET, which shifts when rows are inserted or deleted.
        after = progress.cursor
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            while page := connection.execute(
                "SELECT id, name FROM person WHERE id > ? ORDER BY id LIMIT ?", (after, PAGE)
            ).fetchall():
                for row in page:
                    yield Row(*row)
                after = page[-1][0]

    return Source(rows, name=path.name)


def id_of(cursor: int, row: Row) -> int:
    """Return the cursor after a row was delivered: its key."""
    return row.id


def scan(paths: list[Path]) -> Generator[Row, None, None]:
    """Yield every row once, in the order of the ids."""
    return failover_stream(
        [database(path) for path in paths],
        retry_on=sqlite3.DatabaseError,
        mid_stream=Resume(start=0, advance=id_of),
    )


# The databases.

ROWS = 10_000


def make(path: Path) -> Path:
    """Create a database with `ROWS` rows."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        people = ((number, f"person {number}") for number in range(1, ROWS + 1))
        connection.executemany("INSERT INTO person VALUES (?, ?)", people)
    return path


def destroy(path: Path) -> None:
    """Overwrite the whole file in place, as a broken disk might."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xff" * size)


def main() -> int:
    """Scan, destroy the first database mid-stream, and check the rows received."""
    seen: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [make(Path(folder, name)) for name in ("primary.db", "replica.db")]
        with closing(scan(paths)) as rows:
            for row in rows:
                seen.append(row.id)
                if row.id == ROWS // 2 - PAGE // 2:
                    print(f"row {row.id:,}: {paths[0].name} breaks")
                    destroy(paths[0])
    once = seen == list(range(1, ROWS + 1))
    print(f"{len(seen):,} of {ROWS:,} rows: {'each exactly once' if once else 'WRONG'}")
    return 0 if once else 1


if __name__ == "__main__":
    sys.exit(main())
