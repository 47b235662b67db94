"""`http_bytes`: a file over HTTP, byte for byte."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

from collections.abc import AsyncGenerator, Generator
from typing import Any, overload

from failover_iter import Source
from failover_iter.sources._download import as_source, new_download
from failover_iter.sources._http_get import AsyncClient, SyncClient, is_async
from failover_iter.sources._remote_file import SameFile


@overload
def http_bytes(
    client: AsyncClient, url: Any, *, same_file: SameFile = "etag", **request: Any
) -> Source[AsyncGenerator[bytes]]: ...
@overload
def http_bytes(
    client: SyncClient, url: Any, *, same_file: SameFile = "etag", **request: Any
) -> Source[Generator[bytes]]: ...
def http_bytes(
    client: Any, url: Any, *, same_file: SameFile = "etag", **request: Any
) -> Source[Any]:
    """A file over HTTP, as chunks of bytes: either exactly that file, or an error.

    After a failure, the next request asks for the missing bytes alone (`Range`), from the same
    mirror or the next one. Each answer is checked by the rules of RFC 9110: an answer that cannot
    be joined to the bytes that were delivered is a `DivergedStream`, whose message names the mirror
    and the reason. If a mirror answers a range with the whole file, the delivered bytes are
    dropped. An answer that ends too early is a `TruncatedStream`.

    A `Checkpoint` saves the version of the file with the position, so the next process goes on with
    the same file.

    A status that is a failure is a `BadResponse`. These errors need not be in `retry_on`; name the
    errors of the client there.

    Args:
        client: an `httpx.Client` or `requests.Session`; for async streams an `httpx.AsyncClient` or
            `aiohttp.ClientSession`. It remains yours: configure it, and close it.
        url: where the file is.
        same_file: what shows that two answers are the same file. "etag": the same strong ETag (or,
            without an ETag, the same Last-Modified), and the same size. "size": the same size, for
            mirrors with different ETags; verify the digest of the result. `None`: whatever sizes
            and ETags there are must not contradict each other. In each case the file must not
            change on one mirror.
        request: further arguments for the client's request, such as `headers`, `params`, `auth` or
            `timeout`. With a header `Range: bytes=FIRST-LAST` the source is that part of the file.

    Returns:
        A source that brings its own `mid_stream`, `reset_on_progress` and name (the host).

    Raises:
        TypeError: `client` is not one of these clients.
        ValueError: `same_file` or a header has a value that is not allowed.

    Example:
        >>> import httpx
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import http_bytes
        >>> from failover_iter.testing import FileAnswer, file_server
        >>> data = bytes(100_000)
        >>> with file_server(data, [FileAnswer(cut=70_000), FileAnswer()]) as server:
        ...     with httpx.Client() as client:
        ...         files = [http_bytes(client, url) for url in server.urls]
        ...         stream = failover_stream(files, retry_on=httpx.TransportError, attempts=5)
        ...         b"".join(stream) == data
        True
    """
    download = new_download("http_bytes", client, url, same_file, request)
    return as_source(download, download.achunks if is_async(client) else download.chunks)
