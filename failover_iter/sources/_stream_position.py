"""Where a reader of a Redis stream is, and whether entries were trimmed before it read them.

Redis drops the oldest entries of a stream that has a MAXLEN or MINID, read or not, and answers the
next XREAD as if nothing had been there. Each read is therefore one transaction that also asks for
the last delivered entry and for XINFO STREAM. As long as that entry is there, or an older one,
nothing after it was trimmed. Otherwise it was trimmed or deleted, and the number of all entries
that were ever added (Redis 7) decides.

Before the first entry there is none to ask for. Each read then compares what there is with what the
read before it has seen, perhaps on another connection: the entry that was first is still there, or
nothing was added. Otherwise the number decides again.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from failover_iter import DivergedStream, Progress

#: Key of `Progress.memo`: the last `Look` at the stream.
MEMO = "redis_stream look"
#: The entry of `Progress.memo` that a checkpoint saves: that the cursor is the id of an entry.
SAVED, IS_ENTRY = "checkpoint", "entry"
#: The position before all entries.
BEGINNING = (0, 0)

#: Why it cannot be told whether unread entries were trimmed.
ENTRY_GONE = "that entry has gone, and perhaps unread ones as well"
FIRST_GONE = (
    "entries were added or trimmed before the first one was read, and a server before Redis 7 does "
    "not say how many there were"
)


def as_text(value: str | bytes) -> str:
    """An id or a key, as the client returns it."""
    return value.decode() if isinstance(value, bytes) else value


def parsed(entry_id: str | bytes) -> tuple[int, int]:
    """The milliseconds and the sequence number of an id."""
    milliseconds, _, number = as_text(entry_id).partition("-")
    return int(milliseconds), int(number or 0)


@dataclass(frozen=True, slots=True)
class Look:
    """The state of the stream at one read, for the next one to compare.

    Attributes:
        last: the id of the entry that was added last.
        first: the id of the entry that is to be delivered first.
        added: how many entries had been added before the first one that was delivered, and not
            unread ones; None if that is unknown.
        deleted: the largest id that was ever deleted (XDEL), when they were counted.
    """

    last: str = "0-0"
    first: str | None = None
    added: int | None = None
    deleted: str = "0-0"


class Position:
    """The position of one attempt.

    Attributes:
        after: the id of the last entry that was yielded, or where to start; "$" before it is known.
    """

    def __init__(self, name: str, progress: Progress[Any], count: int) -> None:
        self.name, self.count = name, count
        self.after: str = progress.cursor
        self._memo: MutableMapping[str, Any] = progress.memo
        self._yielded = progress.delivered
        #: Whether an earlier process delivered the entry at the position.
        self._is_restored = progress.last is None and self._is_of_entry(progress)
        self._restored: Any = None

    def _is_of_entry(self, progress: Progress[Any]) -> bool:
        """Whether the position is that of a delivered entry, and not where to start."""
        if progress.delivered:
            return True
        if MEMO not in self._memo:  # the first attempt of this process
            return self._memo.get(SAVED) == IS_ENTRY
        self._memo.pop(SAVED, None)  # the entries of the last attempt were discarded
        return False

    def take(self, info: Any, entries: Any) -> Sequence[Any]:
        """The new entries, from the answers to XINFO STREAM, and to XRANGE from `after` on.

        Raises:
            DivergedStream: entries after the position were trimmed, or are of another stream.
        """
        if isinstance(entries, Exception):
            raise entries
        if isinstance(info, Exception):
            if "no such key" not in str(info):
                raise info
            return self._nothing()
        last = as_text(info["last-generated-id"])
        if self.after == "$":
            self.after = last
            self._memo[MEMO] = self._look(info, following=0, first=None)
            return ()
        here = parsed(self.after)
        if parsed(last) < here and self._is_entry:
            self._refuse(f"its last id is {last}, so it has lost entries or was created anew")
        has_last = bool(entries) and parsed(entries[0][0]) == here
        if has_last and self._is_restored:
            self._restored = entries[0]
        self._is_restored = False
        new: Sequence[Any] = entries[1:] if has_last else entries
        self._check(info, new, is_complete=len(entries) <= self.count, has_last=has_last)
        if new:
            self._memo[SAVED] = IS_ENTRY
        return new

    def pop_restored(self) -> Any:
        """The entry at the position, once, if an earlier process delivered it; or None."""
        entry, self._restored = self._restored, None
        return entry

    @property
    def _is_entry(self) -> bool:
        """Whether the position is that of an entry, and not a time or the beginning."""
        return "-" in self.after and parsed(self.after) != BEGINNING

    def advance(self, new: Sequence[Any]) -> None:
        """Go on behind these entries."""
        if new:
            self.after = as_text(new[-1][0])
            self._yielded += len(new)

    def _nothing(self) -> Sequence[Any]:
        """Nothing: the stream does not exist, which is right only before the first entry."""
        if self.after == "$":
            self.after = "0-0"
        if self._is_entry or parsed(self._memo.get(MEMO, Look()).last) != BEGINNING:
            self._refuse("it no longer exists")
        self._memo[MEMO] = Look(added=-self._yielded)
        return ()

    def _check(
        self, info: Mapping[str, Any], new: Sequence[Any], *, is_complete: bool, has_last: bool
    ) -> None:
        """Raise if entries between the position and the new ones were trimmed."""
        oldest = info["first-entry"]
        has_older = oldest is not None and parsed(oldest[0]) < parsed(self.after)
        first = as_text(new[0][0]) if new else None
        # How many entries there are after the position; if there are older ones, it may be more.
        following = len(new) if is_complete else info["length"] - has_last
        if not (has_last or has_older or self._is_as_before(info, first)):
            self._check_count(info, following)
        self._remember(self._look(info, following, first), is_exact=is_complete or not has_older)

    def _remember(self, look: Look, *, is_exact: bool) -> None:
        """Keep what was seen. `is_exact`: the unread entries were counted."""
        before = self._memo.get(MEMO, Look())
        if self._is_entry:  # which may be discarded, so that the stream is before the first again
            look = replace(look, first=before.first)
        if not is_exact:
            look = replace(look, added=before.added, deleted=before.deleted)
        self._memo[MEMO] = look

    def _is_as_before(self, info: Mapping[str, Any], first: str | None) -> bool:
        """Whether no unread entry can have gone since the stream was seen last."""
        last = parsed(info["last-generated-id"])
        if self._is_entry:
            return last == parsed(self.after)
        before: Look | None = self._memo.get(MEMO)
        if before is None or last < parsed(before.last):  # it is a replica that is behind
            return True
        return last == parsed(before.last) if before.first is None else first == before.first

    def _check_count(self, info: Mapping[str, Any], following: int) -> None:
        """Raise unless all entries that were ever added are accounted for."""
        look = self._memo.get(MEMO, Look())
        added = info.get("entries-added")  # unknown before Redis 7
        # The base is 0 or more: so if nothing is missing with 0, nothing is missing.
        lost = 0 if added is None else added - (look.added or 0) - self._yielded - following
        if added is None or (lost and look.added is None):
            self._refuse(ENTRY_GONE if self._is_entry else FIRST_GONE)
        deleted = parsed(info.get("max-deleted-entry-id", "0-0"))
        if lost and deleted > max(parsed(self.after), parsed(look.deleted)):
            lost -= 1  # that one
        if lost:
            self._refuse(f"unread entries were trimmed ({lost})")

    def _look(self, info: Mapping[str, Any], following: int, first: str | None) -> Look:
        added = info.get("entries-added")
        return Look(
            last=as_text(info["last-generated-id"]),
            first=first,
            added=None if added is None else added - following - self._yielded,
            deleted=as_text(info.get("max-deleted-entry-id", "0-0")),
        )

    def _refuse(self, why: str) -> NoReturn:
        raise DivergedStream(
            f"{self.name}: cannot continue after {self.after}: {why}; start='0' reads what is left"
        )
