"""Running digests: whether a source replays the items, or the content, that were delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._core.usage import mark_usage_error
from failover_iter._validation import shown

if TYPE_CHECKING:
    from hashlib import blake2b

    from failover_iter._mid_stream import Key, Size


def new_digest() -> blake2b:
    """An empty running digest."""
    from hashlib import blake2b  # slow to import, and few streams have keys

    return blake2b(digest_size=16)


def update_digest(digest: blake2b, key: Key, item: Any) -> None:
    """Add the key of an item, with its type and length, so that no two sequences read alike."""
    value = _key_of(key, item)
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


def update_content(digest: blake2b, key: Key, piece: Any) -> None:
    """Add the content of a piece: where it was cut makes no difference."""
    value = _key_of(key, piece)
    if isinstance(value, str):
        digest.update(value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        digest.update(value)
    else:
        raise mark_usage_error(
            TypeError(
                "the function of key must return the content of a piece, a str or bytes, where "
                f"size is set, got {type(value).__name__}"
            )
        )


def _key_of(key: Key, item: Any) -> object:
    try:
        return key(item)
    except StopIteration as leak:  # called from C, it would be taken for the end of the source
        raise RuntimeError("the function of key raised StopIteration") from leak


def size_of(size: Size, item: Any) -> int:
    """The size of an item."""
    try:
        value: object = size(item)
    except StopIteration as leak:  # as above
        raise RuntimeError("the function of size raised StopIteration") from leak
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise mark_usage_error(
            TypeError(f"the function of size must return an int of at least 0, got {shown(value)}")
        )
    return value


class Measure:
    """Size and content, or keys, by which delivered items are compared with a replay."""

    __slots__ = ("_add", "digest", "key", "size", "total")

    def __init__(self, key: Key | None, size: Size | None) -> None:
        self.key = key
        self.size = size
        self._add = update_digest if size is None else update_content
        self.restart()

    def restart(self) -> None:
        """Forget what was added: the items start over."""
        self.digest = None if self.key is None else new_digest()
        #: The size of what was added, if size counts.
        self.total = 0

    def add(self, item: Any) -> None:
        """Add an item, or a piece of one."""
        if self.size is not None:
            self.total += size_of(self.size, item)
        if self.key is not None and self.digest is not None:
            self._add(self.digest, self.key, item)

    def has_same_keys(self, other: Measure) -> bool:
        """Whether the same keys were added to both; true without a key."""
        if self.digest is None or other.digest is None:
            return True
        return self.digest.digest() == other.digest.digest()
