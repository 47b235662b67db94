"""Asking for the rest of a file, and judging the answer, by the rules of RFC 9110.

Nothing here does I/O. `RemoteFile.ask` says what to request, `Ask.judge` whether the response
belongs to the bytes that were delivered, and a `Body` counts what arrives. Whatever could join two
different files is a `DivergedStream`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import astuple, dataclass, field
from typing import Any, Literal, TypeAlias

from failover_iter import DivergedStream, Resume, TruncatedStream
from failover_iter.sources._response import (
    Response,
    check_encoding,
    check_status,
    http_date,
    refuse,
)

#: What shows that two responses are the same file.
SameFile: TypeAlias = Literal["etag", "size"] | None
#: Under which key of `Progress.memo` a stream remembers the file: that which a checkpoint saves.
MEMO = "checkpoint"
#: Under which key it remembers the attempt that began last.
ATTEMPT = "file attempt"

RANGE = re.compile(r"bytes=(\d+)-(\d*)")
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
UNSATISFIED = re.compile(r"bytes \*/(\d+)")


def add_size(cursor: int, chunk: bytes) -> int:
    """The number of bytes delivered, with one more chunk."""
    return cursor + len(chunk)


#: The strategy of each source whose position is a number of bytes.
BY_BYTES = Resume(start=0, advance=add_size)


@dataclass(frozen=True, slots=True)
class Version:
    """The version of the file, as a response describes it."""

    etag: str | None
    modified: str | None
    validator: str | None
    """The value for If-Range: only what is certain to change with each byte of the file."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Version:
        """Read the header fields of a response."""
        etag, modified = headers.get("ETag"), headers.get("Last-Modified")
        if etag is not None:  # a date must not replace an entity tag (RFC 9110, 13.1.5)
            return cls(etag, modified, etag if etag.startswith('"') else None)
        strong = _is_strong_date(modified, headers.get("Date"))
        return cls(None, modified, modified if strong else None)

    def __str__(self) -> str:
        """Show the ETag, or else the date."""
        return self.etag or self.modified or "no ETag"

    def contradicts(self, other: Version) -> bool:
        """Whether the two are certainly not the same version."""
        if self.etag and other.etag:
            return self.etag != other.etag
        return bool(self.modified and other.modified and self.modified != other.modified)


def _is_strong_date(modified: str | None, date: str | None) -> bool:
    """Whether the date is old enough: a file may change twice in one second (RFC 9110, 8.8.2)."""
    then, now = http_date(modified), http_date(date)
    return then is not None and now is not None and (now - then).total_seconds() >= 1


@dataclass(frozen=True, slots=True)
class KnownFile:
    """The file from which a stream has delivered, as far as known."""

    size: int | None
    version: Version
    versions: Mapping[str, Version] = field(default_factory=dict[str, Version])
    """The version at each address: the ETags of mirrors may differ, those of one mirror not."""

    def to_json(self) -> dict[str, Any]:
        """The same as plain data, for the next process."""
        versions = {address: [*astuple(version)] for address, version in self.versions.items()}
        return {"size": self.size, "version": [*astuple(self.version)], "versions": versions}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> KnownFile:
        """Make an object of what `to_json` has returned."""
        versions = {address: Version(*parts) for address, parts in data["versions"].items()}
        return cls(data["size"], Version(*data["version"]), versions)


class FileMemo:
    """The file of the stream, as one attempt finds it in the memo and remembers it there.

    All sources whose position is a number of bytes share it: so they can be in one stream.

    Attributes:
        known: the file of the delivered bytes; None if nothing is known of it.
    """

    def __init__(self, memo: MutableMapping[str, Any]) -> None:
        self._memo = memo
        self._attempt = memo[ATTEMPT] = object()
        entry: Any = memo.get(MEMO)
        file = entry.get("file") if hasattr(entry, "get") else None
        self.known = None if file is None else KnownFile.from_json(file)

    def remember(self, known: KnownFile) -> None:
        """Remember the file, before a byte of it is delivered.

        Not in an attempt that was abandoned after a timeout: when it receives its response, another
        one has begun, perhaps with another file.
        """
        if self._memo.get(ATTEMPT) is self._attempt:
            self._memo[MEMO] = {"file": known.to_json()}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file, or a range of it, at an address.

    Attributes:
        address: what identifies the mirror.
        same_file: what shows that two responses are the same file.
        first: the first byte that the stream delivers.
        last: the last one, or None for the end of the file.
        known: the file from which an earlier process delivered the bytes before `first`.
    """

    address: str
    same_file: SameFile = "etag"
    first: int = 0
    last: int | None = None
    known: KnownFile | None = None

    def ask(self, delivered: int, known: KnownFile | None) -> Ask | None:
        """What to request after that many bytes of this file; None if nothing is missing."""
        joins = delivered > 0 or self.known is not None
        known = (known or self.known) if joins else None
        ask = Ask(self, self.first + delivered, joins=joins, known=known)
        if joins and (
            (known is not None and known.size == ask.start)
            or (self.last is not None and ask.start > self.last)
        ):
            return None  # it broke after the last byte
        return ask


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the rest of the file from `start`."""

    file: RemoteFile
    start: int
    joins: bool = field(kw_only=True)
    known: KnownFile | None = field(kw_only=True)

    @property
    def validator(self) -> str | None:
        """The value of If-Range."""
        if self.known is None:
            return None
        version = self.known.version
        if self.file.same_file != "etag":
            version = self.known.versions.get(self.file.address, Version(None, None, None))
        return version.validator

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of the request."""
        headers = {"accept-encoding": "identity"}
        if self.is_partial:
            last = "" if self.file.last is None else self.file.last
            headers["range"] = f"bytes={self.start}-{last}"
            if self.validator is not None:
                headers["if-range"] = self.validator
        return headers

    @property
    def is_partial(self) -> bool:
        """Whether it asks for a range."""
        return self.start > 0 or self.file.last is not None

    def judge(self, response: Response) -> Body | None:
        """Return the body to read, or None if the file has no more bytes.

        Raises:
            DivergedStream: the bytes of this response do not follow those that were delivered, or
                it cannot be told whether they do.
            BadResponse: the status is a failure.
        """
        if response.status == 416 and self.joins:
            self._check_end(response)
            return None
        check_status(response, 200, 206)
        check_encoding(response)
        length = _content_length(response)
        if response.status == 206:
            return self._partial(response, length)
        return self._whole(response, length)

    def _check_end(self, response: Response) -> None:
        found = UNSATISFIED.fullmatch(response.headers.get("Content-Range") or "")
        if found is None or int(found[1]) != self.start:
            size = f"it has {found[1]}" if found else "it does not say how many it has"
            refuse(response, f"{self.start} bytes were delivered, and {size}")
        self._check_same(response, int(found[1]))

    def _partial(self, response: Response, length: int | None) -> Body:
        text = response.headers.get("Content-Range")
        found = CONTENT_RANGE.fullmatch(text or "")
        if not self.is_partial or found is None or int(found[1]) != self.start:
            asked = self.headers.get("range", "the whole file")
            refuse(response, f"asked for {asked}, the answer is Content-Range: {text}")
        end = int(found[2]) + 1
        size = None if found[3] == "*" else int(found[3])
        limit = min(each for each in (size, self._end, end) if each is not None)
        if not self.start < end == limit:
            refuse(response, f"its Content-Range is impossible: {text}")
        if length not in {None, end - self.start}:
            refuse(response, f"Content-Length {length} contradicts Content-Range: {text}")
        self._check_same(response, size)
        known = self._learned(response, size)
        is_end = end in {self._end, known.size}
        return Body(response.url, known, want=end - self.start, is_end=is_end)

    def _whole(self, response: Response, size: int | None) -> Body:
        if "Content-Range" in response.headers:
            refuse(response, "answered 200 (the whole file) with a Content-Range")
        self._check_same(response, size)
        known = self._learned(response, size)
        if known.size is None and not response.marks_end:
            refuse(response, "sends no length, so a broken connection looks like the end")
        ends = [each for each in (known.size, self._end) if each is not None]
        want = None if known.size is None else max(0, min(ends) - self.start)
        limit = max(0, min(ends) - self.start) if self._end is not None else None
        return Body(response.url, known, skip=self.start, want=want, limit=limit)

    @property
    def _end(self) -> int | None:
        return None if self.file.last is None else self.file.last + 1

    def _check_same(self, response: Response, size: int | None) -> None:
        """Raise unless the response is of the file from which the stream has delivered."""
        if not self.joins:
            return
        if self.known is None and self.file.same_file is not None:
            refuse(
                response,
                f"nothing says which version of the file the {self.start - self.file.first} bytes "
                "before are from: start over, or set same_file=None and verify the digest",
            )
        known = self.known or KnownFile(None, Version(None, None, None))
        version = Version.of(response.headers)
        if None not in {size, known.size} and size != known.size:
            refuse(response, f"another file: {size} bytes instead of {known.size}")
        if self.file.same_file == "etag":
            _check_validator(response, known.version, version)
            return
        own = known.versions.get(self.file.address)
        if own is not None and own.contradicts(version):
            refuse(response, f"the file has changed: {own} became {version}")
        if self.file.same_file == "size" and None in {size, known.size}:
            refuse(response, "sends no size, which same_file='size' compares")

    def _learned(self, response: Response, size: int | None) -> KnownFile:
        version = Version.of(response.headers)
        if self.known is None:
            return KnownFile(size, version, {self.file.address: version})
        return KnownFile(
            self.known.size if size is None else size,
            self.known.version,
            {**self.known.versions, self.file.address: version},
        )


def _check_validator(response: Response, known: Version, version: Version) -> None:
    expected = known.validator
    if expected is None:
        refuse(
            response,
            "cannot be joined, because the delivered bytes had no strong ETag or Last-Modified; "
            "same_file='size' compares the size alone",
        )
    found = version.etag if known.etag else version.modified
    # If-Range was sent: a 416 need not repeat what matched, a 206 only the ETag (RFC 9110, 15.3.7).
    # A 206 whose ETag is new is of another file, or of a mirror that ignores If-Range.
    may_omit = response.status == 416 or (
        response.status == 206 and not (known.etag or version.etag)
    )
    if found != expected and not (found is None and may_omit):
        refuse(response, f"another version of the file: {found or version} instead of {expected}")


def _content_length(response: Response) -> int | None:
    text = response.headers.get("Content-Length")
    if text is None or response.headers.get("Transfer-Encoding"):
        return None
    if not text.isdecimal():
        refuse(response, f"sends Content-Length: {text}")
    return int(text)


@dataclass(slots=True)
class Body:
    """The body of a response: what to drop, what to deliver, and whether it is all there.

    Attributes:
        url: the address for messages.
        known: what the stream knows of the file once it has delivered from this body.
        skip: how many bytes to drop first, because they were delivered.
        want: how many bytes must follow; None if the server does not say.
        limit: how many bytes the user asked for, where the body may go on.
        is_end: whether the file ends with this body.
    """

    url: str
    known: KnownFile
    skip: int = 0
    want: int | None = None
    limit: int | None = None
    is_end: bool = True
    received: int = 0

    def take(self, chunk: bytes) -> bytes:
        """Return the part of the chunk that is to be delivered."""
        if self.skip:
            dropped = min(self.skip, len(chunk))
            self.skip -= dropped
            chunk = chunk[dropped:]
        self.received += len(chunk)
        if self.limit is not None and self.received > self.limit:
            chunk = chunk[: len(chunk) - (self.received - self.limit)]
            self.received = self.limit
        if self.want is not None and self.received > self.want:
            raise DivergedStream(f"{self.url}: sends more than the {self.want} bytes it announced")
        return chunk

    @property
    def is_full(self) -> bool:
        """Whether the rest of the body is not wanted."""
        return self.received == self.limit

    def check_end(self) -> None:
        """Raise if bytes are missing where the body ends."""
        if self.skip:
            raise DivergedStream(
                f"{self.url}: another file: it ends {self.skip} bytes before what was delivered"
            )
        if self.want is not None and self.received < self.want:
            raise TruncatedStream(f"{self.url}: ended after {self.received} of {self.want} bytes")
        if not self.is_end:
            raise TruncatedStream(f"{self.url}: sent only a part of the range")


def parse_range(function: str, value: str | None) -> tuple[int, int | None]:
    """The first and last byte of the user's Range header."""
    if value is None:
        return 0, None
    found = RANGE.fullmatch(value.replace(" ", ""))
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        raise ValueError(
            f"{function}(headers=...): Range must be 'bytes=FIRST-LAST' or 'bytes=FIRST-', "
            f"got {value!r}"
        )
    return int(found[1]), int(found[2]) if found[2] else None
