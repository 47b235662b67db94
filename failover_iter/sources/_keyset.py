"""`keyset`: the rows of a database query, in the order of a unique key."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from typing import Any, overload

from failover_iter import DivergedStream, Progress, Source, SourceError
from failover_iter.sources._key_order import KeyOrder, Question, by_key
from failover_iter.sources._key_query import CoreQuery, TextQuery, new_query
from failover_iter.sources._resource import (
    aclosed_after,
    awaited,
    check_not_async,
    closed_after,
    is_async_function,
)

#: Under which key of `Progress.memo` the `_Handle` of the running attempt is.
CONNECTION = "keyset connection"

Params = Mapping[str, Any] | Sequence[Any] | None


@overload
def keyset(
    connect: Callable[[], AbstractContextManager[Any]],
    query: Any,
    *,
    key: Any,
    params: Params = None,
    batch: int = 1000,
) -> Source[Generator[Any]]: ...
@overload
def keyset(
    connect: Callable[[], Awaitable[Any] | AbstractAsyncContextManager[Any]],
    query: Any,
    *,
    key: Any,
    params: Params = None,
    batch: int = 1000,
) -> Source[AsyncGenerator[Any]]: ...
def keyset(
    connect: Callable[[], Any], query: Any, *, key: Any, params: Params = None, batch: int = 1000
) -> Source[Any]:
    """The rows of a database query, in the order of a unique key: each row exactly once.

    The query is written without the key: `keyset` adds `ORDER BY key`, and after a failure
    `WHERE key > ` the key of the last delivered row. Each attempt opens a connection, and closes
    it. Rows stay on the server until they are fetched: psycopg uses a server-side cursor, and
    SQLAlchemy `yield_per`. With other drivers the cursor is an ordinary one.

    While the scan runs, it checks that keys ascend strictly and are never NULL, also across a
    takeover; and at each takeover, that the database finds the place of the last delivered row.
    Otherwise rows would be lost or duplicated, so that is a `DivergedStream`, after which no other
    `keyset` of the stream takes over. Keys that are numbers, bytes, dates and times are
    compared in Python; other keys, such as text, are in an order that only the database knows, so
    they are checked to differ from their neighbours.

    Args:
        connect: a function that opens a connection, such as `lambda: sqlite3.connect(path)` or
            `engine.connect`, or one that returns a context manager with a connection, such as
            `pool.connection`. For async streams an async function, such as
            `functools.partial(psycopg.AsyncConnection.connect, dsn)`.
        query: a SELECT: text, an object of `psycopg.sql`, or a `select()` of SQLAlchemy 2 Core.
            Its first columns are those of the key, in their order.
        key: the column that identifies a row, or a sequence of columns that do so together. An
            index on them makes each takeover quick.
        params: the parameters of the query, as the driver takes them.
        batch: how many rows are fetched at once. Fewer for large rows, and for rows that a query
            takes long to find.

    Returns:
        A source that brings its own `mid_stream`, `reset_on_progress`, `abort` and name (the
        table). Rows are as the connection makes them: tuples, dictionaries, `sqlite3.Row` and
        other objects work.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: `key` is not the name of a column, or not a column of the query at its start
            (for text that is found with the first row), or an interval or jsonb, or `batch` is not
            positive.

    Example:
        >>> import sqlite3
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import keyset
        >>> def connect():
        ...     db = sqlite3.connect(":memory:")
        ...     db.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT)")
        ...     db.execute("INSERT INTO person VALUES (2, 'ben'), (1, 'anna')")
        ...     return db
        >>> people = keyset(connect, "SELECT id, name FROM person", key="id")
        >>> list(failover_stream([people], retry_on=sqlite3.OperationalError, attempts=5))
        [(1, 'anna'), (2, 'ben')]

    The method is known as keyset pagination, or the seek method:
    https://use-the-index-luke.com/no-offset.
    """
    given: object = connect
    if not callable(given):
        hint = ": pass its method connect" if hasattr(given, "connect") else ""
        raise TypeError(
            f"keyset(connect) must be a function that opens a connection, because each attempt "
            f"needs a new one, got {type(given).__name__}{hint}"
        )
    if isinstance(batch, bool) or not isinstance(batch, int):
        raise TypeError(f"keyset(batch=...) must be an int of at least 1, got {batch!r}")
    if batch < 1:
        raise ValueError(f"keyset(batch=...) must be an int of at least 1, got {batch!r}")
    scan = _Scan(connect, new_query(query, key, params), batch)
    is_async = is_async_function(connect)
    return Source(
        scan.arows if is_async else scan.rows,
        name=scan.query.label,
        mid_stream=by_key(scan.query.names),
        reset_on_progress=True,
        switch_on=DivergedStream,
        abort=None if is_async else _abort,
    )


@dataclass(frozen=True, slots=True)
class _Scan:
    """What to read, and where."""

    connect: Callable[[], Any]
    query: TextQuery | CoreQuery
    batch: int

    def rows(self, progress: Progress[Any]) -> Generator[Any]:
        """Yield the missing rows, with a sync driver."""
        order = KeyOrder(self.query.label, self.query.names, progress)
        with self._connected(progress.memo) as connection:
            answer: list[Any] = []
            for question in order.find_place(answer):
                answer[:] = self._fetched(connection, order, question)
            with self.query.result(connection, order.after, self.batch) as result:
                while batch := result.fetchmany(self.batch):
                    rows, error = order.check(batch, self.query.columns(result))
                    yield from rows
                    if error is not None:
                        raise error

    async def arows(self, progress: Progress[Any]) -> AsyncGenerator[Any]:
        """Yield the missing rows, with an async driver."""
        order = KeyOrder(self.query.label, self.query.names, progress)
        async with self._aconnected() as connection:
            answer: list[Any] = []
            for question in order.find_place(answer):
                answer[:] = await self._afetched(connection, order, question)
            async with self.query.aresult(connection, order.after, self.batch) as result:
                while batch := await awaited(result.fetchmany(self.batch)):
                    rows, error = order.check(batch, self.query.columns(result))
                    for row in rows:
                        yield row
                    if error is not None:
                        raise error

    def _fetched(self, connection: Any, order: KeyOrder, question: Question) -> Sequence[Any]:
        """The first rows on one side of a key."""
        key, side, size = question
        with self.query.result(connection, key, size, side) as result:
            rows: Sequence[Any] = result.fetchmany(size)
            order.check_columns(rows, self.query.columns(result))
        return rows

    async def _afetched(
        self, connection: Any, order: KeyOrder, question: Question
    ) -> Sequence[Any]:
        """`_fetched` with an async driver."""
        key, side, size = question
        async with self.query.aresult(connection, key, size, side) as result:
            rows: Sequence[Any] = await awaited(result.fetchmany(size))
            order.check_columns(rows, self.query.columns(result))
        return rows

    @contextmanager
    def _connected(self, memo: MutableMapping[str, Any]) -> Generator[Any]:
        handle = memo[CONNECTION] = _Handle()
        try:
            opened = self.connect()
            check_not_async("keyset(connect)", opened)
            # A connection of sqlite3 is a context manager too, which does not close it.
            is_opened = _is_connection(opened, "__enter__")
            with closed_after(opened) if is_opened else opened as connection:
                handle.hold(connection)
                self.query.prepare(connection)
                yield connection
        finally:
            if memo.get(CONNECTION) is handle:  # not that of a later attempt
                del memo[CONNECTION]

    @asynccontextmanager
    async def _aconnected(self) -> AsyncGenerator[Any]:
        opened = await awaited(self.connect())
        is_opened = _is_connection(opened, "__aenter__")
        async with aclosed_after(opened) if is_opened else opened as connection:
            await awaited(self.query.prepare(connection))
            yield connection


def _is_connection(opened: Any, enter: str) -> bool:
    """Whether it is to be used as a connection, and not a context manager that has one."""
    return not hasattr(opened, enter) or hasattr(opened, "cursor") or hasattr(opened, "execute")


class _Handle:
    """The connection of an attempt, to abort it: also if it is not there yet."""

    connection: Any = None
    is_aborted = False

    def hold(self, connection: Any) -> None:
        """Abort this connection from now on; raise if the attempt was aborted before."""
        self.connection = connection
        if self.is_aborted:
            raise SourceError("the attempt was abandoned while it connected")


def _abort(_: object, memo: MutableMapping[str, Any]) -> None:
    """Make a blocked query return: the driver's `cancel`, or the `interrupt` of sqlite3."""
    handle = memo.get(CONNECTION, _Handle())
    handle.is_aborted = True
    connection = handle.connection
    if hasattr(connection, "execution_options"):
        connection = connection.connection.driver_connection
    cancel = getattr(connection, "cancel", None) or getattr(connection, "interrupt", None)
    if cancel is not None:
        cancel()
