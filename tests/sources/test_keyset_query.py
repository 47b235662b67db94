"""`keyset`: what it asks a database for."""

from __future__ import annotations

import sqlite3
import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter import failover_stream
from failover_iter.sources import keyset
from failover_iter.sources._key_query import UP_TO
from sources.databases import SCANS, Cut, Database
from sources.readers import Result, read_all
from sources.scans import ROWS, Fake, fakes, read, statement
from support.runners import quiet


def test_the_query_becomes_a_subquery() -> None:
    """The key is added around what the user wrote; the first attempt has no condition."""
    start = "SELECT * FROM (\nSELECT a, b FROM t\n) keyset_rows"
    assert statement("qmark") == (f"{start} ORDER BY a",)
    assert statement("qmark", 5) == (f"{start} WHERE a > ? ORDER BY a", [5])
    both = {"columns": ("a", "b")}
    assert statement("qmark", [5, 6], **both) == (
        f"{start} WHERE (a, b) > (?, ?) ORDER BY a, b",
        [5, 6],
    )
    assert statement("qmark", [5, 6], UP_TO, **both) == (
        f"{start} WHERE (a, b) <= (?, ?) ORDER BY a DESC, b DESC",
        [5, 6],
    )


@pytest.mark.parametrize(
    "query", ["SELECT ';', a - 1 / 2 FROM t -- x;'", "SELECT $$;$$ /*;*/ - $1"]
)
@pytest.mark.parametrize("end", ["", ";", " ;\n", "; ;", "; -- done", "; /* it's; */ -- \n"])
def test_the_end_of_a_query(query: str, end: str) -> None:
    """A semicolon at the end, also before a comment, would end the subquery."""
    text, _, comment = statement("qmark", query=f"{query}\n{end}")[0].partition(query)
    assert text == "SELECT * FROM (\n"
    assert comment.strip("\n ") == ") keyset_rows ORDER BY a"


@pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS)
def test_a_comment_after_the_query(scan: Any) -> None:
    """Databases accept such a query, and so does the scan."""
    options = {"query": "SELECT * FROM t -- all\n; -- of them", "key": "a"}
    with quiet():
        assert scan(Database(ROWS, [3]), 1, options, attempts=3) == Result(ROWS, None)


@pytest.mark.parametrize(
    ("style", "marks", "named", "params"),
    [
        ("qmark", "?", ":keyset_rows_0", ["x", 5]),
        ("format", "%s", "%(keyset_rows_0)s", ["x", 5]),
        ("pyformat", "%s", "%(keyset_rows_0)s", ["x", 5]),
        ("numeric", ":2", ":keyset_rows_0", ["x", 5]),
    ],
)
def test_each_paramstyle(style: str, marks: str, named: str, params: list[Any]) -> None:
    """The key is marked as the driver marks parameters, behind those of the user."""
    assert statement(style, params=["x"]) == (statement(style)[0], ["x"])
    text, values = statement(style, 5, params=["x"])
    assert f"WHERE a > {marks} ORDER" in text
    assert values == params
    text, values = statement(style, 5, params={"b": "x"})
    assert f"WHERE a > {named} ORDER" in text
    assert values == {"b": "x", "keyset_rows_0": 5}


def test_a_named_paramstyle() -> None:
    """Parameters of the driver are always named."""
    text, values = statement("named", 5)
    assert "WHERE a > :keyset_rows_0 ORDER" in text
    assert values == {"keyset_rows_0": 5}


def test_a_percent_sign_means_the_same_in_each_attempt() -> None:
    """Without params the query stays unchanged, also where a key is added to it."""
    query = "SELECT a, b FROM t WHERE b LIKE 'x%'"
    assert "LIKE 'x%'\n" in statement("pyformat", query=query)[0]
    assert "LIKE 'x%%'\n" in statement("pyformat", 5, query=query)[0]
    assert "LIKE 'x%'\n" in statement("qmark", 5, query=query)[0]
    assert "LIKE 'x%'\n" in statement("pyformat", 5, query=query, params=[])[0]


def test_an_object_of_psycopg() -> None:
    """`psycopg.sql` makes queries too."""
    query = SimpleNamespace(as_string=lambda connection: "SELECT a FROM t")
    assert "SELECT a FROM t" in statement("pyformat", query=query)[0]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("select * from public.person p", "public.person"),
        ('SELECT 1 FROM\n"T" WHERE', '"T"'),
        ("VALUES (1)", "keyset"),
    ],
)
def test_the_source_is_named_after_the_table(query: str, name: str) -> None:
    """Events and the log name the table."""
    assert keyset(sqlite3.Connection, query, key="id").name == name


@pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS)
def test_a_limit_holds_across_a_takeover(scan: Any) -> None:
    """A LIMIT of the query is not counted anew by the next attempt."""
    database = Database(ROWS, [3, 3])
    with quiet():
        options = {"query": "SELECT * FROM t ORDER BY a LIMIT 7", "key": "a", "batch": 2}
        result = scan(database, 1, options, attempts=3)
    assert result == Result(ROWS[:7], None)
    asked = [" ".join(text.split()) for text, *_ in database.statements]
    assert len(asked) == 5
    assert asked[3].endswith("LIMIT 7 ) keyset_rows WHERE a <= ? ORDER BY a DESC")
    assert asked[4].endswith("LIMIT 7 ) keyset_rows WHERE a > ? ORDER BY a")


@pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS)
def test_parameters(scan: Any) -> None:
    """The parameters of the query stay those of the user."""
    database = Database(ROWS, [3])
    with quiet():
        query = "SELECT * FROM t WHERE b = :b"
        options = {"query": query, "key": ["a", "b"], "params": {"b": 1}, "batch": 1}
        result = scan(database, 1, options, attempts=3)
    assert result == Result([row for row in ROWS if row[1] == 1], None)


def test_a_driver_that_is_not_imported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process the function of sqlite3 comes from `_sqlite3`."""
    monkeypatch.delitem(sys.modules, "sqlite3")
    scan = keyset(partial(sqlite3.connect, ":memory:"), "SELECT 1 AS a", key="a")
    assert read_all(failover_stream([scan], retry_on=Cut)) == Result([(1,)], None)


def test_quoted_columns() -> None:
    """A column may be in quotes, and is found under its plain name."""
    result = read(fakes(Fake({"Id": 1}, columns="Id")), key='"Id"')
    assert result.items == [{"Id": 1}]
