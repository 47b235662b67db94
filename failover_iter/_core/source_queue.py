"""The sources of one stream: read as they are needed, and which of them were opened before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._core.sources import Entry, read_entry
from failover_iter._validation import identity
from failover_iter.errors import mark_usage_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from failover_iter._options import Options
    from failover_iter._types import Flavour

_REMEMBERED = 64  # sources that count as "opened before"


class Sources:
    """What is left of `factories`, and the last sources that were opened."""

    # Class attributes are what most streams never change: to make one is half the work then.
    _left: Iterator[Any] | None = None
    _index = 0
    _opened: dict[object, object] | None = None
    lazy = False
    #: All of them, where they are known before they are needed.
    known: tuple[Entry, ...] = ()

    def __init__(
        self, entries: tuple[Entry, ...] | Iterable[Any], flavour: Flavour, options: Options
    ) -> None:
        """Take the entries of a list, or a lazy iterable of factories."""
        if isinstance(entries, tuple):
            self.known = entries
        else:
            self.lazy = True
        self._entries = entries
        self._flavour: Flavour = flavour
        self._options = options

    def next(self) -> Entry | None:
        """The next source; None where there is none left."""
        if self._left is None:  # not before: `factories` may be anything
            self._left = iter(self._entries)
        for item in self._left:
            return self._read(item) if self.lazy else item
        return None

    def _read(self, item: object) -> Entry:
        try:
            entry = read_entry(item, self._index, self._flavour, self._options)
        except (TypeError, ValueError) as error:
            raise mark_usage_error(error)  # noqa: B904 (the same error, marked)
        self._index += 1
        return entry

    def opened_before(self, entry: Entry, *, left: Entry) -> bool:
        """Whether this source was opened before; the one that is left was, from here on."""
        opened = self._opened = self._opened or {}
        place = identity(left.factory)
        opened.pop(place, None)
        opened[place] = left.factory  # kept alive, so that its id stays its own
        if len(opened) > _REMEMBERED:
            del opened[next(iter(opened))]
        return identity(entry.factory) in opened
