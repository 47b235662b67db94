"""`ranged`: an object of any object store, byte for byte."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
)
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NoReturn, Protocol, TypeAlias, overload

from failover_iter import DivergedStream, Progress, Source, TruncatedStream
from failover_iter.sources._remote_file import BY_BYTES, FileMemo, KnownFile, Version
from failover_iter.sources._resource import (
    aclosed_after,
    awaited,
    check_not_async,
    closed_after,
    is_async_function,
    view_of,
)
from failover_iter.sources._response import TRANSIENT

#: Bytes that are read at once from a file.
READ_SIZE = 256 * 1024
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

#: The version of an object of which the client says nothing.
UNTAGGED = Version.of({})

#: What shows that two stores have the same object.
SameObject: TypeAlias = Literal["etag", "size"]


class File(Protocol):
    """A file, also one of an object store."""

    def read(self, size: int, /) -> Any:
        """Read at most this many bytes."""


class StoredObject(Protocol):
    """A result of obstore."""

    @property
    def meta(self) -> Any:
        """The size and the ETag."""

    def stream(self) -> Any:
        """The chunks of the object."""


#: The result of a sync function.
Opened: TypeAlias = Mapping[str, Any] | Iterable[Any] | File | StoredObject


@overload
def ranged(
    open_range: Callable[[int], Opened], size: int, *, same_file: SameObject = "etag"
) -> Source[Generator[bytes]]: ...
@overload
def ranged(
    open_range: Callable[[int], Awaitable[Any] | AsyncIterable[Any]],
    size: int,
    *,
    same_file: SameObject = "etag",
) -> Source[AsyncGenerator[bytes]]: ...
def ranged(
    open_range: Callable[[int], Any], size: int, *, same_file: SameObject = "etag"
) -> Source[Any]:
    """An object of an object store, as chunks of bytes: exactly its bytes, or an error.

    `open_range(start)` opens the object from byte `start` on. It may return what clients return:

    - the response of `get_object` of boto3 or aiobotocore, whose `ContentRange` and `ETag` are
      checked;
    - the result of `get` of obstore, whose range and metadata are checked;
    - a file at that position (fsspec, google-cloud-storage), an iterable of chunks, or bytes.

    The source closes what it has opened. After a failure the next attempt begins at the first
    missing byte. The source ends when `size` bytes are delivered, and reads no further. Fewer are
    a `TruncatedStream`; a chunk that goes beyond, or another range, size or ETag, is a
    `DivergedStream`.

    Args:
        open_range: a function of the first byte; for async streams an async one (a coroutine
            function or an async generator function).
        size: the size of the object in bytes (`head_object(...)["ContentLength"]`).
        same_file: "etag": ETags that are known must be equal, also those of two stores, and that of
            a mirror of `http_bytes`, which must have one. "size": only the size counts, for stores
            with different ETags; verify the digest of the result.

    Returns:
        A source that brings its own `mid_stream`, `reset_on_progress` and name (that of the
        function), and leaves a store at once that does not have the object. It can be in one
        stream with `http_bytes`.

    Raises:
        TypeError: `open_range` is not callable, or `size` is not an int.
        ValueError: `size` is negative, or `same_file` has another value.

    Example:
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import ranged
        >>> data = b"to be or not to be"
        >>> def primary(start):
        ...     yield data[start:start + 9]
        ...     raise ConnectionError("reset by peer")
        >>> def replica(start):
        ...     return data[start:]
        >>> sources = [ranged(primary, len(data)), ranged(replica, len(data))]
        >>> b"".join(failover_stream(sources, retry_on=ConnectionError))
        b'to be or not to be'
    """
    given: object = open_range
    if not callable(given):
        raise TypeError(
            f"ranged(open_range) must be a function of the first byte, got {type(given).__name__}"
        )
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"ranged(size) must be an int, got {type(size).__name__}")
    if size < 0:
        raise ValueError(f"ranged(size) must not be negative, got {size}")
    if same_file not in {"etag", "size"}:
        raise ValueError(f"ranged(same_file=...) must be 'etag' or 'size', got {same_file!r}")
    name = _name_of(open_range)
    stored = _Stored(open_range, name, size, same_file)
    return Source(
        stored.achunks if is_async_function(open_range) else stored.chunks,
        name=name,
        mid_stream=BY_BYTES,
        reset_on_progress=True,
        switch_on=_is_final,
    )


def _name_of(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    name: str = getattr(function, "__name__", "<")
    return "ranged" if name.startswith("<") else name


def _is_final(error: Exception) -> bool:
    """Whether it makes no sense to ask the same store again."""
    if isinstance(error, DivergedStream | FileNotFoundError | PermissionError):
        return True
    of_botocore: Any = error
    try:
        status: int = of_botocore.response["ResponseMetadata"]["HTTPStatusCode"]
    except (AttributeError, KeyError, TypeError):
        return False
    return status < 500 and status not in TRANSIENT


@dataclass(frozen=True, slots=True)
class _Stored:
    """An object, and how it is opened."""

    open_range: Callable[[int], Any]
    name: str
    size: int
    same_file: SameObject

    def chunks(self, progress: Progress[Any]) -> Generator[bytes]:
        """Yield the missing bytes, from a sync store."""
        rest = _Rest(self, progress)
        if rest.is_complete:
            return
        opened = self.open_range(rest.position)
        check_not_async("ranged(open_range)", opened)
        with closed_after(rest.body(opened)) as body:
            for chunk in _chunks(body):
                if part := rest.take(chunk):  # an empty one would be progress
                    yield part
                if rest.is_complete:
                    break
        rest.check_end()

    async def achunks(self, progress: Progress[Any]) -> AsyncGenerator[bytes]:
        """Yield the missing bytes, from an async store."""
        rest = _Rest(self, progress)
        if rest.is_complete:
            return
        opened = await awaited(self.open_range(rest.position))
        async with aclosed_after(rest.body(opened)) as body:
            async for chunk in _achunks(body):
                if part := rest.take(chunk):
                    yield part
                if rest.is_complete:
                    break
        rest.check_end()


class _Rest:
    """The missing bytes: which they are, and whether they are those of the object."""

    def __init__(self, stored: _Stored, progress: Progress[Any]) -> None:
        self.stored = stored
        self.position: int = progress.cursor
        self._memo = FileMemo(progress.memo)
        #: The object that the bytes before it are from.
        self._known = self._memo.known if self.position else None
        #: Whether nothing was said of these where something should have been: they came from
        #: another stream, or over HTTP. A store that says no ETag is trusted.
        self._is_unknown = bool(self.position) and not progress.failures
        if self._known is not None:
            self._is_unknown = bool(self._known.versions) and self._known.version.etag is None

    @property
    def is_complete(self) -> bool:
        """Whether no byte is missing."""
        return self.position == self.stored.size

    def body(self, opened: Any) -> Any:
        """What to read from, once it is known to begin at the right byte of the right object."""
        body, etag = opened, None
        if hasattr(opened, "get") and "Body" in opened:
            body, etag = opened["Body"], opened.get("ETag")
            self._check_answer(opened)
        elif hasattr(opened, "stream") and hasattr(opened, "meta"):
            etag = opened.meta.get("e_tag")
            self._check_range(opened.range[0], opened.meta["size"])
            body = opened.stream()
        is_body = any(hasattr(body, method) for method in ("read", "__iter__", "__aiter__"))
        if not is_body or hasattr(body, "keys"):
            raise TypeError(
                "ranged(open_range) must return a response of get_object, a result of obstore, a "
                f"file, an iterable of chunks, or bytes, got {type(body).__name__}"
            )
        self._check_version(etag)
        self._remember(etag)
        return body

    def take(self, chunk: Any) -> bytes:
        """The chunk as bytes, counted."""
        data = chunk if isinstance(chunk, bytes) else bytes(view_of("ranged", chunk))
        self.position += len(data)
        if self.position > self.stored.size:
            self._refuse(f"sends more than the {self.stored.size} bytes that it should have")
        return data

    def check_end(self) -> None:
        """Raise if bytes are missing where the object ends."""
        if not self.is_complete:
            raise TruncatedStream(
                f"{self.stored.name}: ended after {self.position} of {self.stored.size} bytes"
            )

    def _check_answer(self, answer: Mapping[str, Any]) -> None:
        text = answer.get("ContentRange")
        found = CONTENT_RANGE.fullmatch(text or "")
        if found is not None:
            self._check_range(int(found[1]), int(found[2]))
        elif text is None and self.position == 0:
            self._check_range(0, answer.get("ContentLength"))
        else:
            self._refuse(f"asked for the bytes from {self.position} on, got ContentRange: {text}")

    def _check_range(self, start: int, size: int | None) -> None:
        if start != self.position:
            self._refuse(f"asked for the bytes from {self.position} on, got those from {start} on")
        if size not in {None, self.stored.size}:
            self._refuse(f"another object: {size} bytes instead of {self.stored.size}")

    def _check_version(self, etag: str | None) -> None:
        """Raise unless this may be the object that the bytes before are from."""
        known = self._known
        if known is not None and known.size not in {None, self.stored.size}:
            self._refuse(f"another object: {self.stored.size} bytes instead of {known.size}")
        if self.stored.same_file != "etag" or etag is None:
            return
        if self._is_unknown:
            self._refuse(
                f"nothing says whether the {self.position} bytes before are of this version of the "
                "object: set same_file='size', or start over"
            )
        if known is not None and known.version.etag not in {None, etag}:
            self._refuse(f"another version of the object: {etag} instead of {known.version.etag}")

    def _remember(self, etag: str | None) -> None:
        """Remember the object; one that begins anew replaces one whose bytes were discarded."""
        known = self._known or KnownFile(None, UNTAGGED)
        version = known.version
        if etag is not None and version == UNTAGGED:
            version = Version.of({"ETag": etag})
        self._memo.remember(KnownFile(self.stored.size, version, known.versions))

    def _refuse(self, why: str) -> NoReturn:
        raise DivergedStream(f"{self.stored.name}: {why}")


def _chunks(body: Any) -> Generator[Any]:
    """The chunks of a file, an iterable, or bytes."""
    if isinstance(body, bytes | bytearray | memoryview):
        yield body
    elif hasattr(body, "read"):
        while chunk := body.read(READ_SIZE):
            yield chunk
    else:
        yield from body


async def _achunks(body: Any) -> AsyncGenerator[Any]:
    """The same for an async file or iterable."""
    if hasattr(body, "read"):
        while chunk := await awaited(body.read(READ_SIZE)):
            yield chunk
    elif hasattr(body, "__aiter__"):
        async for chunk in body:
            yield chunk
    else:
        for chunk in _chunks(body):
            yield chunk
