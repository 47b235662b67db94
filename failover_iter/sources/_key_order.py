"""The key of a row, the check that keys ascend strictly, and where a scan goes on.

A scan that resumes after a key is right only if the database finds the key's row exactly there. It
does not if the driver rounds a value, or returns another type than it takes. So the next attempt
first asks for the rows up to the key, the nearest first. If the last delivered row comes first, and
no other row with its key, then no row is between the two, and the missing rows are those after the
key. Otherwise the row was deleted, or the key cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import chain, islice, pairwise
from operator import attrgetter, itemgetter, lt
from typing import Any, NoReturn, TypeAlias

from failover_iter import DivergedStream, Progress, Resume
from failover_iter.sources._key_query import AFTER, FROM, UP_TO, Side

#: Keys of `Progress.memo`: the columns of the query, and why its key cannot be trusted.
COLUMNS, BROKEN = "keyset columns", "keyset broken"

#: Types that Python and databases put in the same order. The order of text is a collation's.
ORDERED = (int, float, Decimal, bytes, date, time)
#: Those whose values drivers do not round.
EXACT = (int, Decimal, date, time)
#: The value of each NaN in a comparison.
NAN = object()
#: How many rows beside its place are read, where a driver may have changed the key.
LOOK_BACK = 100
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


#: Which rows to ask for: a key, on which side of it, and how many.
Question: TypeAlias = tuple[Any, Side, int]
#: Reads the key of a row.
Read = Callable[[Any], Any]


class KeyOf:
    """Reads the key of a row."""

    __slots__ = ("_by_name", "_by_place", "names", "width")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        #: The number of columns, or 0 if there is one: then the key is a value, not a list.
        self.width = len(names) if len(names) > 1 else 0
        self._by_place: Read = itemgetter(slice(self.width) if self.width else 0)
        self._by_name: Read = itemgetter(*names)

    def reader(self, row: object) -> Read:
        """The function that reads the key of such a row: a value or a tuple."""
        if isinstance(row, tuple):
            return self._by_place
        if isinstance(row, Mapping):
            return self._by_name
        if not hasattr(row, "__getitem__"):
            return attrgetter(*self.names)
        if isinstance(row, list) and self.width:
            return lambda row: tuple(row[: self.width])
        return self._by_place


@cache
def advance_by(names: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    """The one function `advance` for these columns, because the sources of a stream share it.

    The cursor is the key of the last row: a value, or a list. It is called for each row, so it is
    a function, which is called three times as fast as an object.
    """
    key_of = KeyOf(names)
    reader, width = key_of.reader, key_of.width

    def key_of_row(_: Any, row: Any) -> Any:
        return row[0] if row.__class__ is tuple else reader(row)(row)

    def keys_of_row(_: Any, row: Any) -> Any:
        return [*row[:width]] if row.__class__ is tuple else [*reader(row)(row)]

    return keys_of_row if width else key_of_row


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _ByKey(Resume):
    """Can be pickled, for another process or a worker, which makes the function anew."""

    names: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return by_key, (self.names,)


def by_key(names: tuple[str, ...]) -> Resume:
    """The strategy of a scan: its position is the key of the last row."""
    return _ByKey(start=None, advance=advance_by(names), names=names)


class KeyOrder:
    """What must hold of the rows of one attempt."""

    def __init__(self, query: str, names: tuple[str, ...], progress: Progress[Any]) -> None:
        self.query = query
        self.names = names
        self.memo: MutableMapping[str, Any] = progress.memo
        if BROKEN in self.memo:
            raise DivergedStream(self.memo[BROKEN])
        #: The cursor: the key of the last delivered row, or None.
        self.after: Any = progress.cursor
        self._key_of = KeyOf(names)
        self._width = self._key_of.width
        self._last: Any = (*self.after,) if self.after and self._width else self.after
        self._has_begun = False

    def find_place(self, rows: Sequence[Any]) -> Generator[Question]:
        """Raise unless the rows after the last delivered one are those that are missing.

        Yields what to ask the database for. `rows` is where the answer is then found.
        """
        if self.after is None:
            return
        last = self._parts(self._last)
        yield self.after, UP_TO, 2 if all(isinstance(part, EXACT) for part in last) else LOOK_BACK
        orders = self._orders(rows)
        if orders[:2] == [0, 0]:
            self._refuse(TWICE)
        steps = {_order(*pair) for pair in pairwise(self._keys(rows))}
        if orders[:1] == [-1] or 0 in orders[1:] or not steps.isdisjoint({0, -1}):
            self._refuse(INEXACT)
        is_known = not rows and all(isinstance(part, ORDERED) for part in last)
        if orders[:1] in ([0], [1]) or is_known:
            return
        others = self._keys(rows)
        yield self.after, AFTER, LOOK_BACK
        if 0 in self._orders(rows):
            self._refuse(INEXACT)
        yield from self._try([*others, *self._keys(rows)][:3], rows)

    def _try(self, keys: list[tuple[Any, ...]], rows: Sequence[Any]) -> Generator[Question]:
        """Raise unless a row is found by its key; not the first one, if it is deleted meanwhile."""
        for key in keys:
            for side in (UP_TO, FROM):
                yield key if self._width else key[0], side, 1
                if [_order(key, each) for each in self._keys(rows)] != [0]:
                    break
            else:
                return
        if keys:
            self._refuse(INEXACT)

    def _orders(self, rows: Sequence[Any]) -> list[int | None]:
        """How the key of the last delivered row compares with those of these rows."""
        return [_order(self._parts(self._last), key) for key in self._keys(rows)]

    def _parts(self, key: Any) -> tuple[Any, ...]:
        return key if self._width else (key,)

    def _keys(self, rows: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [self._parts(self._key_of.reader(row)(row)) for row in rows]

    def _refuse(self, why: str) -> NoReturn:
        raise self._broken(why)

    def _broken(self, why: str) -> DivergedStream:
        """The error; no other scan takes over after it."""
        self.memo[BROKEN] = f"{self.query}: {why.format(', '.join(self.names))}"
        return DivergedStream(self.memo[BROKEN])

    def check(
        self, rows: Sequence[Any], columns: Sequence[str]
    ) -> tuple[Sequence[Any], DivergedStream | None]:
        """The rows of a batch that can be delivered, and the error that follows them."""
        self.check_columns(rows, columns)
        keys: list[Any] = [*map(self._key_of.reader(rows[0]), rows)]
        before, self._last = self._last, keys[-1]
        if _ascend(before, keys):
            return rows, None
        return self._good(rows, before, keys)

    def _good(
        self, rows: Sequence[Any], before: Any, keys: list[Any]
    ) -> tuple[Sequence[Any], DivergedStream | None]:
        """The rows before the first that is out of order. Text may be in another order."""
        for number, (previous, key) in enumerate(pairwise([before, *keys])):
            parts = None if previous is None else self._parts(previous)
            why = _why_not(parts, self._parts(key))
            if why is not None:
                return rows[:number], self._broken(why)
        return rows, None

    def check_columns(self, rows: Sequence[Any], columns: Sequence[str]) -> None:
        """Raise if the key is not where it is looked for, or the columns differ from before."""
        if self._has_begun or not rows:
            return
        self._has_begun = True
        row, columns = rows[0], [*columns]
        is_placed = not isinstance(row, Mapping) and hasattr(row, "__getitem__")
        there = columns[: len(self.names)] if is_placed else columns
        if not ({*self.names} <= {*there} if not is_placed else [*self.names] == there):
            raise ValueError(
                f"keyset(key=...) must name the first columns of the query, in their order, got "
                f"{', '.join(self.names)}: the query has the columns {', '.join(columns)}"
            )
        key = self._keys(rows[:1])[0]
        if any(isinstance(part, dict | set) for part in key):
            kinds = ", ".join(type(part).__name__ for part in key)
            raise ValueError(
                f"keyset(key=...): ({', '.join(self.names)}) must be values that can be compared, "
                f"got {kinds}: select it as text"
            )
        if any(isinstance(part, timedelta) for part in key):
            raise ValueError(
                f"keyset(key=...): ({', '.join(self.names)}) has an interval, whose length "
                "may change (PostgreSQL counts 360 days for a year, its driver 365): "
                "select its number of seconds"
            )
        if self.after is None:
            self.memo[COLUMNS] = columns
        elif columns != self.memo.get(COLUMNS, columns):
            raise DivergedStream(
                f"{self.query}: the columns are {', '.join(columns)}, and those of the rows that "
                f"were delivered {', '.join(self.memo[COLUMNS])}"
            )


#: The reasons why a key cannot be trusted.
NO_KEY = "a row has no key, because ({}) is NULL, so the scan could not resume after it"
UNORDERED = "the rows are not in ascending order of ({}), so rows could be lost"
TWICE = (
    "two rows have the same key ({}), so rows could be lost at a takeover: add columns to the key "
    "until it is unique"
)
INEXACT = (
    "the database does not find a row by its key ({}) as the driver returns it, so rows could be "
    "lost: select the key as a type that is exact in Python, such as double precision, numeric or "
    "text"
)


def _ascend(before: Any, keys: list[Any]) -> bool:
    """Whether the keys ascend strictly as Python compares them, and none is NULL."""
    # Of plain keys only the first: a later one that is None cannot be compared.
    values = chain.from_iterable(keys) if isinstance(keys[0], tuple) else keys[:1]
    if None in values:
        return False
    try:
        follows = before is None or bool(before < keys[0])
        return follows and all(map(lt, keys, islice(keys, 1, None)))
    except (TypeError, ArithmeticError):  # as with a Decimal that is NaN
        return False


def _why_not(before: tuple[Any, ...] | None, key: tuple[Any, ...]) -> str | None:
    """Why a row with this key may not follow, or None if it may."""
    if None in key:
        return NO_KEY
    order = -1 if before is None else _order(before, key)
    return TWICE if order == 0 else UNORDERED if order == 1 else None


def _order(one: tuple[Any, ...], two: tuple[Any, ...]) -> int | None:
    """-1, 0 or 1 as the first key is less than, equal to or greater than the second.

    None if they differ where Python does not compare values as a database does.
    """
    values: Any = zip(map(_comparable, one), map(_comparable, two), strict=True)
    for first, second in values:
        if first != second:
            if NAN in (first, second):  # greater than all other numbers
                return 1 if first is NAN else -1
            if not (isinstance(first, ORDERED) and isinstance(second, ORDERED)):
                return None
            try:
                return -1 if lt(first, second) else 1
            except TypeError:
                return None
    return 0


def _comparable(value: Any) -> Any:
    """The value as Python compares it like a database."""
    if issubclass(type(value), list):
        return [*map(_comparable, value)]
    if isinstance(value, float | Decimal) and value.__ne__(value):
        return NAN  # for databases equal to itself
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - EPOCH) // MICROSECOND  # not as the clock shows it, which is put back once
    if isinstance(value, time) and value.tzinfo is not None:
        return value.isoformat()  # 12:00+00 and 13:00+01 are two keys
    return value
