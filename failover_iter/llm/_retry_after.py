"""`retry_after`: a value for `wait` that honours the provider's Retry-After."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

from failover_iter import Failed, backoff
from failover_iter.llm._errors import ProviderError
from failover_iter.llm._status import as_mapping

__all__ = ["requested_delay", "retry_after"]


def retry_after(
    *,
    maximum: float | timedelta = 60.0,
    otherwise: Callable[[Failed], float | timedelta] | None = None,
) -> Callable[[Failed], float]:
    """Return a function for the option `wait` that honours the provider's Retry-After.

    The delay comes from the response header (`retry-after-ms` if present, else `retry-after`:
    seconds or a date, compared with the `date` of the response), from the RetryInfo in Google's
    errors, or from `ProviderError.retry_after`. It applies when the same source is opened again
    (`attempts` above 1); a switch to another source does not wait.

    Args:
        maximum: Upper bound of every pause, in seconds or as a timedelta; 60 seconds by default.
        otherwise: The `wait` for errors without a Retry-After, a function `Failed -> seconds`;
            `backoff()` by default.

    Raises:
        TypeError: `maximum` is not a duration, or `otherwise` is not callable.
        ValueError: `maximum` is negative or not finite.

    Example:
        >>> from failover_iter import Failed
        >>> from failover_iter.llm import ProviderError, retry_after
        >>> busy = ProviderError("busy", retry_after=90)
        >>> failed = Failed("openai", 1, 0, 0.1, busy, 1, 1, None)
        >>> retry_after(maximum=30)(failed)
        30.0
    """
    seconds = maximum.total_seconds() if isinstance(maximum, timedelta) else maximum
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"maximum must be seconds or a timedelta, got {maximum!r}")
    if not (isfinite(seconds) and seconds >= 0):
        raise ValueError(f"maximum must be finite and not negative, got {maximum!r}")
    if not (otherwise is None or callable(otherwise)):
        raise TypeError(f"otherwise must be a function Failed -> seconds, got {otherwise!r}")
    return _RetryAfter(float(seconds), otherwise or backoff())


@dataclass(frozen=True, slots=True)
class _RetryAfter:
    """The function that `retry_after` returns."""

    maximum: float
    otherwise: Callable[[Failed], float | timedelta]

    def __call__(self, failed: Failed) -> float:
        """Return the pause after this failure, in seconds."""
        delay = requested_delay(failed.error)
        if delay is None:
            wait = self.otherwise(failed)
            delay = wait.total_seconds() if isinstance(wait, timedelta) else wait
        return min(delay, self.maximum)


def is_too_long(wait: object, error: Exception) -> bool:
    """Whether the provider asks for a longer pause than this `wait` allows."""
    if not isinstance(wait, _RetryAfter):
        return False
    delay = requested_delay(error)
    return delay is not None and delay > wait.maximum


def requested_delay(error: Exception) -> float | None:
    """Return the pause that the provider of an error asks for, in seconds, or None.

    It reads what `retry_after` reads. `Health(retry_after=requested_delay)` makes all streams that
    share the `Health` leave the provider alone for that long.

    Example:
        >>> from failover_iter.health import Health
        >>> from failover_iter.llm import ProviderError, requested_delay
        >>> health = Health(retry_after=requested_delay)
        >>> requested_delay(ProviderError("busy", retry_after=90))
        90
    """
    if isinstance(error, ProviderError):
        return error.retry_after
    headers = _headers(error)
    delays = (
        _seconds(headers.get("retry-after-ms"), unit=0.001),
        _seconds(headers.get("retry-after")),
        _seconds_until(headers.get("retry-after"), headers.get("date")),
        *(_seconds(delay.removesuffix("s")) for delay in _google_delays(error)),
    )
    return next((seconds for seconds in delays if seconds is not None), None)


def _headers(error: Any) -> dict[str, str]:
    """Return the headers of the response, with their names in lower case."""
    response = getattr(error, "response", None)
    # boto3's response is a dict. cohere and mistralai put the headers on the error itself, and
    # litellm makes up a response without headers.
    aws = as_mapping(as_mapping(response).get("ResponseMetadata")).get("HTTPHeaders")
    own = getattr(error, "headers", None) or getattr(error, "litellm_response_headers", None)
    headers = getattr(response, "headers", None) or aws or own
    items: Iterable[tuple[Any, Any]] = getattr(headers, "items", tuple)()
    return {str(name).lower(): str(value) for name, value in items}


def _seconds(value: str | None, *, unit: float = 1.0) -> float | None:
    if value is None or not re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        return None
    return float(value) * unit


def _seconds_until(date: str | None, sent: str | None) -> float | None:
    """Return the seconds until the date in a header, or None if it is not a date.

    `sent` is the time of the server, whose clock may differ from that of this machine.
    """
    until, now = _http_date(date or ""), _http_date(sent or "")
    if until is None:
        return None
    return max(0.0, until.timestamp() - (time.time() if now is None else now.timestamp()))


def _google_delays(error: Any) -> list[str]:
    """Return the delays in the details of a Google error: "retryDelay": "3s"."""
    details = as_mapping(as_mapping(getattr(error, "details", None)).get("error")).get("details")
    found = [as_mapping(detail).get("retryDelay") for detail in details or ()]
    return [delay for delay in found if isinstance(delay, str)]


def _http_date(text: str) -> datetime | None:
    """The time in a header field, or None if it is not a date; without a zone, it is UTC."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
