"""The exceptions that this library raises.

::

    FailoverError                       base class
    ├── NoSources (ValueError)          `factories` is empty
    ├── AllSourcesFailed (ExceptionGroup)
    │                                   no source is left, with on_exhausted="group"
    ├── StreamTimeout (TimeoutError)    total_timeout expired
    ├── SourceError                     an attempt failed, although the source raised nothing
    │   ├── SourceTimeout (TimeoutError)
    │   │                               the source produced no item in time
    │   ├── TruncatedStream             it ended, but complete_when was not met
    │   ├── EmptyStream                 it ended without an item, with allow_empty=False
    │   └── DivergedStream              it did not replay the delivered items
    ├── CheckpointError                 a checkpoint is damaged, or another stream uses it
    └── ReusedIterator (TypeError)      a factory returned a generator that has already ended

A `SourceError` counts as a failure, whatever `retry_on` says, and uses up one of the `attempts` of
its source like any other. A factory may raise it, or a subclass. With `switch_on=SourceError` the
source is not tried again. The other exceptions end the stream and never match `retry_on`. Only
`AllSourcesFailed` and `StreamTimeout` of an inner stream are ordinary errors to the outer stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "AllSourcesFailed",
    "CheckpointError",
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


class FailoverError(Exception):
    """Base class of all exceptions raised by this library."""


class NoSources(FailoverError, ValueError):
    """The iterable of factories was empty."""


class AllSourcesFailed(FailoverError, ExceptionGroup[Exception]):
    """Every source failed; `exceptions` holds the errors, oldest first.

    Raised with `on_exhausted="group"`. If there are more than 32 errors, the group holds the
    first and the last 16, and its message says how many there were.
    """

    def derive(self, excs: Sequence[Any], /) -> AllSourcesFailed:  # type: ignore[override]  # generic there
        """Return a group of the same type over other errors (`split`, `subgroup`, `except*`)."""
        return AllSourcesFailed(self.message, excs)


class StreamTimeout(FailoverError, TimeoutError):
    """The stream did not end within `total_timeout`. No other source is tried."""


class SourceError(FailoverError):
    """An attempt failed, although the source raised nothing; `retry_on` need not list it.

    A factory or source may raise it, or a subclass, to report a failure itself.
    """


class SourceTimeout(SourceError, TimeoutError):
    """The source produced no item within `first_item_timeout` or `idle_timeout`."""


class TruncatedStream(SourceError):
    """The source ended, but its last item did not meet `complete_when`."""


class EmptyStream(SourceError):
    """The source ended without an item, or without meeting `commit_when` (`allow_empty=False`)."""


class DivergedStream(SourceError):
    """The source did not replay the delivered items, which `mid_stream="skip"` requires."""


class CheckpointError(FailoverError):
    """A checkpoint is damaged, empty, of another version, or used by another stream.

    The stream ends with it, and opens no source: it never starts over without being told to.
    """


class ReusedIterator(FailoverError, TypeError):
    """After a failure, a factory returned a generator that has already ended.

    A generator that has failed yields nothing more, so the stream would silently end early. A
    factory must return a new iterator at each call.
    """


def describe(error: BaseException) -> str:
    """The type and message of an error, even if its message cannot be computed."""
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 (a broken __str__ must not hide the error)
        message = "(its message cannot be shown)"
    return f"{name}: {message}" if message else name


def leaves(error: BaseException) -> tuple[Any, ...]:
    """The members of an exception group, groups among them; empty for any other error."""
    if not isinstance(error, BaseExceptionGroup):
        return ()
    exceptions: Any = BaseExceptionGroup.exceptions  # whatever its class makes of the name
    return exceptions.__get__(error)  # type: ignore[no-any-return]
