"""How the next attempt takes over: the strategies of `mid_stream`, `Progress` and `Bookmark`."""

# Annotations here are objects, not strings: see `public`.

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, Generic, TypeAlias, final

from failover_iter._types import UNSET, ItemT, Mode, public
from failover_iter._validation import check_callback, check_count, shown
from failover_iter.events import Failed

#: Identifies an item.
Key: TypeAlias = Callable[[Any], str | bytes | int]
#: The size of an item.
Size: TypeAlias = Callable[[Any], int]
#: Computes the next cursor from the cursor and a delivered item.
Advance: TypeAlias = Callable[[Any, Any], Any]

MODES: tuple[Mode, ...] = ("restart", "raise", "skip", "resume")


def _check_keep(option: str, value: object) -> None:
    if value is not None:
        check_count(option, value, least=0, allowed="an int of at least 0, or None for all items")


def _check_key(option: str, value: object) -> None:
    if value is not None:
        check_callback(option, value, "a function item -> str | bytes | int, or None")


def deep_copy(value: Any) -> Any:
    """`copy.deepcopy`, which only streams with a cursor import."""
    from copy import deepcopy

    return deepcopy(value)


def _check_cursor(strategy: str, start: object, advance: object) -> None:
    if advance is not None:
        option = f"{strategy}(advance=...)"
        check_callback(option, advance, "a function (cursor, item) -> cursor, or None")
    if start is UNSET:
        return
    try:
        deep_copy(start)
    except Exception as error:
        raise TypeError(
            f"{strategy}(start=...) must be a value that copy.deepcopy can copy, because each "
            f"stream starts with its own copy, got {shown(start)} ({error})"
        ) from error


def _shown(strategy: Any, *first: object) -> str:
    """A strategy with the arguments that were given, and nothing of what they hold."""
    given = [shown(each) for each in first]
    for each in fields(strategy)[len(first) :]:
        value = getattr(strategy, each.name)
        if value is not each.default:
            given.append(f"{each.name}={shown(value)}")
    return f"{type(strategy).__qualname__}({', '.join(given)})"


@final
@public
@dataclass(frozen=True, slots=True)
class Bookmark:
    """An object that a source yields to say "you are here" without an item.

    A source with a cursor (`Resume(start=..., advance=...)`, or the same with `Decide`) yields a
    bookmark when the other side sends a position without data: a resume token, a heartbeat, the
    end of a scan that found nothing. A bookmark is never delivered. It takes effect when the items
    before it are delivered: it sets the cursor, it restarts `idle_timeout` and ends the outage of
    `give_up_after`, and it is progress for `reset_on_progress`. From a source without a cursor it
    is an item like any other.

    Args:
        cursor: the new cursor. Without it, the bookmark only shows that the source is alive, and
            leaves the cursor where it is.

    Example:
        >>> from failover_iter import Bookmark, Resume, failover_stream
        >>> PAGES = {None: ("a b", "p2"), "p2": ("c d", None)}
        >>> broken = ["p2"]
        >>> def pages(progress):
        ...     token = progress.cursor
        ...     while True:
        ...         items, token_of_next = PAGES[token]
        ...         for item in items.split():
        ...             yield item
        ...             if token in broken:
        ...                 broken.remove(token)
        ...                 raise ConnectionError("reset by peer")
        ...         if token_of_next is None:
        ...             return
        ...         token = token_of_next
        ...         yield Bookmark(token)
        >>> list(failover_stream([pages], retry_on=ConnectionError, attempts=2,
        ...                      mid_stream=Resume(start=None)))
        ['a', 'b', 'c', 'd']
    """

    cursor: Any = UNSET


@public
@dataclass(frozen=True, kw_only=True)  # no slots: they break Progress[T]() before Python 3.13
class Progress(Generic[ItemT]):
    """How far the stream is: the argument of a resumable factory.

    With `mid_stream="resume"` or `Decide` every call of a factory passes one, the first call
    included. `Progress()` means the start of the stream: `delivered == 0`. Test `delivered`, not
    `last`, to see whether there is an item: an item may be falsy.

    Example:
        >>> from failover_iter import Progress, failover_stream
        >>> def primary(progress: Progress[int]):
        ...     yield from (1, 2)
        ...     raise ConnectionError("reset by peer")
        >>> def replica(progress: Progress[int]):
        ...     yield from range(progress.delivered + 1, 4)
        >>> list(failover_stream([primary, replica], retry_on=ConnectionError,
        ...                      mid_stream="resume"))
        [1, 2, 3]
    """

    delivered: int = 0
    """Number of items delivered since the last restart, which the source must leave out."""
    last: ItemT | None = None
    """The last of these items; `None` if there is none."""
    items: tuple[ItemT, ...] = ()
    """The last `keep` of these items, oldest first (`Resume(keep=...)`)."""
    total: int = 0
    """Number of items delivered by the stream, including those before a restart."""
    failures: Sequence[Failed] = ()
    """The failures so far, oldest first; if there are more than 32, the first and last 16.

    Their errors have no traceback, because it would keep every earlier attempt alive.
    """
    attempt: int = 1
    """Number of this attempt on this source, from 1."""
    cursor: Any = field(default=None, hash=False)
    """Where the stream is, in the source's own terms (`Resume(start=..., advance=...)`).

    It covers delivered items only; `None` if the stream has no cursor.
    """
    to_replay: int = 0
    """Number of items that the stream drops first, because they were delivered already."""
    mode: Mode | None = None
    """How this attempt takes over; `None` if nothing was delivered yet, and for `Decide`."""
    memo: dict[str, Any] = field(default_factory=dict[str, Any], hash=False)
    """One dict for the life of the stream, the same for all its attempts.

    For what a source learns and has to remember: an ETag, a size, the pause that a server asks for.
    A `Checkpoint` saves one entry with the cursor, `memo["checkpoint"]`: plain data for JSON, such
    as the ETag that the next process has to compare. Set it before you yield the item to which it
    belongs, and replace it as a whole.
    """


@public
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Skip:
    """The strategy `mid_stream="skip"`: start over, and drop the items already delivered.

    For sources that replay the same sequence (files, tables, ordered pages). Each item is
    delivered exactly once.

    Args:
        key: `item -> str | bytes | int`, identifies an item. The stream compares a digest of the
            delivered keys with a digest of the dropped ones, in constant memory. If they differ,
            the attempt fails with `DivergedStream`, because an error is better than a silently
            wrong join. Without `key` only the number of items is compared.
        size: `item -> int`, the size of an item as slicing counts it, usually `len`. The position
            is then counted in size, not in items, for byte or text chunks that two sources may cut
            differently. The item across the seam is sliced, and only its new part is delivered; if
            `size` counts something else, that is a `TypeError`. With `size`, `key` returns the text
            or bytes of the chunk (`key=bytes`), and the digest covers the content, wherever it was
            cut.

    Raises:
        TypeError: `key` or `size` is not a plain function.

    Example:
        >>> from failover_iter import DivergedStream, Skip, failover_stream
        >>> def primary():
        ...     yield from ("a", "b")
        ...     raise ConnectionError("reset by peer")
        >>> def other_data():
        ...     yield from ("a", "x", "c")
        >>> stream = failover_stream([primary, other_data], retry_on=ConnectionError,
        ...                          mid_stream=Skip(key=str))
        >>> try:
        ...     list(stream)
        ... except DivergedStream as error:
        ...     print(error)
        other_data replayed other items than the 2 that were delivered: their keys differ
        >>> def small_chunks():
        ...     yield from (b"ab", b"cd")
        ...     raise ConnectionError("reset by peer")
        >>> def large_chunks():
        ...     yield from (b"abc", b"def")
        >>> list(failover_stream([small_chunks, large_chunks], retry_on=ConnectionError,
        ...                      mid_stream=Skip(size=len)))
        [b'ab', b'cd', b'ef']
    """

    key: Key | None = None
    size: Size | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_key("Skip(key=...)", self.key)
        if self.size is not None:
            check_callback("Skip(size=...)", self.size, "a function item -> int, or None")

    def __repr__(self) -> str:
        """Show the arguments that were given."""
        return _shown(self)


@public
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resume:
    """The strategy `mid_stream="resume"`: the factory yields only the items still missing.

    The stream calls each factory with a `Progress`, from which it computes where to start (an
    offset, a cursor, a page key, an HTTP range, a prompt to continue). Each item is delivered
    exactly once.

    Args:
        keep: number of delivered items that `Progress.items` holds; `None` = all of them.
        start: the cursor at the start of the stream. Each stream, and each restart, has its own
            deep copy.
        advance: `(cursor, item) -> cursor`, called once for each delivered item; it returns a new
            cursor. The factory reads the result as `progress.cursor`. Items that were held back
            and discarded are never counted, unlike those that a source counts when it yields
            them. Without `advance`, the source moves the cursor with `Bookmark` objects alone. The
            next attempt then replays the items after the last one, and the stream drops them.

    All sources of a stream that have a cursor have the same `start` and `advance`.

    Raises:
        TypeError: `keep` is not an int, `start` cannot be copied, or `advance` is not a plain
            function.
        ValueError: `keep` is negative.

    Example:
        >>> from failover_iter import Resume, failover_stream
        >>> def primary(progress):
        ...     yield from ("to ", "be ")
        ...     raise ConnectionError("reset by peer")
        >>> def backup(progress):
        ...     yield f"[{''.join(progress.items)}...] or not"
        >>> "".join(failover_stream([primary, backup], retry_on=ConnectionError,
        ...                         mid_stream=Resume(keep=None)))
        'to be [to be ...] or not'
        >>> DATA = b"to be or not to be"
        >>> def mirror(progress):
        ...     yield DATA[progress.cursor:][:9]
        ...     raise ConnectionError("reset by peer")
        >>> def size_so_far(cursor, chunk):
        ...     return cursor + len(chunk)
        >>> b"".join(failover_stream([mirror, lambda progress: [DATA[progress.cursor:]]],
        ...                          retry_on=ConnectionError,
        ...                          mid_stream=Resume(start=0, advance=size_so_far)))
        b'to be or not to be'
    """

    keep: int | None = 0
    start: Any = field(default=UNSET, hash=False)
    advance: Advance | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_keep("Resume(keep=...)", self.keep)
        _check_cursor("Resume", self.start, self.advance)

    def __repr__(self) -> str:
        """Show the arguments that were given."""
        return _shown(self)


@public
@dataclass(frozen=True, slots=True, repr=False)
class Decide:
    """A strategy that chooses the mode at each takeover, also when the same source is retried.

    A decision to restart holds until an item is delivered: if the fresh attempt fails before that,
    the next one starts afresh too, and `fn` is not asked again.

    Args:
        fn: `Progress -> "restart" | "raise" | "skip" | "resume"`, a plain function.
        keep: number of delivered items that `Progress.items` holds; `None` = all of them.
        key: as in `Skip`; used when `fn` returns "skip".
        start: as in `Resume`.
        advance: as in `Resume`.

    Raises:
        TypeError: `fn`, `key` or `advance` is not a plain function, `keep` is not an int, or
            `start` cannot be copied.
        ValueError: `keep` is negative.

    Example:
        >>> from failover_iter import Decide, failover_stream
        >>> def once_only(progress):
        ...     return "raise" if progress.last == "<call>" else "resume"
        >>> def primary(progress):
        ...     yield "<call>"
        ...     raise ConnectionError("reset by peer")
        >>> list(failover_stream([primary, primary], retry_on=ConnectionError,
        ...                      mid_stream=Decide(once_only)))
        Traceback (most recent call last):
        ConnectionError: reset by peer
    """

    fn: Callable[[Progress[Any]], Mode]
    _: KW_ONLY
    keep: int | None = 0
    key: Key | None = None
    start: Any = field(default=UNSET, hash=False)
    advance: Advance | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_callback("Decide(fn)", self.fn, "a function Progress -> mode")
        _check_keep("Decide(keep=...)", self.keep)
        _check_key("Decide(key=...)", self.key)
        _check_cursor("Decide", self.start, self.advance)

    def __repr__(self) -> str:
        """Show the arguments that were given."""
        return _shown(self, self.fn)


#: The values of the option `mid_stream`.
MidStream: TypeAlias = Mode | Skip | Resume | Decide


def check_mid_stream(option: str, value: object) -> None:
    """Accept a mode or a strategy."""
    if not (
        value in MODES if isinstance(value, str) else isinstance(value, Skip | Resume | Decide)
    ):
        error = ValueError if isinstance(value, str) else TypeError
        raise error(
            f"{option} must be 'restart', 'raise', 'skip' or 'resume', or a Skip, Resume or "
            f"Decide object, got {value!r}"
        )
