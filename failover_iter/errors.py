"""The errors that the library itself raises, named by who is at fault.

::

    FailoverError                       base of what the library itself raises
    ├── NoSources (ValueError)          there was no factory at all
    ├── AllSourcesFailed (ExceptionGroup)
    │                                   no source is left, under on_exhausted="group"
    ├── StreamTimeout (TimeoutError)    total_timeout is over
    ├── SourceError                     an attempt failed without an exception of its own
    │   ├── SourceTimeout (TimeoutError)
    │   │                               it gave nothing for too long
    │   ├── TruncatedStream             it ended, and complete_when was not met
    │   ├── EmptyStream                 it ended without an item, under allow_empty=False
    │   └── DivergedStream              it did not replay what was delivered
    └── ReusedIterator (TypeError)      an opening gave back an ended generator

A `SourceError` always causes a switch, whatever `retry_on` says: a factory may raise it, or a
subclass of its own, to say "this source is no good, go on". All others end the stream and never
match `retry_on`, the `AllSourcesFailed` and the `StreamTimeout` of a stream inside excepted, which
are errors like any other there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AllSourcesFailed",
    "DivergedStream",
    "EmptyStream",
    "FailoverError",
    "NoSources",
    "ReusedIterator",
    "SourceError",
    "SourceTimeout",
    "StreamTimeout",
    "TruncatedStream",
]

_E = TypeVar("_E", bound=BaseException)


class FailoverError(Exception):
    """Base class of what the library itself raises."""


class NoSources(FailoverError, ValueError):
    """There was no factory at all: the iterable of factories was empty."""


class AllSourcesFailed(FailoverError, ExceptionGroup[Exception]):
    """Every source failed; the errors are in `exceptions`, in the order in which they happened.

    Raised under `on_exhausted="group"`. Of more than 32 errors the first and the last 16 are
    kept, and the message says how many there were.
    """

    def derive(self, excs: Sequence[Any], /) -> AllSourcesFailed:  # type: ignore[override]  # generic there
        """Give a group of the same kind over other errors (`split`, `subgroup`, `except*`)."""
        return AllSourcesFailed(self.message, excs)


class StreamTimeout(FailoverError, TimeoutError):
    """The stream was not at its end when `total_timeout` was over; no other source is tried."""


class SourceError(FailoverError):
    """An attempt failed without an exception of its own; it always causes a switch.

    Raise it, or a subclass, from a factory or a source to have the next one tried.
    """


class SourceTimeout(SourceError, TimeoutError):
    """The source gave nothing for longer than `first_item_timeout` or `idle_timeout` allows."""


class TruncatedStream(SourceError):
    """The source ended, but `complete_when` was not met by the last item: it was cut."""


class EmptyStream(SourceError):
    """The source ended without an item (or without meeting `commit_when`), and may not."""


class DivergedStream(SourceError):
    """The source did not replay the items that were delivered, as `mid_stream="skip"` needs."""


class ReusedIterator(FailoverError, TypeError):
    """A factory gave back a generator that has already ended, on an opening after a failure.

    A generator that has failed is exhausted: taken as it is, the stream would end early without
    a word. A factory must open a new iterator at each call.
    """


def describe(error: BaseException) -> str:
    """Type and message in one piece, also of an error that cannot be shown."""
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 (a message that cannot be had must not hide the error)
        message = "(its message cannot be shown)"
    return f"{name}: {message}" if message else name


def mark_usage_error(error: _E) -> _E:
    """Mark an error as a wrong use of the library, so that no stream takes it for an outage."""
    error.__dict__["_failover_iter_usage_error"] = True
    return error


def leaves(error: BaseException) -> tuple[Any, ...]:
    """The errors that a group holds, groups among them; none where it is no group."""
    group: Any = error
    return group.exceptions if isinstance(error, BaseExceptionGroup) else ()


def is_usage_error(error: BaseException) -> bool:
    """Whether an error, or a leaf of it, says that the library was used wrongly, here or inside."""
    inside = leaves(error)
    if inside and any(map(is_usage_error, inside)):
        return True
    return isinstance(error, (NoSources, ReusedIterator)) or (
        "_failover_iter_usage_error" in getattr(error, "__dict__", ())
    )
