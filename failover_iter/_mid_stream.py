"""How an attempt takes over: the strategies behind `mid_stream`, and what factories are told."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from failover_iter._types import ItemT, Mode
from failover_iter._validation import check_callback, check_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter.events import Failed

    Key: TypeAlias = Callable[[Any], str | bytes | int]

MODES: tuple[Mode, ...] = ("restart", "raise", "skip", "resume")


def _check_keep(option: str, value: object) -> None:
    if value is not None:
        check_count(option, value, least=0, allowed="an int of at least 0, or None for all items")


@dataclass(frozen=True, kw_only=True)  # no slots: they break Progress[T]() before Python 3.13
class Progress(Generic[ItemT]):
    """What a resumable factory is told: how far the stream is.

    `Progress()` stands for the start. Under `mid_stream="resume"` (or `Decide`) every opening
    calls the factory with one, the first included: `delivered == 0` means "from the start".

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
    """Items delivered since the last restart: how many to leave out."""
    last: ItemT | None = None
    """The last of them; `None` where there is none."""
    items: tuple[ItemT, ...] = ()
    """The last `keep` of them, oldest first (`Resume(keep=...)`)."""
    total: int = 0
    """Items delivered by the stream, those before a restart included."""
    failures: tuple[Failed, ...] = ()
    """The failures so far, oldest first; of more than 32 the first and the last 16.

    Their errors have no traceback any more: it would hold on to every attempt before.
    """
    attempt: int = 1
    """Which opening of this source it is, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """The strategy behind `mid_stream="skip"`: start over, and drop what was delivered.

    For sources that replay the same sequence (files, tables, ordered pages): exactly once.

    Args:
        key: `item -> str | bytes | int`, what tells an item from the others. With it, a running
            digest of the keys of what was delivered is compared with that of what is dropped, in
            constant memory, and a source that replays something else fails with `DivergedStream`:
            better an error than a silently wrong join. Without it only the count is compared.

    Raises:
        TypeError: `key` is no plain function.

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
        if self.key is not None:
            check_callback(
                "Skip(key=...)", self.key, "a function item -> str | bytes | int, or None"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """The strategy behind `mid_stream="resume"`: the factory gives what is still missing.

    Each factory is called with a `Progress` (offsets, cursors, keyset pages, HTTP ranges, a
    prompt to continue): exactly once.

    Args:
        keep: how many of the last delivered items `Progress.items` holds; `None` = all of them.

    Raises:
        TypeError: `keep` is no int.
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


@dataclass(frozen=True, slots=True)
class Decide:
    """A strategy that asks at each takeover, the same source opened again included.

    Args:
        fn: `Progress -> "restart" | "raise" | "skip" | "resume"`, a plain function.
        keep: how many of the last delivered items `Progress.items` holds; `None` = all of them.
        key: as in `Skip`, for where `fn` says "skip".

    Raises:
        TypeError: `fn` or `key` is no plain function, `keep` no int.
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

    fn: Callable[[Progress], Mode]
    _: KW_ONLY
    keep: int | None = 0
    key: Key | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_callback("Decide(fn)", self.fn, "a function Progress -> mode")
        _check_keep("Decide(keep=...)", self.keep)
        if self.key is not None:
            check_callback(
                "Decide(key=...)", self.key, "a function item -> str | bytes | int, or None"
            )


#: What the option `mid_stream` takes.
MidStream: TypeAlias = Mode | Skip | Resume | Decide


def check_mid_stream(value: object) -> None:
    """Refuse what is no mode and no strategy."""
    if not (
        value in MODES if isinstance(value, str) else isinstance(value, Skip | Resume | Decide)
    ):
        error = ValueError if isinstance(value, str) else TypeError
        raise error(
            "mid_stream must be 'restart', 'raise', 'skip' or 'resume', or a Skip, Resume or "
            f"Decide object, got {value!r}"
        )
