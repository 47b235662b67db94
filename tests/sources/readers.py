"""Each HTTP client, read to the end in one way, so that a case is written once."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import aclosing, closing
from typing import Any, NamedTuple

import httpx
import pytest

from failover_iter import afailover_stream, failover_stream
from support.needs import needs, unless_installed

#: For clients that meet no TLS: by default each one loads all certificates, which takes longer than
#: most of the tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Result(NamedTuple):
    """The delivered items, and the error that ended the stream."""

    items: list[Any]
    error: Exception | None

    @property
    def data(self) -> bytes:
        """The delivered bytes."""
        return b"".join(self.items)


Make = Callable[[Any, str], Any]


def read_all(items_of: Any, stream: Any = None) -> Result:
    """Read all items; then close the stream, if it is another object."""
    items: list[Any] = []
    with closing(items_of if stream is None else stream):
        try:
            items.extend(items_of)  # keeps what came before an error
        except Exception as error:
            return Result(items, error)
    return Result(items, None)


async def aread_all(items_of: Any, stream: Any = None) -> Result:
    """The same for an async stream."""
    items: list[Any] = []
    async with aclosing(items_of if stream is None else stream):
        try:
            async for item in items_of:
                items.append(item)
        except Exception as error:
            return Result(items, error)
    return Result(items, None)


def with_httpx(make: Make, urls: Sequence[str], **options: Any) -> Result:
    with httpx.Client(timeout=5, verify=NO_TLS) as client:
        sources = [make(client, url) for url in urls]
        return read_all(failover_stream(sources, retry_on=httpx.TransportError, **options))


def with_requests(make: Make, urls: Sequence[str], **options: Any) -> Result:
    requests = needs("requests")
    with requests.Session() as client:
        sources = [make(client, url) for url in urls]
        return read_all(failover_stream(sources, retry_on=requests.RequestException, **options))


async def _with_async_httpx(make: Make, urls: Sequence[str], options: Any) -> Result:
    async with httpx.AsyncClient(timeout=5, verify=NO_TLS) as client:
        sources = [make(client, url) for url in urls]
        return await aread_all(afailover_stream(sources, retry_on=httpx.TransportError, **options))


def with_httpx_on_asyncio(make: Make, urls: Sequence[str], **options: Any) -> Result:
    return asyncio.run(_with_async_httpx(make, urls, options))


def with_httpx_on_trio(make: Make, urls: Sequence[str], **options: Any) -> Result:
    import trio

    return trio.run(_with_async_httpx, make, urls, options)


async def _with_aiohttp(make: Make, urls: Sequence[str], options: Any) -> Result:
    aiohttp = needs("aiohttp")
    async with aiohttp.ClientSession() as client:
        sources = [make(client, url) for url in urls]
        return await aread_all(afailover_stream(sources, retry_on=aiohttp.ClientError, **options))


def with_aiohttp(make: Make, urls: Sequence[str], **options: Any) -> Result:
    return asyncio.run(_with_aiohttp(make, urls, options))


READERS = [
    pytest.param(read, marks=unless_installed(*modules), id=read.__name__)
    for read, *modules in (
        (with_httpx,),
        (with_httpx_on_asyncio,),
        (with_httpx_on_trio,),
        (with_requests, "requests"),
        (with_aiohttp, "aiohttp"),
    )
]
#: The parameter of a test that runs with each client.
each_client = pytest.mark.parametrize("read", READERS)
