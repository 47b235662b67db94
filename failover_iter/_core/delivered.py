"""The items that a stream has delivered: their count and, if an option needs them, more.

An option may need the last items, a digest of their keys, their size, or a cursor.

In a blocking stream, each item that the driver passes on draws one `True` from `left`, an
`itertools.repeat`: so `itertools.compress` counts in C. The loop of the async driver, and code that
delivers a single item, add to `counted`.
"""

from __future__ import annotations

import sys
from collections import deque
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.cursor import KEPT, Cursor, has_cursor
from failover_iter._core.digest import Measure
from failover_iter._mid_stream import Decide, Progress, Resume, Skip
from failover_iter._validation import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from failover_iter._mid_stream import Key, Size
    from failover_iter._options import Options
    from failover_iter._types import Mode
    from failover_iter.events import Failed

_MANY: Final = sys.maxsize
_NO_MEASURE: Final = (identity(None), identity(None))
_NO_ITEMS: deque[Any] = deque(maxlen=0)  # whatever is put into it, it stays empty: shared


class Delivered:
    """The items that one stream has delivered since its last restart, and in all."""

    # Class attributes are what most streams never change: to make one is half the work then.
    before = 0  # items delivered before the last restart
    #: How many of the last items are kept; `None` = all of them.
    keep: int | None = 0
    items: deque[Any] = _NO_ITEMS
    #: False if a seed says what was delivered before: the keys of those items are unknown.
    digestible = True
    #: A function to call with each delivered item, besides counting it.
    on_item: Callable[[Any], object] | None = None
    #: What replays are compared with, by the identity of key and size: they need not be hashable.
    measures: dict[object, Measure] | None = None
    cursor: Cursor | None = None
    #: Whether the stream has a checkpoint, and what saves in it.
    is_saved = False
    save: Callable[[], object] | None = None
    #: The same for held items of an async stream, awaited.
    asave: Callable[[], Any] | None = None
    now: Callable[[], float]
    #: Whether a `Decide` has decided to restart, and nothing was delivered since.
    holds_restart = False
    #: The items before a restart that was begun by a bookmark, until an item is delivered.
    to_discard: int | None = None
    _memo: dict[str, Any] | None = None

    def __init__(self) -> None:
        self.left = repeat(True, _MANY)
        self.counted = 0
        self.has_delivered = False

    def go_on_from(self, seed: Progress) -> None:
        """Begin where an earlier stream stopped."""
        # What that stream is still to drop, a source of this one yields again.
        count = max(0, seed.delivered - seed.to_replay)
        self.keep_memo(seed.memo)
        if seed.total or seed.delivered:
            self.counted = count
            self.before = max(0, seed.total - count)
            self.has_delivered = True
            self.digestible = not seed.delivered
            items = seed.items or ((seed.last,) if seed.delivered else ())
            self.items.extend(items[: max(0, len(items) - seed.to_replay)])
        if self.cursor is not None:
            self.cursor.go_on_from(seed, count)

    def restore(self, value: Any, count: int, at: int, kept: Any) -> None:
        """Begin where an earlier process stopped: after this many items."""
        self.counted, self.has_delivered, self.digestible = count, count > 0, not count
        if kept is not None:
            self.memo[KEPT] = kept
        cursor: Any = self.cursor  # that was checked
        cursor.restore(value, count, at, kept)

    def mark_processed(self) -> None:
        """The consumer has asked for more: all that was delivered is processed."""
        if self.is_saved and self.cursor is not None:
            self.cursor.mark_processed()

    @property
    def is_save_due(self) -> bool:
        """Whether to save before the next held item."""
        return self.cursor is not None and self.now() >= self.cursor.due

    @property
    def count(self) -> int:
        """Items delivered since the last restart."""
        return self.counted + _MANY - length_hint(self.left)

    @property
    def total(self) -> int:
        """Items delivered in all."""
        return self.before + self.count

    @property
    def to_replay(self) -> int:
        """How many items were delivered after the last bookmark, if the cursor needs bookmarks."""
        cursor = self.cursor
        return 0 if cursor is None or cursor.advance is not None else self.count - cursor.at

    @property
    def milestone(self) -> tuple[int, int]:
        """How far the stream is, in items and in bookmarks."""
        return self.count, 0 if self.cursor is None else self.cursor.bookmarks

    def is_beyond(self, milestone: tuple[int, int]) -> bool:
        """Whether the stream has come further, by an item or a bookmark."""
        count, bookmarks = self.milestone
        return count > milestone[0] or bookmarks > milestone[1]

    @property
    def memo(self) -> dict[str, Any]:
        """A dict for what the sources remember; made when it is asked for."""
        if self._memo is None:
            self._memo = {}
        return self._memo

    def keep_memo(self, memo: dict[str, Any]) -> None:
        """Let this be the memo of the stream from now on."""
        self._memo = memo
        if self.cursor is not None and self.is_saved:
            self.cursor.memo = memo

    def prepare_for(self, options: Options, name: str | None = None) -> bool:
        """Keep from now on what these options need; False if it is too late for that."""
        keep, key, size = _needs(options)
        place = (identity(key), identity(size))
        lacks_items = self.keep is not None and (keep is None or keep > self.keep)
        lacks_measure = place != _NO_MEASURE and place not in (self.measures or ())
        lacks_cursor = self._lacks_cursor(options, name)
        if self.has_delivered and (lacks_items or lacks_measure or lacks_cursor):
            return False
        if lacks_items:
            self.keep, self.items = keep, deque(maxlen=keep)
            self.on_item = self.items.append
        if lacks_measure:
            self.measures = {**(self.measures or {}), place: Measure(key, size)}
        if self.calls_back:
            self.on_item = self._composed()
        return True

    def _composed(self) -> Callable[[Any], object]:
        """One function for all that is done with a delivered item."""
        keep: Callable[[Any], object] = self.items.append
        if self.measures is not None:
            keep = self._keep_and_measure
        if self.cursor is not None and self.cursor.is_saved:
            return self.cursor.counting(keep)
        if self.cursor is not None and self.cursor.advance is not None:
            return self.cursor.folding(keep)
        return keep

    def _lacks_cursor(self, options: Options, name: str | None) -> bool:
        """Add the cursor that these options ask for, if any; True if it misses items."""
        strategy = options.strategy
        if not has_cursor(strategy):
            return False
        if self.cursor is not None:
            self.cursor.check_same(strategy, name)
            return False
        if self.has_delivered and strategy.advance is not None:
            return True
        self.cursor = Cursor(strategy, is_saved=self.is_saved)
        if self.is_saved:
            self.cursor.memo = self.memo
        return False

    @property
    def calls_back(self) -> bool:
        """Whether `on_item` calls functions of the user."""
        cursor = self.cursor
        advances = cursor is not None and (cursor.is_saved or cursor.advance is not None)
        return advances or self.measures is not None

    def note(self, item: Any) -> None:
        """Count one delivered item, and keep it if an option needs that."""
        if self.on_item is not None:
            self.on_item(item)
        self.counted += 1

    def _keep_and_measure(self, item: Any) -> None:
        self.items.append(item)
        for measure in (self.measures or {}).values():
            measure.add(item)

    def measure_of(self, key: Key | None, size: Size | None) -> Measure | None:
        """The measure of the delivered items by these functions, if there is one."""
        return (self.measures or {}).get((identity(key), identity(size)))

    def restart(self) -> None:
        """Forget what was delivered: the items start over."""
        self.before += self.count
        self.counted, self.left = 0, repeat(True, _MANY)
        self.items.clear()
        self.digestible = True
        for measure in (self.measures or {}).values():
            measure.restart()
        if self.cursor is not None:
            self.cursor.restart()

    def restart_at_bookmark(self) -> None:
        """A fresh attempt has yielded a bookmark before its first item: it goes on from there."""
        if self.to_discard is None:
            self.to_discard = self.count
        self.restart()

    def committed(self) -> None:
        """An item is delivered next."""
        self.has_delivered = True
        self.holds_restart = False
        self.to_discard = None
        if self.cursor is not None:
            self.cursor.has_moved = True

    def progress(
        self,
        keep: int | None,
        failures: Sequence[Failed],
        attempt: int,
        *,
        start_over: bool = False,
        mode: Mode | None = None,
        to_replay: int = 0,
        memo: dict[str, Any] | None = None,
    ) -> Progress:
        """Return the `Progress` for a factory that continues here, or starts over."""
        common: dict[str, Any] = {
            "total": self.total,
            "failures": failures,
            "attempt": attempt,
            "to_replay": to_replay,
            "mode": mode,
            "memo": self.memo if memo is None else memo,
        }
        cursor = self.cursor
        if start_over:
            return Progress(cursor=None if cursor is None else cursor.start, **common)
        items = tuple(self.items)
        kept = items if keep is None else items[len(items) - min(keep, len(items)) :]
        return Progress(
            delivered=self.count,
            last=items[-1] if items else None,
            items=kept,
            cursor=None if cursor is None else cursor.shown(),
            **common,
        )


def _needs(options: Options) -> tuple[int | None, Key | None, Size | None]:
    """How many of the last items these options need, and what they compare."""
    strategy = options.strategy
    keep: int | None = 0 if options.complete_when is None else 1
    if isinstance(strategy, Resume | Decide):
        keep = None if strategy.keep is None else max(1, strategy.keep)
    key = strategy.key if isinstance(strategy, Skip | Decide) else None
    return keep, key, strategy.size if isinstance(strategy, Skip) else None
