"""The key of a row, and the check that keys ascend strictly, also across a takeover.

A scan that resumes after a key is right only if no two rows have the same key. So the next attempt
asks for the last delivered row once more: it is dropped, and a second row with its key is an error.
That also covers drivers that round a key: the last row is recognised as what was delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import chain, islice, pairwise
from operator import attrgetter, itemgetter, lt
from typing import Any

from failover_iter import DivergedStream, Progress, Resume

#: Keys of `Progress.memo`: the columns of the query, and why its key cannot be trusted.
COLUMNS, BROKEN = "keyset columns", "keyset broken"

#: Types that Python and databases put in the same order. The order of text is a collation's.
ORDERED = (int, float, Decimal, bytes, date, time, timedelta)


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


def by_key(names: tuple[str, ...]) -> Resume:
    """The strategy of a scan: its position is the key of the last row."""
    return Resume(start=None, advance=advance_by(names))


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
        self._last: Any = self.after if self.after is None or len(names) == 1 else (*self.after,)
        self._is_delivered = self.after is not None
        self._key_of = KeyOf(names)
        self._width = self._key_of.width
        self._has_begun = False

    def check(
        self, rows: Sequence[Any], columns: Sequence[str]
    ) -> tuple[Sequence[Any], DivergedStream | None]:
        """The rows of a batch that can be delivered, and the error that follows them."""
        if not self._has_begun:
            self._has_begun = True
            self._check_columns([*columns], rows[0])
        keys: list[Any] = [*map(self._key_of.reader(rows[0]), rows)]
        if self._is_delivered:
            self._is_delivered = False
            if keys[0] == self._last:
                del keys[0]
                rows = rows[1:]
        before, self._last = self._last, keys[-1] if keys else self._last
        if _ascend(before, keys):
            return rows, None
        return self._good(rows, before, keys)

    def _good(
        self, rows: Sequence[Any], before: Any, keys: list[Any]
    ) -> tuple[Sequence[Any], DivergedStream | None]:
        """The rows before the first that is out of order. Text may be in another order."""
        for number, (previous, key) in enumerate(pairwise([before, *keys])):
            why = _why_not(previous, key) if self._width else _why_not((previous,), (key,))
            if why is not None:
                message = f"{self.query}: {why.format(', '.join(self.names))}"
                self.memo[BROKEN] = message
                return rows[:number], DivergedStream(message)
        return rows, None

    def _check_columns(self, columns: list[str], row: Any) -> None:
        """Raise if the key is not where it is looked for, or the columns differ from before."""
        is_placed = not isinstance(row, Mapping) and hasattr(row, "__getitem__")
        there = columns[: len(self.names)] if is_placed else columns
        if not ({*self.names} <= {*there} if not is_placed else [*self.names] == there):
            raise ValueError(
                f"keyset(key=...) must name the first columns of the query, in their order, got "
                f"{', '.join(self.names)}: the query has the columns {', '.join(columns)}"
            )
        if self.after is None:
            self.memo[COLUMNS] = columns
        elif columns != self.memo.get(COLUMNS, columns):
            raise DivergedStream(
                f"{self.query}: the columns are {', '.join(columns)}, and those of the rows that "
                f"were delivered {', '.join(self.memo[COLUMNS])}"
            )


def _ascend(before: Any, keys: list[Any]) -> bool:
    """Whether the keys ascend strictly as Python compares them, and none is NULL."""
    if not keys:
        return True
    # Of plain keys only the first: a later one that is None cannot be compared.
    values = chain.from_iterable(keys) if isinstance(keys[0], tuple) else keys[:1]
    if None in values:
        return False
    try:
        follows = before is None or bool(before < keys[0])
        return follows and all(map(lt, keys, islice(keys, 1, None)))
    except TypeError:
        return False


def _why_not(before: tuple[Any, ...] | None, key: tuple[Any, ...]) -> str | None:
    """Why a row with this key may not follow, or None if it may."""
    if None in key:
        return "a row has no key, because ({}) is NULL, so the scan could not resume after it"
    for one, two in zip(before or (), key, strict=False):
        if one is None:
            return None  # the first row
        if one != two:
            if not _can_compare(one, two) or one < two:
                return None
            return "the rows are not in ascending order of ({}), so rows could be lost"
    if before is None:
        return None
    return (
        "two rows have the same key ({}), so rows could be lost at a takeover: add columns to the "
        "key until it is unique"
    )


def _can_compare(one: Any, two: Any) -> bool:
    """Whether Python compares two values as a database does."""
    if not (isinstance(one, ORDERED) and isinstance(two, ORDERED)):
        return False
    first: Any = one
    try:
        return (first < two) in {True, False}
    except TypeError:
        return False
