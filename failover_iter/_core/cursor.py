"""Where a stream is, in the terms of its sources: a fold over the delivered items.

`advance` computes the next cursor from each delivered item, and a `Bookmark` sets it. A cursor
without `advance` moves by bookmarks alone. It is then behind the stream by the items that were
delivered after the last bookmark: the next attempt replays these, and the stream drops them.
"""

from __future__ import annotations

from math import inf
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from failover_iter._core.usage import mark_usage_error
from failover_iter._mid_stream import Decide, Resume, deep_copy
from failover_iter._types import UNSET
from failover_iter._validation import identity, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from failover_iter._mid_stream import Progress


#: What an `on_item` returns if the driver has to save first: it has not looked at the item.
SAVE: Final[Any] = object()
#: Which entry of `Progress.memo` a checkpoint saves.
KEPT: Final = "checkpoint"
#: What JSON makes, and anyone can change.
_CHANGEABLE: Final = frozenset[type]({dict, list})


def _own(value: Any) -> Any:
    """A copy of a cursor that can be changed in place, as JSON knows them.

    A saved cursor must not change when a source or `advance` continues.
    """
    return deep_copy(value) if type(value) in _CHANGEABLE else value


def has_cursor(strategy: object) -> TypeGuard[Resume | Decide]:
    """Whether sources with this strategy have a cursor."""
    return isinstance(strategy, Resume | Decide) and (
        strategy.start is not UNSET or strategy.advance is not None
    )


class Cursor:
    """The cursor of one stream."""

    #: When to save it; never without a checkpoint.
    due = inf
    #: Where the stream was when the consumer asked last, so that all before it is processed.
    position: tuple[Any, int, int, Any] = (None, 0, 0, None)
    #: The entry `KEPT` of the memo when the stream last moved. An attempt that has delivered
    #: nothing may have changed it since, for a start that was then discarded.
    kept: Any = None

    def __init__(self, strategy: Resume | Decide, *, is_saved: bool = False) -> None:
        self._strategy = strategy
        #: Whether the stream has a checkpoint.
        self.is_saved = is_saved
        #: The memo of the stream, if the stream has a checkpoint.
        self.memo: Mapping[str, Any] = {}
        self.advance: Any = strategy.advance
        #: How many bookmarks have set it.
        self.bookmarks = 0
        self.restart()

    @property
    def start(self) -> Any:
        """A copy of the cursor at the start of the stream."""
        start = self._strategy.start
        return None if start is UNSET else deep_copy(start)

    def restart(self) -> None:
        """Go back to the start: the items start over."""
        self.value = self.start
        #: Whether `value` may differ from `start`.
        self.has_moved = False
        #: How many items had been delivered, since the last restart, where it was set.
        self.at = 0
        #: How many items are folded in; counted for a checkpoint.
        self.folded = 0

    def shown(self) -> Any:
        """The cursor for a factory, which may change its own copy of `start`."""
        if not self.has_moved:
            return self.start
        return _own(self.value) if self.is_saved else self.value

    def folding(self, keep: Callable[[Any], object]) -> Callable[[Any], None]:
        """Return a function that keeps a delivered item, and folds it in."""
        advance = self.advance

        def fold(item: Any) -> None:
            keep(item)
            try:
                self.value = advance(self.value, item)
            except StopIteration as leak:  # called from C, it would be the end of the source
                raise RuntimeError("the function of advance raised StopIteration") from leak

        return fold

    def counting(self, keep: Callable[[Any], object]) -> Callable[[Any], None]:
        """The same for a checkpoint: note where the stream is, and count."""
        advance = self.advance

        def note(item: Any) -> None:
            value, folded, memo = self.value, self.folded, self.memo
            kept = memo.get(KEPT) if memo else None
            if kept is not self.kept:
                self.kept = kept
            self.position = (value, folded, self.at, kept)
            keep(item)
            if advance is not None:
                if type(value) in _CHANGEABLE:
                    value = deep_copy(value)
                try:
                    self.value = advance(value, item)
                except StopIteration as leak:  # as in `folding`
                    raise RuntimeError("the function of advance raised StopIteration") from leak
            self.folded = folded + 1

        return note

    def mark_processed(self) -> None:
        """The consumer has asked for more: all that was delivered is processed."""
        self.position = (self.value, self.folded, self.at, self.kept)

    def restore(self, value: Any, count: int, at: int, kept: Any) -> None:
        """Begin where an earlier process stopped."""
        self.value, self.folded, self.at, self.has_moved = value, count, at, True
        self.kept = kept

    def check(self) -> None:
        """Refuse an `advance` that returns a coroutine; asked after the first items."""
        value: object = self.value
        if isinstance(value, CoroutineType):
            value.close()
            raise mark_usage_error(
                TypeError("the function of advance must return a cursor, got a coroutine")
            )

    def move(self, value: Any, at: int) -> None:
        """Set the cursor to a bookmark that comes after this many delivered items."""
        self.value, self.at, self.has_moved = _own(value) if self.is_saved else value, at, True
        self.kept = self.memo.get(KEPT)
        self.bookmarks += 1

    def go_on_from(self, seed: Progress, at: int) -> None:
        """Begin where an earlier stream stopped, after this many items."""
        if seed.cursor is not None:
            self.value, self.at, self.has_moved = seed.cursor, at, True
        elif seed.delivered and self.start is not None:
            raise ValueError(
                f"progress.cursor must say where to continue after {seed.delivered} delivered "
                "items, got None: pass the progress of a stream with the same cursor as "
                f"{self._strategy}"
            )

    def check_same(self, strategy: Resume | Decide, name: str | None) -> None:
        """Refuse a source with another cursor: there is one cursor for a stream."""
        if self._is_same(strategy):
            return
        whose = "the stream" if name is None else f"source {name!r}"
        raise mark_usage_error(
            ValueError(
                f"the sources of a stream share one cursor, so start and advance must be the same "
                f"for all of them (use a module-level function for advance): {whose} has "
                f"{_pair(strategy)}, another one {_pair(self._strategy)}"
            )
        )

    def _is_same(self, strategy: Resume | Decide) -> bool:
        mine, other = self._strategy, strategy
        if identity(mine.advance) != identity(other.advance):
            return False
        if mine.start is other.start:
            return True
        try:
            return type(mine.start) is type(other.start) and bool(mine.start == other.start)
        except Exception:  # noqa: BLE001 (objects of others: they cannot be compared)
            return False


def _pair(strategy: Resume | Decide) -> str:
    return f"start={shown(strategy.start)}, advance={shown(strategy.advance)}"
