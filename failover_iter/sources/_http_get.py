"""One GET request with the client that the user holds: httpx, requests or aiohttp."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from functools import partial
from typing import Any, Protocol

from failover_iter.sources._response import Response, shown_url

#: Bytes that requests reads at once; the other clients return the bytes that have arrived.
READ_SIZE = 64 * 1024
#: Under which key of `Progress.memo` the open response is, for `abort`.
MEMO = "http response"


def absolute_url(client: Any, url: object) -> str:
    """The address that the client requests for this URL, with its base URL."""
    with suppress(Exception):  # the client itself says later what is wrong
        if hasattr(client, "build_request"):  # httpx
            return str(client.build_request("GET", url).url)
        # Of requests-toolbelt, and of aiohttp, which has no public way.
        join = getattr(client, "create_url", None) or getattr(client, "_build_url", None)
        if join is not None:
            return str(join(url))
    return str(url)


class SyncClient(Protocol):
    """An `httpx.Client` or a `requests.Session`."""

    def __enter__(self) -> Any:
        """Use the client in a `with` block."""

    def get(self, url: str, /) -> Any:
        """Send a GET request."""


class AsyncClient(Protocol):
    """An `httpx.AsyncClient` or an `aiohttp.ClientSession`."""

    async def __aenter__(self) -> Any:
        """Use the client in an `async with` block."""

    def get(self, url: str, /) -> Any:
        """Send a GET request."""


def is_async(client: object) -> bool:
    """Whether the client is an async one."""
    return hasattr(client, "__aenter__")


Opener = Callable[[Any, str, dict[str, Any]], AbstractContextManager[Response]]
AsyncOpener = Callable[[Any, str, dict[str, Any]], AbstractAsyncContextManager[Response]]


def opener_of(function: str, client: object) -> Opener:
    """The function that opens a response with this sync client."""
    if hasattr(client, "prepare_request"):  # it has an attribute `stream` too: a bool
        return _with_requests
    if hasattr(client, "stream"):
        return _with_httpx
    raise _unknown(function, client)


def async_opener_of(function: str, client: object) -> AsyncOpener:
    """The function that opens a response with this async client."""
    if hasattr(client, "stream"):
        return _with_async_httpx
    if hasattr(client, "ws_connect"):
        return _with_aiohttp
    raise _unknown(function, client)


def _unknown(function: str, client: object) -> TypeError:
    return TypeError(
        f"{function}(client) must be an httpx.Client, httpx.AsyncClient, requests.Session or "
        f"aiohttp.ClientSession, got {client!r}"
    )


@contextmanager
def _with_httpx(client: Any, url: str, request: dict[str, Any]) -> Generator[Response]:
    with (
        client.stream("GET", url, **request) as answer,
        closing(answer.iter_raw()) as chunks,
    ):
        stream = answer.extensions.get("network_stream")
        # Over HTTP/2 the connection belongs to other requests too.
        is_ours = stream is not None and answer.http_version.startswith("HTTP/1")
        yield _response(answer, answer.status_code, chunks, _shut_by(stream) if is_ours else None)


@contextmanager
def _with_requests(client: Any, url: str, request: dict[str, Any]) -> Generator[Response]:
    with client.get(url, stream=True, **request) as answer:
        sized = _marks_end(answer.headers) or "Content-Length" in answer.headers
        # Not `raw`: its errors are those of urllib3. Without an end, requests waits for all bytes.
        shut = getattr(answer.raw, "shutdown", None)  # urllib3 2.3 and newer
        with closing(answer.iter_content(READ_SIZE if sized else 1)) as chunks:
            yield _response(answer, answer.status_code, chunks, shut)


@asynccontextmanager
async def _with_async_httpx(
    client: Any, url: str, request: dict[str, Any]
) -> AsyncGenerator[Response]:
    async with (
        client.stream("GET", url, **request) as answer,
        aclosing(answer.aiter_raw()) as chunks,
    ):
        yield _response(answer, answer.status_code, chunks)


@asynccontextmanager
async def _with_aiohttp(client: Any, url: str, request: dict[str, Any]) -> AsyncGenerator[Response]:
    async with client.get(url, **request) as answer:
        yield _response(answer, answer.status, answer.content.iter_any())


def _shut_by(stream: Any) -> Callable[[], object]:
    """Shut the connection of a response that another thread reads."""
    # Not the method of an SSLSocket, which would also take away what that thread reads with.
    connection = stream.get_extra_info("socket")
    return partial(socket.socket.shutdown, connection, socket.SHUT_RDWR)


@contextmanager
def abortable(response: Response, memo: dict[str, Any]) -> Generator[None]:
    """While it is open, `abort` makes a blocked read of this response return.

    The error of that read is dropped, because nobody asks for more.
    """
    memo[MEMO] = response
    try:
        yield
    except Exception:
        if memo.get(MEMO) is response:
            raise
    finally:
        if memo.get(MEMO) is response:  # and not that of a later attempt
            memo.pop(MEMO, None)


def abort(_: object, memo: dict[str, Any]) -> None:
    """Make a blocked read return; see `Source(abort=...)`."""
    response: Response | None = memo.pop(MEMO, None)
    if response is not None and response.shut is not None:
        response.shut()


def _response(
    answer: Any, status: int, chunks: Any, shut: Callable[[], object] | None = None
) -> Response:
    headers: Mapping[str, str] = answer.headers
    framed = getattr(answer, "http_version", "") in {"HTTP/2", "HTTP/3"}
    return Response(
        shown_url(answer.url), status, headers, framed or _marks_end(headers), chunks, shut
    )


def _marks_end(headers: Mapping[str, str]) -> bool:
    return (headers.get("Transfer-Encoding") or "").lower().endswith("chunked")


def request_headers(
    function: str, request: dict[str, Any], reserved: tuple[str, ...]
) -> dict[str, str]:
    """The header fields that the user wants, by lower-case name."""
    headers = {
        str(name).lower(): value for name, value in dict(request.get("headers") or {}).items()
    }
    for name in reserved:
        if name.lower() in headers:
            raise ValueError(f"{function}(headers=...) must not set {name}: the source sets it")
    return headers


def with_headers(request: dict[str, Any], own: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a request, with header fields of the source in place of the user's."""
    users = dict(request.get("headers") or {})
    kept = {name: value for name, value in users.items() if str(name).lower() not in own}
    return {**request, "headers": {**kept, **own}}
