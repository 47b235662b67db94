"""How the next attempt takes over: the strategies of `mid_stream`, and `Progress`."""

# Annotations here are objects, not strings: see `public`.

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, TypeAlias

from failover_iter._types import ItemT, Mode, public
from failover_iter._validation import check_callback, check_count
from failover_iter.events import Failed

#: Identifies an item.
Key: TypeAlias = Callable[[Any], str | bytes | int]

MODES: tuple[Mode, ...] = ("restart", "raise", "skip", "resume")


def _check_keep(option: str, value: object) -> None:
    if value is not None:
        check_count(option, value, least=0, allowed="an int of at least 0, or None for all items")


def _check_key(option: str, value: object) -> None:
    if value is not None:
        check_callback(option, value, "a function item -> str | bytes | int, or None")


@public
@dataclass(frozen=True, kw_only=True)  # no slots: they break Progress[T]() before Python 3.13
class Progress(Generic[ItemT]):
    """How far the stream is: the argument of a resumable factory.

    With `mid_stream="resume"` or `Decide` every call of a factory passes one, the first call
    included. `Progress()` means the start of the stream: `delivered == 0`.

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


@public
@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """The strategy `mid_stream="skip"`: start over, and drop the items already delivered.

    For sources that replay the same sequence (files, tables, ordered pages). Each item is
    delivered exactly once.

    Args:
        key: `item -> str | bytes | int`, identifies an item. The stream compares a digest of the
            delivered keys with a digest of the dropped ones, in constant memory. If they differ,
            the attempt fails with `DivergedStream`, because an error is better than a silently
            wrong join. Without `key` only the number of items is compared.

    Raises:
        TypeError: `key` is not a plain function.

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
    """

    key: Key | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_key("Skip(key=...)", self.key)


@public
@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """The strategy `mid_stream="resume"`: the factory yields only the items still missing.

    The stream calls each factory with a `Progress`, from which it computes where to start (an
    offset, a cursor, a page key, an HTTP range, a prompt to continue). Each item is delivered
    exactly once.

    Args:
        keep: number of delivered items that `Progress.items` holds; `None` = all of them.

    Raises:
        TypeError: `keep` is not an int.
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
    """

    keep: int | None = 0

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check_keep("Resume(keep=...)", self.keep)


@public
@dataclass(frozen=True, slots=True)
class Decide:
    """A strategy that chooses the mode at each takeover, also when the same source is retried.

    Args:
        fn: `Progress -> "restart" | "raise" | "skip" | "resume"`, a plain function.
        keep: number of delivered items that `Progress.items` holds; `None` = all of them.
        key: as in `Skip`; used when `fn` returns "skip".

    Raises:
        TypeError: `fn` or `key` is not a plain function, or `keep` is not an int.
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

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_callback("Decide(fn)", self.fn, "a function Progress -> mode")
        _check_keep("Decide(keep=...)", self.keep)
        _check_key("Decide(key=...)", self.key)


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
