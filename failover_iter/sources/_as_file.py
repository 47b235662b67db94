"""`as_file`: a stream of bytes as a file, for pandas, csv, gzip, tarfile and json."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

import io
from collections.abc import Iterable
from typing import Any

from failover_iter.sources._resource import view_of

#: Bytes that the file reads ahead for small reads.
BUFFER_SIZE = 64 * 1024


def as_file(stream: Iterable[bytes], *, buffer_size: int = BUFFER_SIZE) -> io.BufferedReader:
    r"""A binary file that reads from a stream of bytes.

    Libraries that take an open file can then read from a stream that survives its source. The file
    has the methods of `io.BufferedReader`. It can skip forward (`seek`), and never goes back. For
    text, wrap it in `io.TextIOWrapper`.

    An error of the stream is raised by the read that meets it, and each later read raises an
    `OSError`: a file that failed never looks like one that ended.

    Args:
        stream: a sync stream of bytes, such as a `failover_stream` of `http_bytes`. The file owns
            it: closing the file closes the stream.
        buffer_size: how many bytes are read at once for small reads.

    Returns:
        The file. Use it in a `with` block.

    Raises:
        TypeError: `stream` is not a sync iterable, or yields something else than bytes.
        ValueError: `buffer_size` is not positive.

    Example:
        >>> import csv, io
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import as_file
        >>> def primary():
        ...     yield b"id,name\n1,a"
        ...     raise ConnectionError("reset by peer")
        >>> def replica():
        ...     yield b"id,name\n1,anna\n2,ben\n"
        >>> from failover_iter import Skip
        >>> stream = failover_stream([primary, replica], retry_on=ConnectionError,
        ...                          mid_stream=Skip(size=len))
        >>> with as_file(stream) as file:
        ...     list(csv.DictReader(io.TextIOWrapper(file)))
        [{'id': '1', 'name': 'anna'}, {'id': '2', 'name': 'ben'}]
    """
    given: Any = stream
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        hint = "; an async stream cannot be a file" if hasattr(stream, "__aiter__") else ""
        raise TypeError(
            f"as_file(stream) must be an iterable of bytes, got {type(stream).__name__}{hint}"
        )
    return _File(_Raw(stream), buffer_size)


class _Raw(io.RawIOBase):
    """Reads what the stream yields, in pieces of any size."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream: Any = stream
        self._chunks = iter(stream)
        self._chunk = memoryview(b"")
        self._position = 0
        self._failure = ""

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer with at most the rest of one chunk; 0 at the end of the stream."""
        if self._failure:
            raise OSError(f"the stream of this file has failed: {self._failure}")
        while not self._chunk:
            try:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return 0
                self._chunk = view_of("as_file", chunk).cast("B")
            except BaseException as error:  # after a KeyboardInterrupt the stream has ended too
                self._failure = f"{type(error).__name__}: {error}"
                raise
        size = min(len(buffer), len(self._chunk))
        buffer[:size] = self._chunk[:size]
        self._chunk = self._chunk[size:]
        self._position += size
        return size

    def tell(self) -> int:
        """The number of bytes read from the stream."""
        return self._position

    def close(self) -> None:
        """Close the stream. The buffer calls this once."""
        try:
            close = getattr(self._chunks, "close", None) or getattr(self._stream, "close", None)
            if close is not None:
                close()
        finally:
            super().close()


class _File(io.BufferedReader):
    """A buffered file that can skip forward, though it is not seekable."""

    def seek(self, target: int, whence: int = io.SEEK_SET, /) -> int:
        """Skip forward, by reading; at most to the end of the stream."""
        here = self.tell()
        missing = target - here if whence == io.SEEK_SET else target
        if whence not in {io.SEEK_SET, io.SEEK_CUR} or missing < 0:
            raise io.UnsupportedOperation("a stream goes forward only: it cannot seek back")
        while missing and (skipped := len(self.read(min(missing, BUFFER_SIZE)))):
            missing -= skipped
        return self.tell()
