"""What a stream has delivered: counted, kept and digested as far as somebody asks for it."""

from __future__ import annotations

from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from failover_iter._mid_stream import Decide, Progress, Resume, Skip
from failover_iter._source import Nested
from failover_iter._validation import identity
from failover_iter.errors import mark_usage_error
from failover_iter.events import Takeover

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from hashlib import blake2b

    from failover_iter._core.sources import Entry
    from failover_iter._mid_stream import Key
    from failover_iter._options import Options
    from failover_iter._types import Mode
    from failover_iter.events import Failed


class Needs:
    """What has to be recorded of each item for these options. Nothing costs nothing."""

    # Class attributes are what most streams never change: to make one is half the work then.
    counts = False
    #: A mode rests on the count; else it is told where it is known.
    must_count = False
    keep: int | None = 0
    #: By identity, for a callable need not be hashable.
    keys: Mapping[object, Key] = MappingProxyType({})

    def add(self, options: Options) -> None:
        """Need what these options need too."""
        if options.mid_stream not in (None, "restart", "raise"):
            self._add_way(options.strategy)
        if options.complete_when is not None:
            self._keep(1)
        if options.on_event is not None or callable(options.wait):
            self.counts = True

    @staticmethod
    def of(options: Options, entries: tuple[Entry, ...], *, counts: bool) -> Needs:
        """What a stream with these options needs, and its sources."""
        own = [entry for entry in entries if entry.options is not options or entry.nests]
        if not (own or counts or options.is_watching):
            return NO_NEEDS
        needs = Needs()
        needs.counts = counts
        needs.add(options)
        for entry in own:
            needs.add_entry(entry)
        return needs

    def add_entry(self, entry: Entry) -> None:
        """Need what a source needs, and those inside it."""
        self.add(entry.options)
        if isinstance(entry.factory, Nested):
            self.add(entry.factory.options)
            for inner in entry.factory.entries:
                self.add_entry(inner)

    def _add_way(self, way: Mode | Skip | Resume | Decide) -> None:
        self.counts = self.must_count = True
        if isinstance(way, Resume | Decide):
            self._keep(way.keep if way.keep is None else max(1, way.keep))
        if isinstance(way, Skip | Decide) and way.key is not None:
            self.keys = {**self.keys, identity(way.key): way.key}

    def joined(self, other: Needs) -> Needs:
        """What the two need together."""
        both = Needs()
        both.counts = self.counts or other.counts
        both.must_count = self.must_count or other.must_count
        both.keep = self.keep
        both._keep(other.keep)
        both.keys = {**self.keys, **other.keys}
        return both

    def _keep(self, keep: int | None) -> None:
        self.keep = None if keep is None or self.keep is None else max(self.keep, keep)

    def __bool__(self) -> bool:
        """Whether each item has to be looked at."""
        return self.counts or self.keep != 0

    def covers(self, other: Needs) -> bool:
        """Whether what is recorded for these needs serves the others too."""
        return (
            (self.counts or not other.must_count)
            and (self.keep is None or (other.keep is not None and other.keep <= self.keep))
            and self.keys.keys() >= other.keys.keys()
        )


NO_NEEDS: Final = Needs()  # what most streams have; never added to
_NO_ITEMS: deque[Any] = deque(maxlen=0)  # whatever is put into it, it stays empty: shared


class Record:
    """What one stream has delivered since its last restart, and in all."""

    # Class attributes are what most streams never change: to make one is half the work then.
    count = 0
    before = 0  # items delivered before the last restart
    any = False
    #: Each item has to be looked at.
    is_watched = False
    digestible = True  # nobody knows the keys of what a seed says was delivered
    items: deque[Any] = _NO_ITEMS
    digests: Mapping[object, blake2b] = MappingProxyType({})

    def __init__(self, needs: Needs, seed: Progress | None) -> None:
        """Begin at the start, or where the stream around is."""
        self.needs = needs
        if needs is not NO_NEEDS:
            self.is_watched = bool(needs)
            self.count = 0  # its own from the start, or to count takes twice the time
            self.digests = {place: new_digest() for place in needs.keys}
            if needs.keep != 0:
                self.items = deque(maxlen=needs.keep)
        if seed is not None:
            self.count = seed.delivered
            self.before = max(0, seed.total - seed.delivered)
            self.any = seed.total > 0 or seed.delivered > 0
            self.digestible = not seed.delivered
            self.items.extend(seed.items or ((seed.last,) if seed.delivered else ()))

    def fork(self) -> Record:
        """A copy for a stream inside, that goes on from here."""
        record = Record(self.needs, None)
        record.count, record.before, record.any = self.count, self.before, self.any
        record.items.extend(self.items)
        record.digestible = self.digestible
        record.digests = {place: digest.copy() for place, digest in self.digests.items()}
        return record

    def deliver(self, item: Any) -> None:
        """Take note of an item that is handed out; of what is no item, not."""
        if type(item) is Takeover:
            return
        self.count += 1
        self.items.append(item)
        if self.digests:
            self._digest(item)

    def _digest(self, item: Any) -> None:
        for place, digest in self.digests.items():
            feed(digest, self.needs.keys[place](item))

    @property
    def keeps_last(self) -> bool:
        """Whether no more than the last item is kept."""
        return self.items.maxlen in (0, 1)

    def restart(self) -> None:
        """Forget what was delivered: the items start over."""
        self.before += self.count
        self.count = 0
        self.items.clear()
        self.digestible = True
        self.digests = {place: new_digest() for place in self.needs.keys}

    def widen(self, needs: Needs) -> bool:
        """Record more from now on; False where what was delivered can no longer be known."""
        if self.any:
            return self.needs.covers(needs)
        self.__init__(needs.joined(self.needs), None)  # type: ignore[misc]  # nothing was delivered: begin again
        return True

    def require(self, entry: Entry, options: Options) -> None:
        """Record from now on what a source needs that was not known before."""
        if entry.options is options and not entry.nests:
            return
        needs = Needs()
        needs.add_entry(entry)
        if not self.widen(needs):
            raise mark_usage_error(
                ValueError(
                    f"source {entry.name!r} has mid_stream={entry.options.mode_given} (or another "
                    "option that looks at each item), but the items before it were not recorded: "
                    "give the sources as a list, or set the option for the whole stream"
                )
            )

    @property
    def delivered(self) -> int | None:
        """Items delivered in all, where they are counted."""
        return self.before + self.count if self.needs.counts else None

    def progress(
        self, keep: int | None, failures: Iterable[Failed], attempt: int, *, start_over: bool
    ) -> Progress:
        """What a factory is told that goes on from here, or starts over."""
        total = self.before + self.count
        if start_over:
            return Progress(total=total, failures=tuple(failures), attempt=attempt)
        items = tuple(self.items)
        kept = items if keep is None else items[len(items) - min(keep, len(items)) :]
        return Progress(
            delivered=self.count,
            last=items[-1] if items else None,
            items=kept,
            total=total,
            failures=tuple(failures),
            attempt=attempt,
        )


def new_digest() -> blake2b:
    """An empty running digest."""
    from hashlib import blake2b  # slow to import, and few streams have keys

    return blake2b(digest_size=16)


def feed(digest: blake2b, key: object) -> None:
    """Add one key: tagged with its type and its length, so that no two sequences read alike."""
    if isinstance(key, str):
        tag, data = b"s", key.encode("utf-8", "surrogatepass")
    elif isinstance(key, bytes):
        tag, data = b"b", key
    elif isinstance(key, int):
        tag, data = b"i", format(int(key), "x").encode()
    else:
        raise mark_usage_error(
            TypeError(f"the function of key must give a str, bytes or int, got {key!r}")
        )
    digest.update(b"%b%d:%b" % (tag, len(data), data))
