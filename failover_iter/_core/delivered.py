"""The items that a stream has delivered: their count and, if an option needs them, the last ones.

Each item that the blocking driver delivers draws one `True` from `left`, an `itertools.repeat`: so
`itertools.compress` counts in C. The async driver adds to `counted`, and so does code that delivers
a single item.
"""

from __future__ import annotations

import sys
from collections import deque
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.usage import mark_usage_error
from failover_iter._mid_stream import Decide, Progress, Resume, Skip
from failover_iter._validation import identity, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from hashlib import blake2b

    from failover_iter._mid_stream import Key
    from failover_iter._options import Options
    from failover_iter.events import Failed

_MANY: Final = sys.maxsize
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
    #: By the identity of the function, for a callable need not be hashable.
    digests: dict[object, tuple[Key, blake2b]] | None = None

    def __init__(self) -> None:
        self.left = repeat(True, _MANY)
        self.counted = 0
        self.has_delivered = False

    def go_on_from(self, seed: Progress) -> None:
        """Begin where an earlier stream stopped."""
        if seed.total or seed.delivered:
            self.counted = seed.delivered
            self.before = max(0, seed.total - seed.delivered)
            self.has_delivered = True
            self.digestible = not seed.delivered
            self.items.extend(seed.items or ((seed.last,) if seed.delivered else ()))

    @property
    def count(self) -> int:
        """Items delivered since the last restart."""
        return self.counted + _MANY - length_hint(self.left)

    @property
    def total(self) -> int:
        """Items delivered in all."""
        return self.before + self.count

    def prepare_for(self, options: Options) -> bool:
        """Keep from now on what these options need; False if it is too late for that."""
        keep, key = _needs(options)
        lacks_items = self.keep is not None and (keep is None or keep > self.keep)
        lacks_key = key is not None and identity(key) not in (self.digests or ())
        if (lacks_items or lacks_key) and self.has_delivered:
            return False
        if lacks_items:
            self.keep, self.items = keep, deque(maxlen=keep)
            self.on_item = self.items.append
        if key is not None and lacks_key:
            self.digests = {**(self.digests or {}), identity(key): (key, new_digest())}
        if self.digests is not None:
            self.on_item = self._keep_and_digest
        return True

    def note(self, item: Any) -> None:
        """Count one delivered item, and keep it if an option needs that."""
        self.counted += 1
        if self.on_item is not None:
            self.on_item(item)

    def _keep_and_digest(self, item: Any) -> None:
        self.items.append(item)
        for key, digest in (self.digests or {}).values():
            update_digest(digest, key, item)

    def has_digest(self, key: Key, digest: blake2b) -> bool:
        """Whether the delivered items have this digest."""
        _, delivered = (self.digests or {})[identity(key)]
        return delivered.digest() == digest.digest()

    def restart(self) -> None:
        """Forget what was delivered: the items start over."""
        self.before += self.count
        self.counted, self.left = 0, repeat(True, _MANY)
        self.items.clear()
        self.digestible = True
        if self.digests is not None:
            self.digests = {at: (key, new_digest()) for at, (key, _) in self.digests.items()}

    def progress(
        self, keep: int | None, failures: Sequence[Failed], attempt: int, *, start_over: bool
    ) -> Progress:
        """Return the `Progress` for a factory that continues here, or starts over."""
        if start_over:
            return Progress(total=self.total, failures=failures, attempt=attempt)
        items = tuple(self.items)
        kept = items if keep is None else items[len(items) - min(keep, len(items)) :]
        return Progress(
            delivered=self.count,
            last=items[-1] if items else None,
            items=kept,
            total=self.total,
            failures=failures,
            attempt=attempt,
        )


def _needs(options: Options) -> tuple[int | None, Key | None]:
    """How many of the last items these options need, and the key that they compare."""
    strategy = options.strategy
    keep: int | None = 0 if options.complete_when is None else 1
    if isinstance(strategy, Resume | Decide):
        keep = None if strategy.keep is None else max(1, strategy.keep)
    return keep, strategy.key if isinstance(strategy, Skip | Decide) else None


def new_digest() -> blake2b:
    """An empty running digest."""
    from hashlib import blake2b  # slow to import, and few streams have keys

    return blake2b(digest_size=16)


def update_digest(digest: blake2b, key: Key, item: Any) -> None:
    """Add the key of an item, with its type and length, so that no two sequences read alike."""
    try:
        value: object = key(item)
    except StopIteration as leak:  # called from C, it would be taken for the end of the source
        raise RuntimeError("the function of key raised StopIteration") from leak
    if isinstance(value, str):
        tag, data = b"s", value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        tag, data = b"b", value
    elif isinstance(value, int):
        tag, data = b"i", format(int(value), "x").encode()
    else:
        raise mark_usage_error(
            TypeError(f"the function of key must return a str, bytes or int, got {shown(value)}")
        )
    digest.update(b"%b%d:%b" % (tag, len(data), data))
