"""The laws of `keyset`: never a row twice, never one lost; and the wrong scans that they find."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import DivergedStream, Resume
from failover_iter.sources import _keyset
from failover_iter.sources._key_order import KeyOrder, advance_by, by_key
from failover_iter.sources._key_query import UP_TO, TextQuery
from failover_iter.sources._keyset import _Scan
from sources.databases import SCANS, Database, sorted_by
from support.laws import SEARCH, each_mutant
from support.runners import quiet
from support.size import EXAMPLES

KEYS = {1: "a", 2: ("a", "b")}


@dataclass(frozen=True)
class Case:
    """One table, one script of failures, one way to read it."""

    rows: list[tuple[Any, ...]]
    width: int
    breaks: list[int | str]
    vanish: bool
    batch: int
    sources: int
    commit_when: int

    @property
    def keys(self) -> list[tuple[Any, ...]]:
        return [row[: self.width] for row in self.rows]

    @property
    def is_sound(self) -> bool:
        """Whether the key is one: unique and never NULL."""
        return len({*self.keys}) == len(self.keys) and not any(None in key for key in self.keys)


def cases() -> st.SearchStrategy[Case]:
    small = st.integers(0, 5)
    repeated = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.just("x")), max_size=5)
    part = st.one_of(small, small, small, st.none())
    loose = st.lists(st.tuples(part, part, st.just("x")), max_size=4)
    unique = st.lists(st.tuples(st.integers(-9, 30), small, st.just("x")), max_size=14)
    single = unique.map(lambda rows: [*{row[0]: row for row in rows}.values()])
    double = unique.map(lambda rows: [*{row[:2]: row for row in rows}.values()])
    ways = st.sampled_from(["connect", "execute", "close"])
    tables = st.one_of(
        st.tuples(single, st.just(1)),
        st.tuples(double, st.just(2)),
        st.tuples(repeated, st.sampled_from([1, 2])),
        st.tuples(loose, st.sampled_from([1, 2])),
    )
    return st.builds(
        lambda table, **rest: Case(*table, **rest),
        tables,
        breaks=st.lists(st.one_of(st.integers(1, 4), st.integers(0, 8), ways), max_size=4),
        vanish=st.booleans(),
        batch=st.sampled_from([1, 1, 2, 3, 5]),
        sources=st.integers(1, 2),
        commit_when=st.integers(1, 3),
    )


def check(case: Case, flavour: str) -> None:
    """Each row once and in order, or an error where that cannot be; and no connection left."""
    database = Database(case.rows, case.breaks, case.vanish and case.is_sound)
    options = {"query": "SELECT * FROM t;\n", "key": KEYS[case.width], "batch": case.batch}
    with quiet():
        result = SCANS[flavour](
            database,
            case.sources,
            options,
            attempts=len(case.breaks) + 1,
            commit_when=case.commit_when,
        )
    assert not any(database.is_open), "a connection is left"
    keys = [row[: case.width] for row in result.items]
    if case.is_sound:
        assert result.error is None or "close" in str(result.error)
        assert result.items == sorted_by(case.rows, case.width)
        return
    assert isinstance(result.error, DivergedStream)
    assert len({*keys}) == len(keys), "a row twice"
    if not any(None in key for key in case.keys):
        assert keys == sorted(case.keys)[: len(keys)], "a row lost"


@pytest.mark.parametrize("flavour", SCANS)
@given(case=cases())
def test_never_a_row_twice_never_one_lost(flavour: str, case: Case) -> None:
    """Whatever breaks, and whatever the table: each row once, or an error."""
    check(case, flavour)


@pytest.mark.slow
@pytest.mark.parametrize("flavour", SCANS)
@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_never_a_row_twice_never_one_lost_in_many_cases(flavour: str, case: Case) -> None:
    """The same with many tables."""
    check(case, flavour)


NUMBERS = st.sampled_from([n / 100 for n in range(-20, 21)])
TEXTS = st.text("aB b", max_size=3)
#: Keys, and what a driver makes of each: it may be another value for the database.
LOADS: dict[str, Any] = {
    "numbers": (NUMBERS, lambda value: value),
    "numbers, rounded up": (NUMBERS, lambda value: ceil(value * 10) / 10),
    "numbers, rounded down": (NUMBERS, lambda value: floor(value * 10) / 10),
    "numbers, rounded": (NUMBERS, lambda value: round(value, 1)),
    "numbers, as text": (NUMBERS, str),
    "texts": (TEXTS, lambda value: value),
    "texts, as bytes": (TEXTS, str.encode),
    "texts, as objects": (TEXTS, lambda value: UUID(bytes=value.encode().ljust(16))),
    "bytes, as text": (st.binary(max_size=2), bytes.hex),
}
sqlite3.register_adapter(UUID, lambda key: key.bytes)


@pytest.mark.parametrize("flavour", SCANS)
@pytest.mark.parametrize("name", LOADS)
@given(
    data=st.data(),
    width=st.integers(1, 2),
    breaks=st.lists(st.integers(1, 5), max_size=3),
    batch=st.sampled_from([1, 2, 5]),
)
def test_a_driver_that_returns_another_key(
    name: str, flavour: str, data: st.DataObject, width: int, breaks: list[int | str], batch: int
) -> None:
    """Each row once, or an error: also if a key is another value for the database."""
    keys, load = LOADS[name]
    rows = [(key, n, "x") for key in data.draw(st.sets(keys)) for n in range(width)]
    database = Database(rows, breaks, load=load)
    options = {"query": "SELECT * FROM t", "key": KEYS[width], "batch": batch}
    with quiet():
        result = SCANS[flavour](database, 1, options, attempts=len(breaks) + 1)
    expected = [(load(key), *rest) for key, *rest in sorted(rows)]
    if result.error is not None:
        assert isinstance(result.error, DivergedStream)
        assert ", " in name
        expected = expected[: len(result.items)]
    assert result.items == expected


# The mutants.


def from_the_key(self: TextQuery, *place: Any) -> tuple[Any, ...]:
    """Delivers the last row again."""
    text, *params = STATEMENT(self, *place)
    return text.replace(" > ", " >= "), *params


def without_a_look_back(self: KeyOrder, rows: Any) -> Any:
    """Takes it that no other row has the last key."""
    return iter(())


def by_offset(self: TextQuery, connection: Any, cursor: Any, *place: Any) -> tuple[Any, ...]:
    """Counts rows, which shifts when one is deleted."""
    if UP_TO in place:
        return STATEMENT(self, connection, cursor, *place)
    text, *_ = STATEMENT(self, connection, cursor, None)
    delivered = connection.database.delivered
    return f"{text} LIMIT -1 OFFSET {len(delivered)}", []


def without_order(self: TextQuery, *place: Any) -> tuple[Any, ...]:
    """Takes the rows as they come."""
    text, *params = STATEMENT(self, *place)
    return text.partition(" ORDER BY ")[0], *params


def each_part(self: TextQuery, *place: Any) -> tuple[Any, ...]:
    """Compares the columns of a key one by one."""
    text, *params = STATEMENT(self, *place)
    return text.replace("(a, b) > (?, ?)", "a > ? AND b > ?"), *params


def without_a_check(self: KeyOrder, rows: Any, columns: Any) -> tuple[Any, None]:
    """Delivers what comes."""
    return rows, None


def forgets_across_batches(self: KeyOrder, rows: Any, columns: Any) -> Any:
    """Compares the keys of one batch alone."""
    self._last = None
    return CHECK(self, rows, columns)


def drops_a_bad_batch(self: KeyOrder, rows: Any, columns: Any) -> Any:
    """Delivers a row with a key that was seen."""
    rows_, error = CHECK(self, rows, columns)
    return (rows, error) if error else (rows_, None)


def first_column(_: Any, row: Any) -> Any:
    return [row[0], -99]


def by_first_column(names: tuple[str, ...]) -> Resume:
    """Takes the first column of a key for the whole."""
    return Resume(start=None, advance=first_column) if len(names) > 1 else BY_KEY(names)


def counts_what_it_yields(self: _Scan, progress: Any) -> Any:
    """Remembers where it is by what it has yielded, not by what was delivered."""
    for row in ROWS(self, replace(progress, cursor=progress.memo.get("at"))):
        progress.memo["at"] = advance_by(self.query.names)(None, row)
        yield row


def leaves_it_open(self: _Scan, progress: Any) -> Any:
    """Closes the connection only at the end."""
    connection = self.connect()
    kept = replace(self, connect=lambda: Kept(connection))
    yield from ROWS(kept, progress)
    connection.close()


class Kept:
    """A connection that somebody else closes."""

    def __init__(self, connection: Any) -> None:
        self.cursor = connection.cursor
        self.script, self.database = connection.script, connection.database


BY_KEY = by_key
STATEMENT, CHECK, ROWS = TextQuery.statement, KeyOrder.check, _Scan.rows
MUTANTS: list[Any] = [
    (TextQuery, "statement", from_the_key),
    (TextQuery, "statement", by_offset),
    (TextQuery, "statement", without_order),
    (TextQuery, "statement", each_part),
    (KeyOrder, "check", without_a_check),
    (KeyOrder, "find_place", without_a_look_back),
    (KeyOrder, "check", forgets_across_batches),
    (KeyOrder, "check", drops_a_bad_batch),
    (_keyset, "by_key", by_first_column),
    (_Scan, "rows", counts_what_it_yields),
    (_Scan, "rows", leaves_it_open),
]


@each_mutant(MUTANTS)
def test_the_laws_kill_the_mutant(mutated: None) -> None:
    """Each wrong scan breaks them."""

    @settings(max_examples=2000, derandomize=True, **SEARCH)
    @given(case=cases())
    def law(case: Case) -> None:
        check(case, "sync")

    with pytest.raises((AssertionError, sqlite3.Error, ExceptionGroup)):
        law()
