"""The fault server fails like a real one, and tests pipelines with their HTTP clients."""

from __future__ import annotations

import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import IncompleteRead
from time import monotonic
from typing import Any

import httpx
import pytest

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import Plan, fault_server


def with_urllib(url: str) -> Any:
    """Return a source: the lines of a page, read with urllib."""

    def lines() -> Iterator[str]:
        try:
            response = urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection; Python 3.14 warns if nobody closes it
            raise
        with response:
            for line in response:
                yield line.decode().strip()

    return lines


def with_httpx(url: str) -> Any:
    """Return a source: the lines of a page, read with httpx."""

    def lines() -> Iterator[str]:
        with httpx.stream("GET", url, timeout=5) as response:
            response.raise_for_status()
            yield from response.iter_lines()

    return lines


CLIENTS = {
    with_urllib: (OSError, IncompleteRead),
    with_httpx: httpx.HTTPError,
}
CUT = Plan("ab#cut", "abc|")
PLANS = [
    CUT,
    Plan("ab#", "abc|"),
    Plan("#503", "abc|"),
    Plan("# at=call", "abc|"),
    Plan("#", "abc|"),
    Plan("-a-b--#", "-a-b-c|"),
]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
@pytest.mark.parametrize("plan", PLANS, ids=repr)
def test_a_pipeline_through_its_client(client: Any, plan: Plan) -> None:
    """A pipeline survives resets, cuts, wrong statuses and slow items, as its client sees them."""
    complete = (lambda line: line == "c") if plan is CUT else None  # urllib does not notice the cut
    with fault_server(plan, tick=0.01) as server:
        sources = map(client, server.urls)
        stream = failover_stream(
            sources, retry_on=CLIENTS[client], mid_stream="skip", complete_when=complete
        )
        assert list(stream) == ["a", "b", "c"]
        assert server.requests == [(0, 0, 0), (1, 0, 0)]


def test_an_async_pipeline_through_its_client() -> None:
    """An async pipeline survives a reset, with httpx under asyncio."""
    import asyncio

    def source(client: httpx.AsyncClient, url: str) -> Any:
        async def lines() -> Any:
            async with client.stream("GET", url) as response:
                async for line in response.aiter_lines():
                    yield line

        return lines

    async def main(urls: list[str]) -> list[str]:
        async with httpx.AsyncClient() as client:
            sources = [source(client, url) for url in urls]
            stream = afailover_stream(sources, retry_on=httpx.HTTPError, mid_stream="skip")
            return [line async for line in stream]

    with fault_server(Plan("ab#", "abc|")) as server:
        assert asyncio.run(main(server.urls)) == ["a", "b", "c"]


def test_a_reset_is_a_reset() -> None:
    """The client sees a connection reset, not an end of the response."""
    with fault_server(Plan("a#")) as server, pytest.raises(ConnectionResetError):
        list(with_urllib(server.urls[0])())


def test_some_clients_notice_a_cut() -> None:
    """If the connection ends before the response, httpx raises; urllib only raises in `read`."""
    with fault_server(Plan("a#cut")) as server:
        with pytest.raises(IncompleteRead), urllib.request.urlopen(server.urls[0]) as response:
            response.read()
        with pytest.raises(httpx.RemoteProtocolError):
            list(with_httpx(server.urls[0])())
        assert list(with_urllib(server.urls[0])()) == ["a"]


def test_no_client_notices_an_early_end() -> None:
    """A response that is too short, but complete, is not an error."""
    with fault_server(Plan("a|", items="abc")) as server:
        assert list(with_urllib(server.urls[0])()) == ["a"]


def test_openings_and_resuming() -> None:
    """Each request is an opening, and can leave out the first items."""
    with fault_server(Plan("ab#; abc|")) as server:
        url = server.urls[0]

        def resumed(progress: Any) -> Any:
            return with_urllib(f"{url}?start={progress.delivered}")()

        stream = failover_stream([resumed], retry_on=OSError, attempts=2, mid_stream="resume")
        assert list(stream) == ["a", "b", "c"]
        assert server.requests == [(0, 0, 0), (0, 1, 2)]


def test_other_items() -> None:
    """`item` turns a letter into any bytes."""
    with fault_server(Plan("ab|"), item=lambda letter: f"<{letter}>".encode()) as server:
        assert urllib.request.urlopen(server.urls[0]).read() == b"<a><b>"


@pytest.mark.parametrize("path", ["", "0", "2", "a"])
def test_unknown_pages_are_not_found(path: str) -> None:
    """Only the pages of the sources exist; every other path is a 404."""
    with fault_server(Plan("a|")) as server:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(server.urls[0][:-1] + path)
        caught.value.close()
        assert caught.value.code == 404
        assert server.requests == []


def connected(url: str, path: str = "/1") -> socket.socket:
    """Return the connection of a client that has read the first item."""
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    connection.sendall(f"GET {path}".encode() + b" HTTP/1.1\r\nHost: here\r\n\r\n")
    received = b""
    while b"a\n" not in received:
        received += connection.recv(1000)
    return connection


def test_a_stall_ends_with_the_client() -> None:
    """A stall ignores what the client sends, and ends when the client disconnects."""
    with fault_server(Plan("a")) as server:
        before = set(threading.enumerate())
        for linger in (False, True):
            connection = connected(server.urls[0])
            (serving,) = set(threading.enumerate()) - before
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                connection.recv(1000)
            connection.sendall(b"still there")
            if linger:  # a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            serving.join(5)
            assert not serving.is_alive()


def test_the_server_stops() -> None:
    """Leaving the block ends stalls, slow responses and all threads immediately."""
    before = set(threading.enumerate())
    began = monotonic()
    with fault_server(Plan("a", "a{9999}b|")) as server:
        stalled = connected(server.urls[0])
        slow = connected(server.urls[0], "/2")
    assert set(threading.enumerate()) == before
    assert monotonic() - began < 30
    stalled.close()
    slow.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.urls[0], timeout=5)
