"""The query of a scan: what the user wrote, ordered by the key, from a key on.

The user's query becomes a subquery. So a LIMIT, a GROUP BY or an ORDER BY in it keeps its meaning
when the scan resumes; databases look through a plain subquery, and use the index of the key.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from failover_iter.sources._resource import aclosed_after, awaited, closed_after

#: The subquery, and the server-side cursor.
NAME = "keyset_rows"
#: A column of a text query: a plain identifier, or one in quotes.
IDENTIFIER = re.compile(r'[^\W\d][\w$]*|"[^"]+"|`[^`]+`')
#: The parts of a query, to find a semicolon at its end.
TOKEN = re.compile(
    r"(?P<end>;)|(?P<space>\s+|--[^\n]*|/\*.*?\*/)"
    r"|'[^']*'|\"[^\"]*\"|`[^`]*`|\$(\w*)\$.*?\$\3\$|[^\s;'\"`$/-]+|.",
    re.DOTALL,
)
TABLE = re.compile(r"\bfrom\s+([\w.\"`$]+)", re.IGNORECASE)
#: How PostgreSQL numbers jsonb and jsonb[], of whose values no driver knows what they were.
JSONB = (3802, 3807)
#: Drivers whose ordinary cursor reads all rows at once, and whose named cursor leaves them there.
NAMED_CURSORS = {"psycopg", "psycopg2"}

#: The mark of a parameter in a query, by the paramstyle of the driver: with a name, or number n.
WITH_NAMES = {"pyformat": "%({name})s", "format": "%({name})s"}
BY_PLACE = {"qmark": "?", "format": "%s", "pyformat": "%s", "numeric": ":{n}"}

Key = tuple[str, ...]


class Side(NamedTuple):
    """Which rows to ask for, seen from a key, and in which order they come."""

    sign: str
    order: str = ""


AFTER, FROM, UP_TO = Side(">"), Side(">="), Side("<=", " DESC")


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A query as text, for a driver of DB-API 2.0 or an async one with the same methods."""

    query: Any
    key: Key
    params: Mapping[str, Any] | Sequence[Any] | None

    @property
    def names(self) -> Key:
        """The names of the key columns, without quotes."""
        return tuple(column.strip('"`') for column in self.key)

    @property
    def label(self) -> str:
        """The table, for the name of the source."""
        found = TABLE.search(str(self.query))
        return found[1] if found else "keyset"

    def prepare(self, connection: Any) -> Any:
        """Check a connection, and begin a transaction if that is needed; the result is awaited."""
        if not hasattr(connection, "cursor"):
            hint = ": for SQLAlchemy, the query must be a select()" if _is_core(connection) else ""
            raise TypeError(
                f"keyset(connect) must return a DB-API connection, got "
                f"{type(connection).__name__}{hint}"
            )
        if _has_named_cursors(connection) and getattr(connection, "autocommit", False):
            return connection.cursor().execute("begin")  # named cursors live in a transaction
        return None

    @contextmanager
    def result(self, connection: Any, key: Any, _: int, side: Side = AFTER) -> Generator[Any]:
        """An open cursor over the rows on this side of a key."""
        with closed_after(connection.cursor(**_cursor_options(connection))) as cursor:
            cursor.execute(*self.statement(connection, cursor, key, side))
            yield cursor

    @asynccontextmanager
    async def aresult(
        self, connection: Any, key: Any, _: int, side: Side = AFTER
    ) -> AsyncGenerator[Any]:
        """`result` with an async driver."""
        opened = connection.cursor(**_cursor_options(connection))
        async with aclosed_after(await awaited(opened)) as cursor:
            await awaited(cursor.execute(*self.statement(connection, cursor, key, side)))
            yield cursor

    def columns(self, cursor: Any) -> list[str]:
        """The names of the columns of a result; raise if one of the key cannot be compared."""
        _check_types(self.names, cursor)
        return [column[0] for column in cursor.description]

    def statement(
        self, connection: Any, cursor: Any, key: Any, side: Side = AFTER
    ) -> tuple[Any, ...]:
        """What to execute: the rows on this side of a key, or all of them if it is None."""
        style = _paramstyle(cursor, connection)
        text = self.query if isinstance(self.query, str) else self.query.as_string(connection)
        text = without_semicolon(text.rstrip())
        before = f"SELECT * FROM (\n{text}\n) {NAME}"  # noqa: S608 (the user's)
        end = f" ORDER BY {', '.join(column + side.order for column in self.key)}"
        if key is None:
            return (before + end,) if self.params is None else (before + end, self.params)
        values = [*key] if len(self.key) > 1 else [key]
        if _has_named_cursors(connection):
            values = [*map(_untyped, values)]
        if self.params is None and "format" in style:
            before = before.replace("%", "%%")  # so far nothing stood for a value
        marks, params = self._bound(style, values)
        columns, bound = ", ".join(self.key), ", ".join(marks)
        if len(values) > 1:
            columns, bound = f"({columns})", f"({bound})"
        return f"{before} WHERE {columns} {side.sign} {bound}{end}", params

    def _bound(self, style: str, values: list[Any]) -> tuple[list[str], Any]:
        """The marks of these values in the query, and all parameters."""
        given = self.params if self.params is not None else ()
        if isinstance(given, Mapping) or style == "named":
            named = {f"{NAME}_{n}": value for n, value in enumerate(values)}
            mark = WITH_NAMES.get(style, ":{name}")
            return [mark.format(name=name) for name in named], {**dict(given), **named}
        numbers = range(len(given) + 1, len(given) + len(values) + 1)
        return [BY_PLACE[style].format(n=n) for n in numbers], [*given, *values]


@dataclass(frozen=True, slots=True)
class CoreQuery:
    """A SELECT of SQLAlchemy 2 Core."""

    query: Any
    key: Key
    params: Mapping[str, Any] | None

    @property
    def names(self) -> Key:
        """The names of the key columns."""
        return self.key

    @property
    def label(self) -> str:
        """The table, for the name of the source."""
        tables = self.query.get_final_froms() if hasattr(self.query, "get_final_froms") else ()
        return next((name for each in tables if (name := getattr(each, "name", ""))), "keyset")

    def prepare(self, connection: Any) -> None:
        """Check a connection."""
        if not _is_core(connection):
            raise TypeError(
                f"keyset(connect) must return a Connection of SQLAlchemy, because the query is a "
                f"{type(self.query).__name__}, got {type(connection).__name__}"
            )

    @contextmanager
    def result(self, connection: Any, key: Any, batch: int, side: Side = AFTER) -> Generator[Any]:
        """An open result with the rows on this side of a key."""
        options = {"yield_per": batch}
        statement = self.statement(connection, key, side)
        found = connection.execute(statement, self.params, execution_options=options)
        with closed_after(found) as result:
            self._check(result)
            yield result

    @asynccontextmanager
    async def aresult(
        self, connection: Any, key: Any, batch: int, side: Side = AFTER
    ) -> AsyncGenerator[Any]:
        """`result` with an async connection."""
        options = {"yield_per": batch}
        statement = self.statement(connection, key, side)
        found = await connection.stream(statement, self.params, execution_options=options)
        async with aclosed_after(found) as result:
            self._check(result)
            yield result

    @staticmethod
    def columns(result: Any) -> list[str]:
        """The names of the columns of a result."""
        return [*result.keys()]

    def _check(self, result: Any) -> None:
        """Raise if a column of the key cannot be compared."""
        inner = getattr(result, "_real_result", None) or result  # of an async connection
        _check_types(self.names, getattr(inner, "cursor", None))

    def statement(self, connection: Any, key: Any, side: Side = AFTER) -> Any:
        """The rows on this side of a key, or all of them if it is None."""
        from sqlalchemy import select, tuple_

        rows = self.query.subquery(NAME)
        columns = [rows.c[name] for name in self.key]
        found = select(rows).order_by(*[each.desc() if side.order else each for each in columns])
        if key is None:
            return found
        values = [key] if len(columns) == 1 else key
        bound = [
            _literal(connection.dialect, column, value)
            for column, value in zip(columns, values, strict=True)
        ]
        place = (tuple_(*columns), tuple_(*bound)) if len(columns) > 1 else (*columns, *bound)
        return found.where(place[0].op(side.sign, is_comparison=True)(place[1]))


def _literal(dialect: Any, column: Any, value: Any) -> Any:
    """The value of a key column, as the database compares it with the column.

    For PostgreSQL, SQLAlchemy casts each value to the type that was declared. If the column has
    another one (real, citext), the comparison would have the order of the wrong type.
    """
    from sqlalchemy import literal
    from sqlalchemy.types import NullType

    if dialect.name != "postgresql":
        return literal(value, column.type)
    process = column.type.dialect_impl(dialect).bind_processor(dialect)
    value = value if process is None else process(value)
    is_text = dialect.driver.partition("_")[0] in NAMED_CURSORS
    return literal(_untyped(value) if is_text else value, NullType())


def _check_types(names: Key, cursor: Any) -> None:
    """Raise if a column of the key has values that the driver sends back as another type."""
    for column in getattr(cursor, "description", None) or ():
        if column[0] in names and len(column) > 1 and column[1] in JSONB:
            raise ValueError(
                f"keyset(key=...): ({column[0]}) is jsonb, of which the driver does not return a "
                f"value to compare: select it as text ({column[0]}::text AS {column[0]})"
            )


def _untyped(value: Any) -> Any:
    """The same for PostgreSQL, which takes text as a value of the column's type.

    A float would be double precision: not equal to the column's value if that is a real. And an
    array of numbers would be one of the smallest type that they fit in.
    """
    if isinstance(value, float):
        return float.__repr__(value)
    return _array(value) if issubclass(type(value), list) and _is_of_numbers(value) else value


def _is_of_numbers(value: Any) -> bool:
    if issubclass(type(value), list):
        return all(map(_is_of_numbers, value))
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _array(value: Any) -> str:
    """The array as PostgreSQL writes it."""
    if issubclass(type(value), list):
        return "{" + ",".join(map(_array, value)) + "}"
    return "NULL" if value is None else repr(value)


def without_semicolon(text: str) -> str:
    """The query without a semicolon at its end, also where a comment follows."""
    end = len(text)
    for found in TOKEN.finditer(text):
        if found["end"]:
            end = min(end, found.start())
        elif not found["space"]:
            end = len(text)
    return text[:end]


def new_query(query: Any, key: Any, params: Any) -> TextQuery | CoreQuery:
    """Check the query, its key and its parameters."""
    columns: list[Any] = [key] if isinstance(key, str) or not isinstance(key, Sequence) else [*key]
    is_core = hasattr(query, "subquery")
    if is_core:
        columns = [getattr(column, "name", column) for column in columns]
    _check_params(params, is_core=is_core)
    _check_key(key, columns, is_core=is_core)
    if is_core:
        found = tuple(column.name for column in query.selected_columns)
        if found[: len(columns)] != tuple(columns):
            raise ValueError(
                f"keyset(key=...) must name the first columns of the query, in their order, got "
                f"{', '.join(columns)}: the query has the columns {', '.join(found)}"
            )
        return CoreQuery(query, tuple(columns), params)
    if not isinstance(query, str) and not hasattr(query, "as_string"):
        raise TypeError(
            f"keyset(query) must be a str, a psycopg.sql object or a select() of SQLAlchemy, got "
            f"{type(query).__name__}"
        )
    if isinstance(query, str) and not query.strip():
        raise ValueError(f"keyset(query) must be a SELECT, got {query!r}")
    return TextQuery(query, tuple(columns), params)


def _check_key(key: Any, columns: list[Any], *, is_core: bool) -> None:
    if not columns or not all(isinstance(column, str) for column in columns):
        raise TypeError(
            f"keyset(key=...) must be the name of a column, or a sequence of names, got {key!r}"
        )
    for column in columns:
        if not is_core and not IDENTIFIER.fullmatch(column):
            raise ValueError(
                f"keyset(key=...) must be the name of a column, or a sequence of names, got "
                f"{column!r}: the scan is in ascending order"
            )
    if len({*columns}) < len(columns):
        raise ValueError(f"keyset(key=...) must name each column once, got {key!r}")


def _check_params(params: Any, *, is_core: bool) -> None:
    kind = type(params).__name__
    is_sequence = isinstance(params, Sequence) and not isinstance(params, str | bytes)
    if params is None or isinstance(params, Mapping) or (is_sequence and not is_core):
        return
    allowed = "a mapping" if is_core else "a sequence or a mapping"
    raise TypeError(f"keyset(params=...) must be {allowed}, or None, got {kind}")


def _is_core(connection: Any) -> bool:
    return hasattr(connection, "execution_options")


def _homes(thing: Any) -> list[str]:
    """The modules of the class of an object, and of its bases."""
    return [kind.__module__ for kind in type(thing).__mro__]


def _has_named_cursors(connection: Any) -> bool:
    return not NAMED_CURSORS.isdisjoint(home.split(".")[0] for home in _homes(connection))


def _cursor_options(connection: Any) -> dict[str, str]:
    return {"name": NAME} if _has_named_cursors(connection) else {}


def _paramstyle(*things: Any) -> str:
    """How the driver of these objects marks parameters."""
    for home in (home for thing in things for home in _homes(thing)):
        while home:
            style: str | None = getattr(_module(home), "paramstyle", None)
            if style is not None:
                return style
            home = home.rpartition(".")[0]  # noqa: PLW2901
    raise TypeError(
        f"keyset(connect) must return a connection of a DB-API module with a paramstyle, got "
        f"{type(things[-1]).__name__}"
    )


def _module(name: str) -> ModuleType | None:
    """The module; in another process, `connect` may not have imported it (`_sqlite3.connect`)."""
    with suppress(ImportError):
        return import_module(name)
    return None
