"""How long an error asks to wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any


def requested_delay(error: Any, *, now: Callable[[], float] = time.time) -> float | None:
    """Return how long an error asks to wait, in seconds: the default of `retry_after`.

    That is its attribute `retry_after`, or the header of its `response`: seconds, or a date. A date
    is compared with the `Date` of the response, because the clock of the server may differ from
    that of this machine (`now`), which counts only without a `Date`.
    """
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    delay: Any = getattr(error, "retry_after", None)
    if delay is None:
        delay = headers.get("retry-after")
    if isinstance(delay, timedelta):
        return delay.total_seconds()
    if delay is None or isinstance(delay, int | float):
        return None if delay is None else float(delay)
    if str(delay).strip().isdecimal():
        return float(delay)
    until = _time_of(delay)
    if until is None:
        return None
    sent = _time_of(headers.get("date"))
    return max(0.0, until - (now() if sent is None else sent))


def _time_of(date: Any) -> float | None:
    """The Unix time of a date in a header, or None if it is none."""
    from email.utils import parsedate_to_datetime  # slow to import

    try:
        parsed: datetime = parsedate_to_datetime(str(date))
    except (ValueError, OverflowError):
        return None
    # Without a zone: the format of asctime, or "-0000". Times in HTTP are UTC (RFC 9110, 5.6.7).
    return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()
