"""`http_lines`: the lines of a text file over HTTP, each once and whole."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, closing
from io import BytesIO
from typing import Any, overload

from failover_iter import Progress, Source
from failover_iter.sources._download import Download, as_source, new_download
from failover_iter.sources._http_get import AsyncClient, SyncClient, is_async
from failover_iter.sources._remote_file import SameFile


@overload
def http_lines(
    client: AsyncClient, url: Any, *, same_file: SameFile = "etag", **request: Any
) -> Source[AsyncGenerator[bytes]]: ...
@overload
def http_lines(
    client: SyncClient, url: Any, *, same_file: SameFile = "etag", **request: Any
) -> Source[Generator[bytes]]: ...
def http_lines(
    client: Any, url: Any, *, same_file: SameFile = "etag", **request: Any
) -> Source[Any]:
    r"""The lines of a file over HTTP, as bytes with their line ends, like a binary file.

    A line is delivered when all of it has arrived. After a failure the next request asks for what
    follows the last line that was delivered. Everything else is as in `http_bytes`.

    Args:
        client: as in `http_bytes`.
        url: where the file is.
        same_file: as in `http_bytes`.
        request: as in `http_bytes`.

    Returns:
        A source that brings its own `mid_stream`, `reset_on_progress` and name (the host).

    Raises:
        TypeError: `client` is not an HTTP client.
        ValueError: `same_file` or a header has a value that is not allowed.

    Example:
        >>> import httpx
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import http_lines
        >>> from failover_iter.testing import FileAnswer, file_server
        >>> with file_server(b"1\n22\n333\n", [FileAnswer(cut=4), FileAnswer()]) as server:
        ...     with httpx.Client() as client:
        ...         lines = http_lines(client, server.urls[0])
        ...         list(failover_stream([lines], retry_on=httpx.TransportError, attempts=2))
        [b'1\n', b'22\n', b'333\n']
    """
    download = new_download("http_lines", client, url, same_file, request)
    lines = _Lines(download)
    return as_source(download, lines.alines if is_async(client) else lines.lines)


class _Lines:
    """The lines of a download."""

    def __init__(self, download: Download) -> None:
        self._download = download

    def lines(self, progress: Progress[bytes]) -> Generator[bytes]:
        """Yield the missing lines, with a sync client."""
        splitter = _Splitter()
        with closing(self._download.chunks(progress)) as chunks:
            for chunk in chunks:
                yield from splitter.split(chunk)
        yield from splitter.rest()

    async def alines(self, progress: Progress[bytes]) -> AsyncGenerator[bytes]:
        """Yield the missing lines, with an async client."""
        splitter = _Splitter()
        async with aclosing(self._download.achunks(progress)) as chunks:
            async for chunk in chunks:
                for line in splitter.split(chunk):
                    yield line
        for line in splitter.rest():
            yield line


class _Splitter:
    """Splits chunks into lines, and keeps the part of a line that has arrived."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def split(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that are complete with this chunk."""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._parts.append(chunk)
            return iter(())
        whole = BytesIO(b"".join((*self._parts, chunk[:end])))
        self._parts = [chunk[end:]] if end < len(chunk) else []
        return iter(whole)

    def rest(self) -> Iterator[bytes]:
        """The last line, if the file does not end with a line end."""
        return iter([b"".join(self._parts)] if self._parts else [])
