"""Which errors are failures of a source: `retry_on`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_iter._core.usage import as_bool, is_usage_error
from failover_iter.errors import SourceError, leaves

if TYPE_CHECKING:
    from failover_iter._types import RetryOn


def matches(error: Exception, retry_on: RetryOn) -> bool:
    """Whether an error, or every leaf of a group of errors, is a failure of the source."""
    return not is_usage_error(error) and _matches(error, retry_on)


def _matches(error: Exception, retry_on: RetryOn) -> bool:
    if isinstance(error, SourceError) or _is_listed(error, retry_on):
        return True
    inside = leaves(error)
    return bool(inside) and all(_matches(leaf, retry_on) for leaf in inside)


def _is_listed(error: Exception, retry_on: RetryOn) -> bool:
    if isinstance(retry_on, (type, tuple)):
        return isinstance(error, retry_on)
    return as_bool("retry_on", retry_on(error))
