"""Which errors are failures of a source: `switch_on`, then `retry_on`.

A group of errors is listed if it is listed itself, or if each of its leaves is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_iter._core.usage import as_bool, is_usage_error
from failover_iter.errors import SourceError, leaves

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._types import RetryOn


def leaves_source(error: Exception, switch_on: RetryOn) -> bool:
    """Whether an error is a failure after which the source is not tried again."""
    return not is_usage_error(error) and _each(
        error, lambda leaf: _is_listed(leaf, "switch_on", switch_on)
    )


def matches(error: Exception, retry_on: RetryOn, switch_on: RetryOn | None = None) -> bool:
    """Whether an error is a failure that uses up an attempt; `leaves_source` is asked before."""

    def is_failure(leaf: Exception) -> bool:
        if isinstance(leaf, SourceError) or _is_listed(leaf, "retry_on", retry_on):
            return True
        # Of a group, some leaves may be listed here, and the others there.
        if switch_on is None or leaf is error:
            return False
        return _is_listed(leaf, "switch_on", switch_on)

    return not is_usage_error(error) and _each(error, is_failure)


def _each(error: Exception, is_listed: Callable[[Exception], bool]) -> bool:
    if is_listed(error):
        return True
    inside = leaves(error)
    return bool(inside) and all(_each(leaf, is_listed) for leaf in inside)


def _is_listed(error: Exception, option: str, listed: RetryOn) -> bool:
    if isinstance(listed, (type, tuple)):
        return isinstance(error, listed)
    return as_bool(option, listed(error))
