"""Keys of `keyset` that are not single values, without a database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from math import inf, nan
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter import failover_stream
from failover_iter.sources import keyset
from failover_iter.sources._key_order import _order
from failover_iter.sources._key_query import JSONB, TextQuery, _untyped
from sources.databases import Database
from sources.readers import read_all


@pytest.mark.parametrize(
    ("query", "key", "load", "kinds"),
    [
        ("SELECT a, b FROM t", "a", lambda value: {"a": value}, "dict"),
        ("SELECT b, a FROM t", ("b", "a"), lambda value: {value}, "set, int"),
    ],
)
def test_a_dictionary(query: str, key: Any, load: Any, kinds: str) -> None:
    """No database compares it: it is refused with the first row."""
    with closing(Database([(1, 2, "")], load=load)) as database:
        scan = keyset(database.connect, query, key=key)
        error = read_all(failover_stream([scan], retry_on=sqlite3.OperationalError)).error
    assert isinstance(error, ValueError)
    assert f"must be values that can be compared, got {kinds}: select it as text" in str(error)


@pytest.mark.parametrize("type_code", JSONB)
def test_a_jsonb(type_code: int) -> None:
    """The driver returns what it contains, which does not tell its type."""
    query = TextQuery("SELECT a, b FROM t", ("a",), None)
    columns = [("a", 23), ("b", type_code)]
    assert query.columns(SimpleNamespace(description=columns)) == ["a", "b"]
    with pytest.raises(ValueError, match=r"\(a\) is jsonb"):
        query.columns(SimpleNamespace(description=[("a", type_code), ("b", 23)]))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ([1, 2], "{1,2}"),
        ([[1], [None]], "{{1},{NULL}}"),
        ([0.1, nan, inf, -1], "{0.1,nan,inf,-1}"),
        ([], "{}"),
        ([True, False], [True, False]),
        (["a", 1], ["a", 1]),
        (2, 2),
        (0.1, "0.1"),
    ],
)
def test_how_an_array_is_sent(value: Any, sent: Any) -> None:
    """Numbers as a text, of which PostgreSQL makes values of the column's type."""
    assert _untyped(value) == sent


def test_how_arrays_are_compared() -> None:
    """In Python only whether they are equal, as a database sees it."""
    assert _order(([nan, 1],), ([float("nan"), 1],)) == 0
    assert _order(([1],), ([2],)) is None
