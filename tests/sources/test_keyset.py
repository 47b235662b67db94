"""`keyset`: what it asks a database for, what rows may look like, and what it refuses."""

from __future__ import annotations

import asyncio
import datetime as dt
import pickle
import sqlite3
import sys
import uuid
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from failover_iter import (
    DivergedStream,
    Progress,
    SourceError,
    SourceTimeout,
    afailover_stream,
    failover_stream,
)
from failover_iter.sources import keyset
from failover_iter.sources._key_order import KeyOrder, advance_by
from failover_iter.sources._key_query import AFTER, UP_TO, Side
from failover_iter.sources._keyset import _abort
from sources.databases import SCANS, AConnection, Cut, Database
from sources.readers import Result, aread_all, read_all
from support.runners import quiet

ROWS = [(n, n % 3, f"row {n}") for n in range(10)]


def read(connect: Callable[[], Any], **options: Any) -> Result:
    """Read a table with a sync driver."""
    scan = {"query": "SELECT a, b FROM t", "key": "a", **options}
    stream = failover_stream(
        [keyset(connect, **scan)], retry_on=sqlite3.OperationalError, attempts=3
    )
    with quiet():
        return read_all(stream)


def aread(connect: Callable[[], Any]) -> Result:
    """Read a table with an async driver."""

    async def aconnect() -> AConnection:
        return AConnection(connect())

    scan = keyset(aconnect, "SELECT a, b FROM t", key="a")
    stream = afailover_stream([scan], retry_on=sqlite3.OperationalError, attempts=3)
    with quiet():
        return asyncio.run(aread_all(stream))


class Fake:
    """A connection of a driver whose cursor has the given rows, and those up to the cursor."""

    def __init__(
        self, *rows: Any, columns: str = "a b", cut: bool = False, up_to: Sequence[Any] = ()
    ) -> None:
        self.given, self.up_to, self.cut = rows, up_to, cut
        self.description = [(name,) for name in columns.split()]
        self.statements: list[Any] = []

    def cursor(self) -> Fake:
        return self

    def execute(self, *statement: Any) -> None:
        self.statements.append(statement)
        self.rows = [*self.up_to] if "<=" in statement[0] else [*self.given]

    def fetchmany(self, size: int) -> list[Any]:
        if not self.rows and self.cut:
            raise Cut("fetch")
        rows, self.rows = self.rows[:size], self.rows[size:]
        return rows

    def close(self) -> None:
        """Nothing to do."""


paramstyle = "qmark"  # of this module as the driver of Fake


def fakes(*connections: Fake) -> Callable[[], Fake]:
    left = iter(connections)
    return lambda: next(left)


# The query.


def statement(style: str, key: Any = None, side: Side = AFTER, **options: Any) -> tuple[Any, ...]:
    """The statement for the rows after a key, with a driver of this paramstyle."""
    from failover_iter.sources import _key_query

    query = _key_query.new_query(
        options.get("query", "SELECT a, b FROM t"),
        options.get("columns", "a"),
        options.get("params"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_key_query, "_paramstyle", lambda *_: style)
        return query.statement(None, None, key, side)  # type: ignore[union-attr]


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


# Rows.


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


def test_a_driver_that_is_not_imported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """In another process the function of sqlite3 comes from `_sqlite3`."""
    monkeypatch.delitem(sys.modules, "sqlite3")
    scan = keyset(partial(sqlite3.connect, ":memory:"), "SELECT 1 AS a", key="a")
    assert read_all(failover_stream([scan], retry_on=Cut)) == Result([(1,)], None)


def test_quoted_columns() -> None:
    """A column may be in quotes, and is found under its plain name."""
    result = read(fakes(Fake({"Id": 1}, columns="Id")), key='"Id"')
    assert result.items == [{"Id": 1}]


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


def test_an_interval() -> None:
    """It is refused: what Python knows of it is not what the database compares."""
    result = order_of((dt.timedelta(1), 0))
    assert isinstance(result.error, ValueError)
    assert "(a) has an interval" in str(result.error)


def test_another_query_cannot_take_over() -> None:
    """The columns of a source that takes over are those of the rows before."""
    result = read(fakes(Fake((1, 2), cut=True), Fake((2, 3), columns="a c", up_to=[(1, 2)])))
    assert result.items == [(1, 2)]
    assert str(result.error) == (
        "t: the columns are a, c, and those of the rows that were delivered a, b"
    )


@pytest.mark.parametrize(
    ("row", "columns", "key"),
    [((2, 1), "b a", "a"), ((1,), "a", ("a", "b")), ({"b": 1}, "b", "a")],
)
def test_the_key_is_at_the_start(row: Any, columns: str, key: Any) -> None:
    """A key that is elsewhere, or nowhere, is refused with the first row."""
    result = read(fakes(Fake(row, columns=columns)), key=key)
    assert isinstance(result.error, ValueError)
    assert str(result.error).startswith("keyset(key=...) must name the first columns of the query")


# Connections.


@pytest.mark.parametrize("kind", ["connection", "context manager"])
def test_a_connection_is_closed_once(tmp_path: Path, kind: str) -> None:
    """Each attempt opens one and closes it, also when the consumer leaves."""
    closed: list[str] = []

    class Connection(sqlite3.Connection):
        def close(self) -> None:
            closed.append("connection")
            super().close()

    def connect() -> Any:
        db = sqlite3.connect(tmp_path / "db", factory=Connection)
        db.execute("CREATE TABLE IF NOT EXISTS t (a, b)")
        db.execute("INSERT INTO t VALUES (?, 0)", (len(closed),))
        db.commit()
        return db

    @contextmanager
    def pooled() -> Any:
        db = connect()
        try:
            yield db
        finally:
            db.close()

    opened = connect if kind == "connection" else pooled
    assert read(opened).items == [(0, 0)]
    assert closed == ["connection"]
    stream = failover_stream([keyset(opened, "SELECT a, b FROM t", key="a")], retry_on=OSError)
    assert next(stream) == (0, 0)
    stream.close()
    assert closed == ["connection"] * 2


def test_an_error_of_closing_hides_no_other() -> None:
    """It reaches the consumer only if nothing else went wrong."""

    class Sticky(Fake):
        def close(self) -> None:
            raise Cut("close")

    def stream(*connections: Fake) -> Any:
        scan = keyset(fakes(*connections), "SELECT a, b FROM t", key="a")
        return failover_stream([scan], retry_on=LookupError)

    assert str(read_all(stream(Sticky((1, 0), cut=True))).error) == "fetch"
    assert str(read_all(stream(Sticky((1, 0)))).error) == "close"
    left = stream(Sticky((1, 0)))
    next(left)
    with pytest.raises(Cut, match="close"):
        left.close()


def test_async_connections_close_in_the_same_way() -> None:
    """The async twin: also a context manager, and a consumer that leaves."""
    closed: list[bool] = []

    class Connection:
        def __init__(self, *rows: Any, cut: bool = False) -> None:
            self.inner = Fake(*rows, cut=cut)

        async def cursor(self) -> Any:
            return self

        description = Fake().description

        async def execute(self, *statement: Any) -> None:
            self.inner.execute(*statement)

        async def fetchmany(self, size: int) -> list[Any]:
            return self.inner.fetchmany(size)

        async def aclose(self) -> None:
            closed.append(True)
            raise Cut("close")

    @asynccontextmanager
    async def pooled(connection: Any) -> Any:
        yield connection

    async def connected(connection: Any) -> Any:
        return connection

    async def main(opened: Any, *, leave: bool = False) -> str:
        scan = keyset(opened, "SELECT a, b FROM t", key="a")
        stream = afailover_stream([scan], retry_on=LookupError)
        try:
            if leave:
                assert await anext(stream) == (1, 0)
                await stream.aclose()
            else:
                assert [row async for row in stream] == [(1, 0)]
        except Cut as error:
            return str(error)
        return "nothing"

    for opened in (partial(connected, Connection((1, 0))), partial(pooled, Connection((1, 0)))):
        assert asyncio.run(main(opened)) == "close"
    assert asyncio.run(main(partial(connected, Connection((1, 0))), leave=True)) == "close"
    assert asyncio.run(main(partial(connected, Connection((1, 0), cut=True)))) == "fetch"
    assert len(closed) == 7  # three connections and four cursors


def test_a_blocked_query_is_interrupted(tmp_path: Path) -> None:
    """A query that blocks is aborted when its time is up: its thread closes the connection."""
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    closed: list[str] = []

    class Connection(sqlite3.Connection):
        def close(self) -> None:
            closed.append("closed")
            super().close()

    def connect() -> Any:
        return sqlite3.connect(":memory:", factory=Connection, check_same_thread=False)

    scan = keyset(connect, f"SELECT ({slow}) AS a", key="a")
    stream = failover_stream([scan], retry_on=LookupError, idle_timeout=0.05)
    with quiet(), pytest.raises(SourceTimeout):
        next(stream)
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)
    while not closed:
        assert dt.datetime.now(dt.UTC) < deadline
    assert closed == ["closed"]


def test_what_can_be_aborted() -> None:
    """A driver's `cancel`, that of SQLAlchemy's driver, or nothing."""
    calls: list[str] = []
    driver = SimpleNamespace(cancel=lambda: calls.append("cancel"))
    pool = SimpleNamespace(driver_connection=driver)
    core = SimpleNamespace(execution_options=None, connection=pool)
    _abort(None, {})
    for connection in (driver, core, SimpleNamespace(), None):
        _abort(None, {"keyset connection": SimpleNamespace(connection=connection)})
    assert calls == ["cancel", "cancel"]


def test_an_attempt_that_is_abandoned_while_it_connects() -> None:
    """Its query is never sent, and its connection is closed: nobody would cancel it later."""
    closed: list[bool] = []

    class Connection(Fake):
        def close(self) -> None:
            closed.append(True)

    def connect() -> Fake:
        _abort(None, progress.memo)
        return connection

    progress: Any = Progress()
    connection = Connection((1, 0))
    rows: Any = keyset(connect, "SELECT a, b FROM t", key="a").factory
    with pytest.raises(SourceError, match="abandoned while it connected"):
        next(rows(progress))
    assert (connection.statements, closed, progress.memo) == ([], [True], {})


class Named(Fake):
    """A connection of psycopg, whose rows stay on the server."""

    __module__ = "psycopg"
    autocommit = True
    names: list[str | None]

    def cursor(self, name: str | None = None) -> Any:
        self.names = [*getattr(self, "names", []), name]
        return self


class ANamed:
    """The same, async."""

    def __init__(self) -> None:
        self.inner = Named((1, 0))
        self.cursor_of = self.inner.cursor
        self.description = self.inner.description

    __module__ = "psycopg"
    autocommit = True

    def cursor(self, name: str | None = None) -> Any:
        self.inner.cursor(name)
        return self

    async def execute(self, *statement: Any) -> None:
        self.inner.execute(*statement)

    async def fetchmany(self, size: int) -> list[Any]:
        return self.inner.fetchmany(size)

    async def close(self) -> None:
        """Nothing to do."""


def test_a_server_side_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a name, and a transaction, which a connection in autocommit mode does not begin."""
    monkeypatch.setitem(sys.modules, "psycopg", SimpleNamespace(paramstyle="pyformat"))
    connection, other = Named((1, 0)), ANamed()
    assert read(lambda: connection).items == [(1, 0)]

    async def connect() -> Any:
        return other

    async def main() -> list[Any]:
        stream = afailover_stream(
            [keyset(connect, "SELECT a, b FROM t", key="a")], retry_on=OSError
        )
        return [row async for row in stream]

    assert asyncio.run(main()) == [(1, 0)]
    for each in (connection, other.inner):
        assert each.names == [None, "keyset_rows"]
        assert each.statements[0] == ("begin",)


def test_a_float_for_postgresql() -> None:
    """It is text there, which is a value of the column's type: 0.7 is not equal to a real 0.7."""
    query: Any = keyset(sqlite3.Connection, "SELECT a FROM t", key="a").factory
    for connection, value in ((Named(), "0.7"), (Fake(), 0.7)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("failover_iter.sources._key_query._paramstyle", lambda *_: "format")
            _, params = query.__self__.query.statement(connection, None, 0.7)
        assert params == [value]


def test_a_later_attempt_keeps_its_connection() -> None:
    """An abandoned attempt that ends late leaves the connection of the next one to be aborted."""
    progress: Any = Progress()
    rows = keyset(fakes(Fake((1, 0))), "SELECT a, b FROM t", key="a").factory(progress)  # type: ignore[call-arg]
    next(rows)  # type: ignore[call-overload]
    progress.memo["keyset connection"] = later = Fake()
    assert [*rows] == []
    assert progress.memo["keyset connection"] is later


# Refusals.


async def acursor() -> Any:
    """A coroutine function, which a lambda hides."""


@asynccontextmanager
async def pooled() -> Any:
    """So too a function that returns an async context manager."""
    yield


@pytest.mark.parametrize(
    ("connect", "message"),
    [
        (lambda: 5, "must return a DB-API connection, got int"),
        (lambda: SimpleNamespace(execute=1), "return a DB-API connection, got SimpleNamespace"),
        (lambda: SimpleNamespace(execute=1, execution_options=1), "the query must be a select()"),
        (lambda: acursor(), "it has returned coroutine: for an async stream, pass the coroutine"),
        (lambda: pooled(), "for an async stream, pass"),
        (pytest.MonkeyPatch.context, "must return a DB-API connection, got MonkeyPatch"),
    ],
)
def test_wrong_connections(connect: Any, message: str) -> None:
    """What `connect` returns is checked, and an async one named as such."""
    result = read(connect)
    assert isinstance(result.error, TypeError)
    assert message in str(result.error)


def test_a_wrong_async_connection() -> None:
    """So is that of an async source."""
    with pytest.raises(TypeError, match="must return a DB-API connection, got int"):
        asyncio.run(anext(afailover_stream([keyset(five, "SELECT a", key="a")], retry_on=OSError)))


async def five() -> Any:
    return 5


def test_a_driver_without_a_paramstyle(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused with the first attempt, not when a key is added to the query."""
    monkeypatch.setattr(sys.modules[Fake.__module__], "paramstyle", None)
    result = read(Fake)
    assert isinstance(result.error, TypeError)
    assert "a DB-API module with a paramstyle, got Fake" in str(result.error)
    result = read(type("Homeless", (Fake,), {"__module__": "there.is.none"}))
    assert "a DB-API module with a paramstyle, got Homeless" in str(result.error)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"connect": "dbname=x"}, TypeError, "must be a function that opens a connection"),
        ({"connect": SimpleNamespace(connect=1)}, TypeError, "pass its method connect"),
        ({"query": b"SELECT"}, TypeError, "a str, a psycopg.sql object or a select()"),
        ({"query": " "}, ValueError, "must be a SELECT, got ' '"),
        ({"key": ()}, TypeError, "the name of a column, or a sequence of names, got ()"),
        ({"key": 0}, TypeError, "the name of a column"),
        ({"key": "id DESC"}, ValueError, "got 'id DESC': the scan is in ascending order"),
        ({"key": ("a", "a")}, ValueError, "each column once"),
        ({"params": "x"}, TypeError, "a sequence or a mapping, or None, got str"),
        ({"batch": 0}, ValueError, "an int of at least 1, got 0"),
        ({"batch": True}, TypeError, "an int of at least 1, got True"),
    ],
)
def test_wrong_use(change: dict[str, Any], error: type[Exception], message: str) -> None:
    """Wrong arguments are refused at the call."""
    given = {"connect": sqlite3.Connection, "query": "SELECT a FROM t", "key": "a", **change}
    with pytest.raises(error) as caught:
        keyset(**given)
    assert str(caught.value).startswith("keyset(")
    assert message in str(caught.value)
