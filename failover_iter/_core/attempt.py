"""One opening of one source, as the core sees it: held items, replayed items, the commit.

The core passes an `Attempt` to the driver, which opens the source and keeps the opened object in a
`SyncSource` or `AsyncSource`. The driver asks the attempt about each item only until it commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._core.delivered import new_digest, update_digest
from failover_iter._core.usage import as_bool
from failover_iter._validation import shown
from failover_iter.errors import DivergedStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from hashlib import blake2b

    from failover_iter._core.deadlines import SourceDeadline
    from failover_iter._core.delivered import Delivered
    from failover_iter._core.sources import ResolvedSource
    from failover_iter._mid_stream import Key
    from failover_iter._types import Mode
    from failover_iter.events import Takeover


class Attempt:
    """An opening of a source: nothing is called yet."""

    # Class attributes are what most attempts never change: to make one is half the work then.
    #: How many items are still to be dropped, and how many there were at first.
    to_replay = 0
    skipped = 0
    key: Key | None = None
    _replayed: blake2b | None = None
    #: The marker to yield before the first item, if takeovers are marked.
    marker: Takeover | None = None
    #: The marker was delivered last: a value that the consumer sends now is ignored.
    at_marker = False
    deadline: SourceDeadline | None = None
    #: The error of a source that replayed other items.
    diverged: DivergedStream | None = None

    def __init__(
        self,
        source: ResolvedSource,
        args: tuple[Any, ...],
        mode: Mode | None,
        delivered: Delivered,
        conditions: Iterable[Any],
    ) -> None:
        self.source = source
        self.args = args
        self.received = 0
        self.mode = mode
        self.delivered = delivered
        #: Conditions that are not met yet, before the commit: numbers of items, and predicates.
        self.unmet = list(conditions)
        #: Items received before the commit. After it they are in reverse: the next one is last.
        self.held: list[Any] = []

    def replay(self, count: int, key: Key | None) -> None:
        """Drop this many items first: the stream has delivered them already."""
        self.to_replay = self.skipped = count
        if key is not None:
            self.key, self._replayed = key, new_digest()

    def receive(self, item: Any) -> bool:
        """Hold or drop an item that arrived before the commit.

        Returns True if there is nothing more to wait for: the attempt commits, or it has failed
        (`diverged`).
        """
        self.received += 1
        if self.deadline is not None:
            self.deadline.received = True
        if self.unmet:  # replayed items count too
            self.unmet = [each for each in self.unmet if not self._meets(each, item)]
        if self.to_replay:
            self._replay(item)
            return self.diverged is not None
        self.held.append(item)
        return not self.unmet

    def _meets(self, condition: int | Callable[[Any], bool], item: Any) -> bool:
        if callable(condition):
            return as_bool("commit_when", condition(item))
        return self.received >= condition

    def _replay(self, item: Any) -> None:
        self.to_replay -= 1
        if self.key is None or self._replayed is None:
            return
        update_digest(self._replayed, self.key, item)
        if not self.to_replay and not self.delivered.has_digest(self.key, self._replayed):
            self.diverged = DivergedStream(
                f"{self.source.name} replayed other items than the {self.skipped} that were "
                "delivered: their keys differ"
            )

    def ended_short(self) -> DivergedStream | None:
        """The error of a source that ended before it had replayed what was delivered."""
        if not self.to_replay:
            return None
        return DivergedStream(
            f"{self.source.name} ended after {self.received} of the {self.skipped} items that were "
            "delivered"
        )

    def commit(self) -> None:
        """Deliver from now on: first the marker, then the held items."""
        self.held.reverse()
        if self.marker is not None:
            self.held.append(self.marker)

    def pop_held(self) -> Any:
        """Remove the next held item, which counts as delivered."""
        item = self.held.pop()
        self.at_marker = self.marker is not None
        if self.at_marker:
            self.marker = None
        else:
            self.delivered.note(item)
        return item

    def check_sent(self, value: Any) -> None:
        """Refuse a value that is sent while items are held: the source is ahead of it."""
        if self.held:
            raise TypeError(
                f"cannot send {shown(value)} while held items are delivered (commit_when): "
                f"{self.source.name} is ahead by {len(self.held)}"
            )
