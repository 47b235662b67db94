"""The recipe of the page: the cursor in the transaction of the user, on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from support.needs import needs

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "checkpoint.md"


@pytest.fixture
def recipe() -> dict[str, Any]:
    """The names of the page, after its code has run."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    return names


@pytest.fixture(params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, recipe: dict[str, Any], tmp_path: Path
) -> Iterator[tuple[Any, str, str]]:
    """A connection, and the two statements of the recipe."""
    if request.param == "sqlite":
        connection: Any = sqlite3.connect(tmp_path / "copy.db")
        connection.executescript(recipe["TABLES"])
        yield connection, recipe["INSERT"], recipe["UPSERT"]
        connection.close()
        return
    psycopg = needs("psycopg")
    try:
        connection = psycopg.connect(
            "host=127.0.0.1 dbname=postgres user=postgres", autocommit=True
        )
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL on 127.0.0.1")
    schema = f"failover_iter_{os.getpid()}"
    connection.execute(f"create schema {schema}")
    connection.execute(f"set search_path to {schema}")
    for statement in recipe["TABLES"].split(";")[:2]:
        connection.execute(statement)
    recipe["transaction"] = lambda connection: connection.transaction()
    yield connection, *(recipe[name].replace("?", "%s") for name in ("INSERT", "UPSERT"))
    connection.execute(f"drop schema {schema} cascade")
    connection.close()


def test_each_row_once(recipe: dict[str, Any], database: tuple[Any, str, str]) -> None:
    """Interrupted at random, in the middle of a transaction, each row is copied exactly once."""
    recipe["ROWS"][:] = [{"id": number} for number in range(1, 101)]
    connection, insert, upsert = database
    random, interrupted = Random(1), 0

    def handle(row: Any) -> None:
        if random.random() < 0.1:
            raise KeyboardInterrupt

    while True:
        with suppress(KeyboardInterrupt):
            recipe["copy"](connection, insert, upsert, handle)
            break
        interrupted += 1
    assert interrupted > 3
    rows = connection.execute("select id from copied order by id").fetchall()
    assert [number for (number,) in rows] == list(range(1, 101))
