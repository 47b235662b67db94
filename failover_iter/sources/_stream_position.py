"""Where a reader of a Redis stream is, and whether entries were trimmed before it read them.

Redis drops the oldest entries of a stream that has a MAXLEN or MINID, read or not, and answers the
next XREAD as if nothing had been there. Each read is therefore one transaction that also asks for
the last delivered entry and for XINFO STREAM. As long as that entry is there, or an older one,
nothing after it was trimmed. Otherwise it was trimmed or deleted, and the number of all entries
that were ever added (Redis 7) decides.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, NoReturn

from failover_iter import DivergedStream, Progress

#: Key of `Progress.memo`: how many entries were added before the first that was delivered.
MEMO = "redis_stream added"
#: The position before all entries.
BEGINNING = (0, 0)


def as_text(value: str | bytes) -> str:
    """An id or a key, as the client returns it."""
    return value.decode() if isinstance(value, bytes) else value


def parsed(entry_id: str | bytes) -> tuple[int, int]:
    """The milliseconds and the sequence number of an id."""
    milliseconds, _, number = as_text(entry_id).partition("-")
    return int(milliseconds), int(number or 0)


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
        #: Whether this attempt has looked at the stream before.
        self._has_read = False

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
            self.after, self._has_read = last, True
            if "entries-added" in info:
                self._memo[MEMO] = info["entries-added"] - self._yielded
            return ()
        here = parsed(self.after)
        if parsed(last) < here and self._is_entry:
            self._refuse(f"its last id is {last}, so it has lost entries or was created anew")
        has_last = bool(entries) and parsed(entries[0][0]) == here
        new: Sequence[Any] = entries[1:] if has_last else entries
        self._check(info, new, is_complete=len(entries) <= self.count, has_last=has_last)
        return new

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
        if self._is_entry:
            self._refuse("it no longer exists")
        self._memo[MEMO], self._has_read = -self._yielded, True
        return ()

    def _check(
        self, info: Mapping[str, Any], new: Sequence[Any], *, is_complete: bool, has_last: bool
    ) -> None:
        """Raise if entries between the position and the new ones were trimmed."""
        here, first = parsed(self.after), info["first-entry"]
        has_older = first is not None and parsed(first[0]) < here
        following = len(new)  # how many entries there are after the position
        if not is_complete:
            following = info["length"] - has_last
        added = info.get("entries-added")  # unknown before Redis 7
        is_gone = self._is_entry and not has_last and not has_older
        if not self._is_entry and self._has_read and not has_older:
            self._check_unread(info, following)
        self._has_read = True
        if is_gone and parsed(info["last-generated-id"]) != here:
            base: int | None = self._memo.get(MEMO)
            # The base is 0 or more: so if nothing is missing with 0, nothing is missing.
            lost = 0 if added is None else added - (base or 0) - self._yielded - following
            if added is None or (lost and base is None):
                self._refuse("that entry has gone, and perhaps unread ones as well")
            if lost:
                self._refuse(f"unread entries were trimmed ({lost})")
        if added is not None and (is_complete or not has_older):
            self._memo[MEMO] = added - following - self._yielded

    def _check_unread(self, info: Mapping[str, Any], following: int) -> None:
        """Raise if entries were trimmed that were added while the first one was waited for."""
        deleted = info.get("max-deleted-entry-id")  # by XDEL; unknown before Redis 7
        if deleted is None or parsed(deleted) > parsed(self.after):
            return
        lost = info["entries-added"] - self._memo[MEMO] - self._yielded - following
        if lost > 0:
            self._refuse(f"unread entries were trimmed ({lost})")

    def _refuse(self, why: str) -> NoReturn:
        raise DivergedStream(
            f"{self.name}: cannot continue after {self.after}: {why}; start='0' reads what is left"
        )
