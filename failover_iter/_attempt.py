"""One opening of one source, without its I/O: what it gave, what is held, who is to blame.

Both drivers build on it. Per item it is asked only until the attempt commits; after that a driver
calls `watch`, where there is one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from failover_iter._failures import note_close_error
from failover_iter._options import Decide, Skip
from failover_iter._record import feed, new_digest
from failover_iter.errors import DivergedStream, EmptyStream
from failover_iter.events import Takeover

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core import Open, Run


class Attempt:
    """What both drivers know of an attempt."""

    __slots__ = (
        "at_marker",
        "command",
        "committed",
        "ended",
        "excused",
        "held",
        "iterable",
        "iterator",
        "iterator_closed",
        "key",
        "received",
        "replayed",
        "run",
        "thrown",
        "to_skip",
        "value",
    )

    def __init__(self, run: Run, command: Open) -> None:
        """Know what to open; nothing is called yet."""
        self.run = run
        self.command = command
        self.iterable: Any = None
        self.iterator: Any = None
        self.iterator_closed = False
        self.held: deque[Any] = deque()
        self.received = 0
        self.to_skip = command.skip
        way = command.entry.options.way
        self.key = way.key if command.skip and isinstance(way, Skip | Decide) else None
        self.replayed = None if self.key is None else new_digest()
        self.committed = False
        self.at_marker = False
        #: The source has ended; `value` is what it returned.
        self.ended = False
        self.value: Any = None
        #: What is raised now is the consumer's or a callback's, never a failure of the source.
        self.excused = False
        #: It is what the consumer threw, or what came of that.
        self.thrown = False

    @property
    def watch(self) -> Callable[[Any], None] | None:
        """What has to be called with each item that is delivered; None: nothing is recorded."""
        return self.note if self.run.record.needs else None

    def note(self, item: Any) -> None:
        """Take note of an item that is delivered."""
        self.excused = True
        self.run.record.deliver(item)
        self.excused = False

    def opening(self) -> None:
        """Tell that the factory is going to be called."""
        self.excused = True
        self.run.opening()
        self.excused = False

    def opened(self, *, ended: bool) -> None:
        """Check what the factory gave; `ended` = a generator that has ended already."""
        self.excused = True
        self.run.opened(ended=ended)
        self.excused = False

    def receive(self, item: Any) -> bool:
        """Hold or drop an item that came before the commit; True when that comes with it."""
        if type(item) is Takeover:
            if not self.to_skip:
                self.held.append(item)
            return False
        self.received += 1
        met = self._meets_commit(item)
        if self.to_skip:
            self._replay(item)
        else:
            self.held.append(item)
        return met and bool(self.held)

    def _meets_commit(self, item: Any) -> bool:
        """Whether the attempt has shown that it is good; replayed items count too."""
        if self.committed:
            return True
        commit_when = self.command.entry.options.commit_when
        if callable(commit_when):
            self.excused = True
            self.committed = bool(commit_when(item))
            self.excused = False
        else:
            self.committed = self.received >= commit_when
        return self.committed

    def _replay(self, item: Any) -> None:
        self.to_skip -= 1
        if self.key is None or self.replayed is None:
            return
        self.excused = True
        feed(self.replayed, self.key(item))
        self.excused = False
        delivered = self.run.record.digests[id(self.key)]
        if self.to_skip == 0 and self.replayed.digest() != delivered.digest():
            raise self._diverged("replayed other items than the {} that were delivered: their keys differ")

    def commit(self) -> None:
        """Start to deliver: the marker first, then what is held."""
        self.excused = True
        self.run.committed()
        self.excused = False
        if self.command.marker is not None:
            self.held.appendleft(self.command.marker)

    def finish(self, value: Any) -> None:
        """The source ended before the attempt committed."""
        self.ended, self.value = True, value
        if self.to_skip:
            raise self._diverged(f"ended after {self.received} of the {{}} items that were delivered")
        if not self.committed and not self.command.entry.options.allow_empty:
            name = self.command.entry.name
            raise EmptyStream(f"{name} ended before commit_when was met" if self.received else f"{name} ended without an item")
        if any(type(item) is not Takeover for item in self.held):
            self.commit()

    def hand_out(self) -> Any:
        """Take the next held item: with this it counts as delivered."""
        item = self.held.popleft()
        self.at_marker = type(item) is Takeover
        self.note(item)
        return item

    def takes_no_value(self) -> bool:
        """Whether a sent value is ignored: it answers a marker, or the source has ended."""
        return self.at_marker or (self.ended and not self.held)

    def refuse_if_held(self, value: Any) -> None:
        """Refuse a value that is sent while items are held: the source is ahead of it."""
        if self.held:
            self.excused = True
            raise TypeError(
                f"cannot send {value!r} while held items are handed out (commit_when): "
                f"{self.command.entry.name} is {len(self.held)} items ahead"
            )

    def settle(self, errors: list[BaseException]) -> Exception | None:
        """Give the error of closing, the later ones in its notes; raise it if it is no Exception."""
        if not errors:
            return None
        errors.sort(key=lambda error: isinstance(error, Exception))  # stable: Ctrl-C comes first
        first, *others = errors
        errors.clear()
        for other in others:
            note_close_error(first, self.command.entry.name, other)
        if isinstance(first, Exception):
            return first
        self.run.closed(first, None, theirs=False)
        try:
            raise first
        finally:
            del first, others

    def _diverged(self, how: str) -> DivergedStream:
        return DivergedStream(f"{self.command.entry.name} {how.format(self.command.skip)}")

    def release(self) -> None:
        """Let go of everything, for the frames in a traceback may hold on to this attempt."""
        del self.run, self.command, self.iterable, self.iterator
        self.held.clear()
