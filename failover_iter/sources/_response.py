"""A response, whichever client received it, and the statuses that are failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from failover_iter import DivergedStream, SourceError

#: Statuses below 500 that may be different a moment later.
TRANSIENT = {408, 421, 425, 429}


@dataclass(frozen=True, slots=True)
class Response:
    """The parts of a response that a source needs.

    Attributes:
        url: the address for messages, without anything secret.
        status: the status code.
        headers: the header fields; `get` ignores case.
        marks_end: whether the protocol tells the end of the body from a broken connection.
        chunks: the iterator (or async iterator) over the body as it was sent.
        shut: makes a blocked read return; None if the client has no way to do that.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    marks_end: bool
    chunks: Any
    shut: Callable[[], object] | None = None

    def __reduce__(self) -> Any:
        """Pickle it without its connection: it is in the memo, which goes to other machines."""
        return Response, (self.url, self.status, dict(self.headers), self.marks_end, ())


class BadResponse(SourceError):
    """The server answered with a status that is a failure.

    Statuses from 500 and 408, 421, 425 and 429 use up one of the `attempts` of the source, and the
    source is tried again; after any other status the stream leaves the source at once.

    Attributes:
        status: the status code.
        retry_after: the pause that the server asks for in `Retry-After`, in seconds, or None.

    Example:
        >>> from failover_iter.sources import BadResponse
        >>> raise BadResponse("http://a.example/file", 503, retry_after=2.0)
        Traceback (most recent call last):
        failover_iter.sources.BadResponse: http://a.example/file answered 503 Service Unavailable
    """

    __module__ = "failover_iter.sources"

    def __init__(self, url: str, status: int, *, retry_after: float | None = None) -> None:
        super().__init__(url, status)
        self.url = url
        self.status = status
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Name the server and the status."""
        hint = "; let the client follow redirects" if 300 <= self.status < 400 else ""
        return f"{self.url} answered {self.status} {_phrase(self.status)}".rstrip() + hint


def check_status(response: Response, *expected: int) -> None:
    """Raise unless the status is one that the source can use."""
    if response.status not in expected:
        raise BadResponse(
            response.url, response.status, retry_after=retry_after_in(response.headers)
        )


def check_encoding(response: Response) -> None:
    """Raise if the body is encoded."""
    encoding = response.headers.get("Content-Encoding") or "identity"
    transfer = response.headers.get("Transfer-Encoding") or "chunked"
    if encoding.lower() != "identity":
        refuse(response, f"sends Content-Encoding: {encoding}, though identity was asked for")
    if transfer.lower() != "chunked":
        refuse(response, f"sends Transfer-Encoding: {transfer}")


def refuse(response: Response, why: str) -> NoReturn:
    """Raise: the response cannot be used, and asking again does not help."""
    raise DivergedStream(f"{response.url}: {why}")


def is_final(error: Exception) -> bool:
    """Whether it makes no sense to ask the same server again."""
    if isinstance(error, BadResponse):
        return is_final_status(error.status)
    return isinstance(error, DivergedStream)


def is_final_status(status: int) -> bool:
    """Whether the same server would answer the same again."""
    return status < 500 and status not in TRANSIENT


def shown_url(url: object) -> str:
    """The address without user, password, query and fragment: they may be secret."""
    parts = urlsplit(str(url))
    return urlunsplit((parts.scheme, host_of(url), parts.path, "", ""))


def mirror_of(url: object, params: object = None) -> str:
    """What tells mirrors apart: the address, with a digest of what it does not show."""
    from hashlib import blake2s  # slow to import

    hidden = urlsplit(str(url)).query + (repr(params) if params else "")
    digest = blake2s(hidden.encode(errors="replace"), digest_size=4).hexdigest()
    return f"{shown_url(url)}?{digest}" if hidden else shown_url(url)


def host_of(url: object) -> str:
    """The host and port of an address."""
    return urlsplit(str(url)).netloc.rpartition("@")[2]


def _phrase(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def http_date(text: str | None) -> datetime | None:
    """The time in a header field, or None if it is not a date."""
    try:
        date = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    # Without a zone: the format of asctime, or "-0000". Times in HTTP are UTC (RFC 9110, 5.6.7).
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def retry_after_in(headers: Mapping[str, str]) -> float | None:
    """The pause that the server asks for: seconds, or a date.

    A date is compared with the server's clock, or without a `Date` with that of this machine.
    """
    value = headers.get("Retry-After") or ""
    if value.strip().isdecimal():
        return float(value) if isfinite(float(value)) else None
    until, now = http_date(value), http_date(headers.get("Date")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else None
