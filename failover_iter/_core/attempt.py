"""One opening of one source, without its I/O: what it gave, what is held, who is to blame.

Both drivers build on it. Per item it is asked only until the attempt commits; after that a driver
calls `watch`, where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.delivered import feed, new_digest
from failover_iter._core.failures import note_close_error
from failover_iter._validation import as_bool, identity
from failover_iter.errors import DivergedStream, EmptyStream, StreamTimeout
from failover_iter.events import Takeover

if TYPE_CHECKING:
    from collections.abc import Callable
    from hashlib import blake2b
    from typing import TypeGuard

    from failover_iter._core.commands import Open
    from failover_iter._core.deadlines import Limits
    from failover_iter._core.run import Run
    from failover_iter._mid_stream import Key


_RESTART: Final = object()  # stands before the item with which a stream inside starts over


class Attempt:
    """What both drivers know of an attempt."""

    # Class attributes are what most attempts never change: to make one is half the work then.
    iterable: Any = None
    iterator: Any = None
    iterator_closed = False
    received = 0
    committed = False
    #: The item that was handed out last is a marker.
    at_marker = False
    #: The source has ended; `value` is what it returned.
    ended = False
    value: Any = None
    #: What is raised now is the consumer's or a callback's, never a failure of the source.
    excused = False
    #: It is what the consumer threw, or what came of that.
    thrown = False
    to_skip = 0
    replayed_inside = 0
    key: Key | None = None
    replayed: blake2b | None = None
    limits: Limits | None = None
    #: What has to be called with each item that is delivered; None: nothing is recorded.
    watch: Callable[[Any], None] | None = None
    #: It is enough to count items, markers aside, and to know the last one.
    counts_only = False

    def __init__(self, run: Run, command: Open) -> None:
        """Know what to open; nothing is called yet."""
        self.run = run
        self.command = command
        self.entry = command.entry
        #: What was received before the commit; from there on in reverse, the next one last.
        self.held: list[Any] = []
        record = run.record
        if record.is_watched:
            if record.digests or command.handover is not None:
                self.watch = self._note
            else:
                self.watch, self.counts_only = record.deliver, record.keeps_last
        if self.entry.nests:
            # What is skipped is judged and dropped inside; so is what comes before a commit there.
            nested: Any = self.entry.factory
            same = nested.options.commit_when == self.entry.options.commit_when
            self.replayed_inside, self.committed = command.skip, same or command.skip > 0
            return
        self.committed = self.entry.options.commit_when == 1  # with the first item, whatever it is
        if command.skip:
            self.to_skip = command.skip
            if command.key is not None:
                self.key, self.replayed = command.key, new_digest()

    def _note(self, item: Any) -> None:
        inside = self.command.handover
        if inside is not None and inside.restarted:
            inside.restarted = False
            self.run.restart()
        self.excused = True
        try:
            self.run.record.deliver(item)
        except StopIteration as leak:  # in here it would be taken for the end of the source
            raise RuntimeError("the function of key raised StopIteration") from leak
        self.excused = False

    def opening(self) -> None:
        """Tell that the factory is going to be called."""
        self.excused = True
        self.run.opening()
        self.excused = False

    def opened_ended(self) -> None:
        """Refuse a generator that has ended already, where it may have been in use before."""
        self.excused = True
        self.run.opened_ended()
        self.excused = False

    def receive(self, item: Any) -> bool:
        """Hold or drop an item that came before the commit; True when that comes with it."""
        if type(item) is Takeover:
            if not self.to_skip:
                self.held.append(item)
            return False
        self.received += 1
        if self.limits is not None:
            self.limits.received = True
        if not self.committed:
            self._judge(item)
        inside = self.command.handover
        if inside is not None and inside.restarted:  # with this item, once that is handed out
            inside.restarted = False
            self.held.append(_RESTART)
        if self.to_skip:
            self._replay(item)
            return False
        self.held.append(item)
        return self.committed

    def _judge(self, item: Any) -> None:
        """Commit if this item shows that the attempt is good; replayed items count too."""
        commit_when = self.entry.options.commit_when
        if callable(commit_when):
            self.excused = True
            self.committed = as_bool("commit_when", commit_when(item))
            self.excused = False
        else:
            self.committed = self.received >= commit_when

    def _replay(self, item: Any) -> None:
        self.to_skip -= 1
        if self.key is None or self.replayed is None:
            return
        self.excused = True
        feed(self.replayed, self.key(item))
        self.excused = False
        delivered = self.run.record.digests[identity(self.key)]
        if self.to_skip == 0 and self.replayed.digest() != delivered.digest():
            raise self._diverged(
                "replayed other items than the {} that were delivered: their keys differ"
            )

    def commit(self) -> None:
        """Start to deliver: the marker first, then what is held."""
        run = self.run
        run.any = run.record.any = True
        if run.awaits_commit:
            self.excused = True
            run.committed()
            self.excused = False
        self.held.reverse()
        if self.command.marker is not None:
            self.held.append(self.command.marker)
            self.command.marker = None

    def finish(self, value: Any) -> None:
        """The source ended before the attempt committed."""
        self.ended, self.value = True, value
        name = self.entry.name
        received = self.received or self.replayed_inside
        if not (self.entry.options.allow_empty or (self.committed and received)):
            how = "before commit_when was met" if self.received else "without an item"
            raise EmptyStream(f"{name} ended {how}")
        if self.to_skip:
            raise self._diverged(
                f"ended after {self.received} of the {{}} items that were delivered"
            )
        if any(type(item) is not Takeover for item in self.held):
            self.commit()

    def hand_out(self) -> Any:
        """Take the next held item: with this it counts as delivered."""
        item = self.held.pop()
        if item is _RESTART:
            self.run.restart()
            item = self.held.pop()
        self.at_marker = type(item) is Takeover
        if self.watch is not None:
            self.watch(item)
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
                f"{self.entry.name} is ahead by {len(self.held)}"
            )

    def is_outage(self, error: BaseException) -> TypeGuard[Exception]:
        """Whether the source is to blame; a stream inside says so of what its consumer did."""
        if self.limits is not None and error is self.limits.over_with:
            return not self.has_expired(error)  # whatever a stream inside says of being cancelled
        inside = self.command.handover
        excused = self.excused or (inside is not None and inside.excused)
        return isinstance(error, Exception) and not excused

    def has_expired(self, error: BaseException) -> bool:
        """Whether this error says that the time of this stream is over."""
        is_ours = self.limits is not None and error is self.limits.over_with
        return is_ours and isinstance(error, StreamTimeout)

    def settle(self, errors: list[BaseException]) -> Exception:
        """Give the error of closing, others in its notes; raise it if it is no Exception."""
        errors.sort(key=lambda error: isinstance(error, Exception))  # stable: Ctrl-C comes first
        first, *others = errors
        errors.clear()
        for other in others:
            note_close_error(first, self.entry.name, other)
        if isinstance(first, Exception):
            return first
        self.run.closed(first, None, theirs=False)
        try:
            raise first
        finally:
            del first, others

    def _diverged(self, how: str) -> DivergedStream:
        return DivergedStream(f"{self.entry.name} {how.format(self.command.skip)}")

    def release(self) -> None:
        """Let go of everything, for the frames in a traceback may hold on to this attempt."""
        if self.limits is not None:
            self.limits.over_with = None
        self.iterable = self.iterator = self.key = self.watch = self.limits = None
        self.held.clear()
        del self.run, self.command, self.entry
