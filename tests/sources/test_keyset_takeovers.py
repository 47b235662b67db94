"""`keyset`: whether a scan that takes over finds the key of the last row again."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import DivergedStream, Progress, failover_stream
from failover_iter.sources import keyset
from failover_iter.sources._key_order import KeyOrder
from sources.databases import SCANS, Database
from sources.readers import Result, read_all
from sources.scans import Fake, aread, fakes, read
from support.runners import quiet


def test_no_other_scan_takes_over_after_a_bad_key() -> None:
    """NULL comes last in some databases: a scan that resumed before it would end well."""
    bad, other = Fake((1, 0), (None, 0)), Fake()
    scans = [keyset(lambda each=each: each, "SELECT a, b FROM t", key="a") for each in (bad, other)]
    with quiet():
        result = read_all(failover_stream(scans, retry_on=OSError))
    assert result.items == [(1, 0)]
    assert isinstance(result.error, DivergedStream)
    assert other.statements == []


def test_the_last_row_was_deleted() -> None:
    """A row that was deleted after it was delivered is not missed."""
    for up_to in ([], [(1, 0)]):
        result = read(fakes(Fake((1, 0), (2, 0), cut=True), Fake((3, 0), up_to=up_to)))
        assert result == Result([(1, 0), (2, 0), (3, 0)], None)


@pytest.mark.parametrize(
    ("last", "up_to", "after", "why"),
    [
        (0.7, [0.7, 0.7], [], "two rows have the same key (a)"),
        (0.7, [0.8], [], "the database does not find a row by its key (a)"),
        ("b", ["c", "b"], [], "the database does not find a row by its key (a)"),
        ("b", ["a"], ["x"], "the database does not find a row by its key (a)"),
        ("b", ["a"], ["x", "b"], "the database does not find a row by its key (a)"),
    ],
)
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_a_key_that_is_not_found_again(
    last: Any, up_to: list[Any], after: list[Any], why: str, flavour: str
) -> None:
    """Rows between the last delivered one and what the database takes its key for are noticed."""
    first = Fake((last, 0), cut=True)
    second = Fake(*[(key, 0) for key in after], up_to=[(key, 0) for key in up_to])
    third = Fake()
    result = (read if flavour == "sync" else aread)(fakes(first, second, third))
    assert result.items == [(last, 0)]
    assert isinstance(result.error, DivergedStream)
    assert str(result.error).startswith(f"t: {why}")
    assert third.statements == []


@pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS)
def test_a_key_in_an_order_of_the_database_is_deleted(scan: Any) -> None:
    """Another row shows that the database finds what the driver returns."""
    rows = [(key, 0, "x") for key in "BaCd"]
    for breaks in ([1], [2], [4], [1, 1, 1, 1]):
        with quiet():
            options = {"query": "SELECT * FROM t", "key": "a", "batch": 1}
            result = scan(Database(rows, breaks, vanish=True), 1, options, attempts=9)
        assert result == Result(sorted(rows), None)


def test_the_other_row_is_deleted_too() -> None:
    """A row that somebody deletes in this moment proves nothing, so the next one is tried."""
    order = KeyOrder("t", ("a",), Progress(cursor="d"))
    answers = ["cba", "e", "b", "b", "a", "a", "a"]
    asked: list[Any] = []
    for key, side, size in order.find_place(rows := []):
        rows[:] = answers.pop(0)
        asked.append(f"{side.sign} {key} {size}")
    assert answers == []
    tried = ["<= c 1", "<= b 1", ">= b 1", "<= a 1", ">= a 1"]
    assert asked == ["<= d 100", "> d 100", *tried]


def test_a_scan_of_a_table_without_rows() -> None:
    """All rows were deleted once they were delivered: nothing is left to try."""
    assert read(fakes(Fake(("b", 0), cut=True), Fake())) == Result([("b", 0)], None)


def test_another_query_cannot_take_over() -> None:
    """The columns of a source that takes over are those of the rows before."""
    result = read(fakes(Fake((1, 2), cut=True), Fake((2, 3), columns="a c", up_to=[(1, 2)])))
    assert result.items == [(1, 2)]
    assert str(result.error) == (
        "t: the columns are a, c, and those of the rows that were delivered a, b"
    )
