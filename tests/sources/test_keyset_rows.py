"""`keyset`: what rows and keys may look like."""

from __future__ import annotations

import datetime as dt
import pickle
import sqlite3
import uuid
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from failover_iter import DivergedStream, failover_stream
from failover_iter.sources import keyset
from failover_iter.sources._key_order import advance_by
from sources.databases import SCANS, Cut, Database
from sources.readers import Result, read_all
from sources.scans import Fake, fakes, read
from support.runners import quiet


class Row(NamedTuple):
    a: int
    b: int


@dataclass
class Thing:
    a: int
    b: int


def as_sqlite_row(a: int, b: int) -> Any:
    with sqlite3.connect(":memory:") as db:
        db.row_factory = sqlite3.Row
        row = db.execute("SELECT ? AS a, ? AS b", (a, b)).fetchone()
    db.close()
    return row


SHAPES = {
    "tuple": lambda a, b: (a, b),
    "namedtuple": Row,
    "list": lambda a, b: [a, b],
    "dict": lambda a, b: {"b": b, "a": a},
    "object": Thing,
    "sqlite3.Row": as_sqlite_row,
}


@pytest.mark.parametrize("key", ["a", ("a", "b")])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_rows_of_any_kind(shape: Any, key: Any) -> None:
    """The key is read from rows as the connection makes them."""
    rows = [shape(n, 0) for n in range(4)]
    second = Fake(*rows[2:], up_to=rows[1::-1])
    result = read(fakes(Fake(*rows[:2], cut=True), second), key=key)
    assert result == Result(rows, None)
    assert [params for _, params in second.statements] == [[1] if key == "a" else [1, 0]] * 2


def test_the_cursor_is_plain_data() -> None:
    """One value, or a list, which survives JSON; the function is always the same."""
    one, two = advance_by(("a",)), advance_by(("a", "b"))
    assert one(None, (1, 2)) == 1
    assert two(None, (1, 2, 3)) == two(None, {"b": 2, "a": 1}) == [1, 2]
    assert advance_by(("a", "b")) is two


@pytest.mark.parametrize("key", ["a", ("a", "b")])
def test_a_scan_is_sent_to_another_process(key: Any, tmp_path: Path) -> None:
    """It can be pickled if `connect` can; the sources of a stream still share one cursor."""
    connect = partial(sqlite3.connect, tmp_path / "db")
    with connect() as db:
        db.execute("CREATE TABLE t (a, b)")
        db.execute("INSERT INTO t VALUES (1, 2), (3, 4)")
    db.close()
    scan = keyset(connect, "SELECT * FROM t", key=key)
    broken = keyset(fakes(Fake((1, 2), cut=True), Fake(cut=True)), "SELECT * FROM t", key=key)
    copy = pickle.loads(pickle.dumps(scan))
    assert copy.mid_stream == scan.mid_stream
    with quiet():
        found = read_all(failover_stream([broken, copy], retry_on=Cut))
    assert found == Result([(1, 2), (3, 4)], None)


def put_back(hour: int, minute: int, fold: int = 0) -> dt.datetime:
    """A time in the night in which the clock is put back from 3 to 2."""
    return dt.datetime(2026, 10, 25, hour, minute, fold=fold, tzinfo=ZoneInfo("Europe/Berlin"))


def order_of(*rows: Any, **options: Any) -> Result:
    return read(fakes(Fake(*rows), Fake(), Fake(), Fake()), **options)


@pytest.mark.parametrize(
    ("keys", "good", "why"),
    [
        ([1, 2, 2], 2, "two rows have the same key (a)"),
        ([1, 3, 2], 2, "the rows are not in ascending order of (a)"),
        ([1, None], 1, "a row has no key, because (a) is NULL"),
        ([None], 0, "a row has no key"),
        ([float("nan"), 1], 1, "not in ascending order"),
        ([Decimal("NaN"), Decimal(1)], 1, "not in ascending order"),
        ([float("nan"), float("nan")], 1, "the same key"),
        ([1, inf, float("nan"), Decimal("NaN")], 3, "the same key"),
        (["b", "a", "a"], 2, "the same key"),
        ([b"b", b"a"], 1, "not in ascending order"),
        ([dt.date(2026, 1, 2), dt.date(2026, 1, 1)], 1, "not in ascending order"),
    ],
)
@pytest.mark.parametrize("batch", [1, 100])
def test_keys_that_cannot_be_trusted(keys: list[Any], good: int, why: str, batch: int) -> None:
    """The rows before the place are delivered; the error says what to do, and no row's content."""
    rows = [(key, 0) for key in keys]
    result = order_of(*rows, batch=batch)
    assert result.items == rows[:good]
    assert isinstance(result.error, DivergedStream)
    assert str(result.error).startswith("t: ")
    assert why in str(result.error)


@pytest.mark.parametrize(
    "keys",
    [
        ["b", "B", "a", "é"],  # the order of text is that of its collation
        [uuid.UUID(int=2), uuid.UUID(int=1)],
        [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)],  # noqa: DTZ001
        [1, 2.5, 3],
        [1.5, inf, float("nan")],
        [Decimal("1.5"), Decimal("inf"), Decimal("NaN")],
        [float("nan")],
        [put_back(2, 30), put_back(2, 50), put_back(2, 30, fold=1), put_back(2, 50, fold=1)],
        [dt.time(12, tzinfo=dt.UTC), dt.time(13, tzinfo=dt.timezone(dt.timedelta(hours=1)))],
        [],
    ],
)
def test_keys_in_an_order_of_the_database(keys: list[Any]) -> None:
    """What Python compares in another way is only compared with its neighbour."""
    rows = [(key, 0) for key in keys]
    assert order_of(*rows) == Result(rows, None)


def test_composite_keys_are_compared_part_by_part() -> None:
    """The first parts that differ decide; NULL in any part is an error."""
    good = [(1, "b", 1), (1, "a", 2), (2, "a", 1)]
    found = read(fakes(Fake(*good, columns="a b c")), key=("a", "b", "c"))
    assert found == Result(good, None)
    rows = [(1, 2), (2, None)]
    result = order_of(*rows, key=("a", "b"))
    assert result.items == rows[:1]
    assert "(a, b) is NULL" in str(result.error)
    assert "same key (a, b)" in str(order_of((1, 2), (1, 2), key=("a", "b")).error)


def test_an_async_scan_checks_too() -> None:
    """The rows before the place come first there as well."""
    database = Database([(1, 0, "x"), (1, 1, "y"), (2, 0, "z")])
    result = SCANS["async"](database, 1, {"query": "SELECT * FROM t", "key": "a"})
    assert result.items == [(1, 0, "x")]
    assert isinstance(result.error, DivergedStream)


def test_an_interval() -> None:
    """It is refused: what Python knows of it is not what the database compares."""
    result = order_of((dt.timedelta(1), 0))
    assert isinstance(result.error, ValueError)
    assert "(a) has an interval" in str(result.error)


@pytest.mark.parametrize(
    ("row", "columns", "key"),
    [((2, 1), "b a", "a"), ((1,), "a", ("a", "b")), ({"b": 1}, "b", "a")],
)
def test_the_key_is_at_the_start(row: Any, columns: str, key: Any) -> None:
    """A key that is elsewhere, or nowhere, is refused with the first row."""
    result = read(fakes(Fake(row, columns=columns)), key=key)
    assert isinstance(result.error, ValueError)
    assert str(result.error).startswith("keyset(key=...) must name the first columns of the query")
