"""`keyset` with SQLAlchemy 2 Core."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from failover_iter import Progress, failover_stream
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
