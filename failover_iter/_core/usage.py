"""Wrong use of the library: errors that no stream takes for a failure of its source."""

from __future__ import annotations

from types import CoroutineType
from typing import TypeVar

from failover_iter._validation import is_awaitable, shown
from failover_iter.errors import NoSources, ReusedIterator, leaves

_E = TypeVar("_E", bound=BaseException)
_MARK = "_failover_iter_usage_error"


def mark_usage_error(error: _E) -> _E:
    """Mark an error of ours as a wrong use of the library: it never matches `retry_on`."""
    error.__dict__[_MARK] = True
    return error


def is_usage_error(error: BaseException) -> bool:
    """Whether an error, or a leaf of a group, says that the library was used wrongly."""
    inside = leaves(error)
    if inside and any(map(is_usage_error, inside)):
        return True
    if isinstance(error, (NoSources, ReusedIterator)):
        return True
    try:
        return _MARK in error.__dict__
    except Exception:  # noqa: BLE001 (it belongs to others: it is not marked)
        return False


def as_bool(option: str, value: object) -> bool:
    """The answer of a predicate. A coroutine is refused: it would always be true."""
    if is_awaitable(value):
        got = shown(value)
        if isinstance(value, CoroutineType):
            value.close()
        raise mark_usage_error(
            TypeError(f"the function of {option} must return a bool, got an awaitable: {got}")
        )
    return bool(value)
