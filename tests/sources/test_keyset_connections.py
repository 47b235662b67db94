"""`keyset`: connections are opened, aborted and closed once, and which ones are refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
import sys
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter import Progress, SourceError, SourceTimeout, afailover_stream, failover_stream
from failover_iter.sources import keyset
from failover_iter.sources._keyset import _abort
from sources.databases import Cut
from sources.readers import read_all
from sources.scans import Fake, fakes, read
from support.runners import quiet

paramstyle = "qmark"  # of this module as the driver of each Connection


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
