"""One opening of one source, as the core sees it: held items, replayed items, the commit.

The core passes an `Attempt` to the driver, which opens the source and keeps the opened object in a
`SyncSource` or `AsyncSource`. The driver asks the attempt about each item only until it commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.cursor import SAVE
from failover_iter._core.digest import Measure, size_of
from failover_iter._core.usage import as_bool, mark_usage_error
from failover_iter._mid_stream import Bookmark
from failover_iter._types import UNSET
from failover_iter._validation import shown
from failover_iter.errors import DivergedStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_iter._core.cursor import Cursor
    from failover_iter._core.deadlines import SourceDeadline
    from failover_iter._core.delivered import Delivered
    from failover_iter._core.race import Race
    from failover_iter._core.sources import ResolvedSource
    from failover_iter._mid_stream import Size
    from failover_iter._types import Mode
    from failover_iter.events import Takeover


class Attempt:
    """An opening of a source: nothing is called yet."""

    #: The arguments of the factory.
    args: tuple[Any, ...] = ()
    # Class attributes are what most attempts never change: to make one is half the work then.
    #: How many items are still to be dropped, and how many there were at first; or their size.
    to_replay = 0
    skipped = 0
    #: The measure of the delivered items, and that of the dropped ones.
    measure: Measure | None = None
    _replayed: Measure | None = None
    #: Whether the source has a cursor: a `Bookmark` from it is not an item.
    has_cursor = False
    #: Whether it has yielded a bookmark.
    is_alive = False
    _has_restarted = False
    is_committed = False
    #: How many items the stream may have, and the index of the level that says so.
    most: int | None = None
    most_level = 0
    _held_items = 0
    #: The race that it takes part in. Until that is decided, it changes nothing of the stream: it
    #: has a memo that is a copy, and its last bookmark before an item is kept here.
    race: Race | None = None
    _memo: dict[str, Any] | None = None
    _early: tuple[Bookmark, int] | None = None
    #: The marker to yield before the first item, if takeovers are marked.
    marker: Takeover | None = None
    #: The marker was delivered last: a value that the consumer sends now is ignored.
    at_marker = False
    deadline: SourceDeadline | None = None
    #: The error of a source that replayed other items, or yielded one item too many.
    diverged: DivergedStream | None = None
    #: The same error, if it yielded one item too many.
    surplus: DivergedStream | None = None

    def __init__(
        self,
        source: ResolvedSource,
        mode: Mode | None,
        delivered: Delivered,
        conditions: Iterable[Any],
    ) -> None:
        self.source = source
        self.received = 0
        self.mode = mode
        self.delivered = delivered
        #: Conditions that are not met yet, before the commit: numbers of items, and predicates.
        self.unmet = list(conditions)
        #: Items received before the commit. After it they are in reverse: the next one is last.
        self.held: list[Any] = []

    def replay(self, count: int, measure: Measure | None = None) -> None:
        """Drop this many items first, or as much by size: the stream has delivered them already."""
        self.to_replay = self.skipped = count
        self.measure = measure
        if measure is not None:
            self._replayed = Measure(measure.key, measure.size)

    def receive(self, item: Any) -> bool:
        """Hold or drop an item that arrived before the commit.

        Returns True if there is nothing more to wait for: the attempt commits, or it has failed
        (`diverged`).
        """
        if self.has_cursor and type(item) is Bookmark:
            self._receive_bookmark(item)
            return False
        self.received += 1
        if self.deadline is not None:
            self.deadline.received = True
        if self.unmet:  # replayed items count too
            self.unmet = [each for each in self.unmet if not self._meets(each, item)]
        if self.to_replay:
            item = self._replay(item)
            if item is _DROPPED:
                return self.diverged is not None
        if self.most is not None:
            self._held_items += 1
            delivered = 0 if self._starts_over else self.delivered.count
            if delivered + self._held_items > self.most:
                self._one_too_many()
                return True
        self.held.append(item)
        return not self.unmet

    def _meets(self, condition: int | Callable[[Any], bool], item: Any) -> bool:
        if callable(condition):
            return as_bool("commit_when", condition(item))
        return self.received >= condition

    # Items that were delivered already.

    def _replay(self, item: Any) -> Any:
        """Drop an item; of one that is only partly a replay, return the new part."""
        replayed, rest = self._replayed, _DROPPED
        if replayed is not None and replayed.size is not None:
            size = size_of(replayed.size, item)
            if size > self.to_replay:
                item, rest = _split(item, self.to_replay, replayed.size)
            self.to_replay -= min(size, self.to_replay)
        else:
            self.to_replay -= 1
        if replayed is not None and self.measure is not None:
            replayed.add(item)
            if not self.to_replay and not self.measure.has_same_keys(replayed):
                self.diverged = DivergedStream(
                    f"{self.source.name} replayed other items than the {self._skipped} that were "
                    "delivered: their keys differ"
                )
                return _DROPPED
        return rest

    @property
    def is_sized(self) -> bool:
        """Whether what is dropped is counted in size, not in items."""
        return self.measure is not None and self.measure.size is not None

    @property
    def _skipped(self) -> str:
        return f"{self.skipped} (in size)" if self.is_sized else f"{self.skipped}"

    def ended_short(self) -> DivergedStream | None:
        """The error of a source that ended before it had replayed what was delivered."""
        if not self.to_replay:
            return None
        return DivergedStream(
            f"{self.source.name} ended after {self.skipped - self.to_replay} of the "
            f"{self._skipped} items that were delivered"
        )

    # Bookmarks, and items that are too many.

    @property
    def is_sifted(self) -> bool:
        """Whether an item of the source may be one that is not delivered."""
        return self.has_cursor or self.most is not None

    @property
    def on_item(self) -> Callable[[Any], object] | None:
        """Called with each item after the commit; true if that must not be delivered."""
        on_item = self.delivered.on_item
        if self.most is not None:
            on_item = self._sift_surplus(on_item, self.most)
        if not self.has_cursor:
            return on_item
        cursor, save = self.delivered.cursor, self.delivered.save
        if cursor is None or save is None:
            return self._sift_bookmarks(on_item)
        return self._sift_and_save(on_item, cursor, save)

    def _sift_bookmarks(self, on_item: Any) -> Callable[[Any], object]:
        def sift(item: Any) -> object:
            if type(item) is Bookmark:
                self._take(item)
                return True
            return on_item(item)  # a stream with a cursor keeps the last item

        return sift

    def _sift_and_save(
        self, on_item: Any, cursor: Cursor, save: Callable[[], object]
    ) -> Callable[[Any], object]:
        """The same with a checkpoint: what came before is processed, for the consumer has asked."""
        now = self.delivered.now

        def sift(item: Any) -> object:
            if now() >= cursor.due and save() is SAVE:
                return SAVE
            if type(item) is Bookmark:
                self._take(item)
                return True
            return on_item(item)

        return sift

    def _sift_surplus(self, on_item: Any, most: int) -> Callable[[Any], object]:
        delivered = self.delivered

        def sift(item: Any) -> object:
            if delivered.count >= most:
                raise self._one_too_many()
            return None if on_item is None else on_item(item)

        return sift

    def counting(self, on_item: Callable[[Any], object]) -> Callable[[Any], object]:
        """The same function; it also counts the items that are delivered.

        A bookmark and a limit to the items need the count while the loop runs.
        """
        delivered = self.delivered

        def count(item: Any) -> object:
            answer = on_item(item)
            if not answer:
                delivered.counted += 1
            return answer

        return count

    def note(self, item: Any) -> bool:
        """Count an item that arrived after the commit; False if it must not be delivered."""
        if self.is_sifted and not self.admits(item):
            return False
        self.delivered.note(item)
        return True

    def admits(self, item: Any) -> bool:
        """Whether to deliver an item that arrived after the commit; a bookmark takes effect.

        Raises an error of the source if it is one item too many.
        """
        if self.has_cursor and type(item) is Bookmark:
            self._take(item)
            return False
        if self.most is not None and self.delivered.count >= self.most:
            raise self._one_too_many()
        return True

    def _one_too_many(self) -> DivergedStream:
        self.surplus = self.diverged = DivergedStream(
            f"{self.source.name} yielded an item after the {self.most} that were expected "
            "(expect_items)"
        )
        return self.surplus

    def _receive_bookmark(self, bookmark: Bookmark) -> None:
        self.is_alive = True
        if self.deadline is not None:
            self.deadline.restart_idle()
        if self.held:
            self.held.append(bookmark)  # it takes effect after the items before it
        elif self.race is None:
            self._take(bookmark, self.to_replay)
        elif bookmark.cursor is not UNSET:
            self._early = bookmark, self.to_replay

    def _take(self, bookmark: Bookmark, to_replay: int = 0) -> None:
        """Let a bookmark take effect: all items before it were delivered, or dropped."""
        delivered, cursor = self.delivered, self.delivered.cursor
        if bookmark.cursor is UNSET or cursor is None:
            return
        delivered.holds_restart = False
        if self._starts_over:
            delivered.restart_at_bookmark()
            self._has_restarted = True
        # A position among dropped items is known in items only, and behind a cursor that advances.
        if not to_replay or (cursor.advance is None and not self.is_sized):
            cursor.move(bookmark.cursor, delivered.count - to_replay)

    @property
    def _starts_over(self) -> bool:
        """Whether the items start over, and neither a commit nor a bookmark has begun that."""
        return self.mode == "restart" and not (self.is_committed or self._has_restarted)

    # In a race.

    @property
    def memo(self) -> dict[str, Any]:
        """The memo for the source: that of the stream, or a copy while others run beside it."""
        if self.race is None:
            return self.delivered.memo
        if self._memo is None:
            self._memo = dict(self.delivered.memo)
        return self._memo

    def leave_race(self) -> None:
        """It has decided the race: what it has learned holds for the stream."""
        self.race = None
        if self._memo is not None:
            self.delivered.keep_memo(self._memo)
        if self._early is not None:
            self._take(*self._early)

    # After the commit.

    def commit(self) -> None:
        """Deliver from now on: first the marker, then the held items."""
        if self._starts_over:
            self.delivered.restart()
        self.delivered.committed()
        self.is_committed = True
        self.held.reverse()
        if self.marker is not None:
            self.held.append(self.marker)

    def pop_held(self) -> Any:
        """Remove the next held item, which counts as delivered."""
        item = self.held.pop()
        self.at_marker = self.marker is not None
        if self.at_marker:
            self.marker = None
            return item
        self.delivered.note(item)
        if self.delivered.cursor is not None:
            self.delivered.cursor.check()
        if self.has_cursor:
            while self.held and type(self.held[-1]) is Bookmark:
                self._take(self.held.pop())
        return item

    def check_sent(self, value: Any) -> None:
        """Refuse a value that is sent while items are held: the source is ahead of it."""
        if self.held:
            raise TypeError(
                f"cannot send {shown(value)} while held items are delivered (commit_when): "
                f"{self.source.name} is ahead by {len(self.held)}"
            )


_DROPPED: Final[Any] = object()  # instead of an item


def _split(item: Any, seam: int, size: Size) -> tuple[Any, Any]:
    """The part of an item that was delivered already, and the new part."""
    try:
        old, new = item[:seam], item[seam:]
    except Exception as error:
        raise mark_usage_error(
            TypeError(
                "Skip(size=...) slices the item across the seam, so items must be bytes, str or "
                f"other sequences, got {type(item).__name__}"
            )
        ) from error
    if size_of(size, old) != seam:
        raise mark_usage_error(
            TypeError(
                "the function of size must count what a slice counts, as len does: the first "
                f"{seam} of {shown(item)} have size {size_of(size, old)}"
            )
        )
    return old, new
