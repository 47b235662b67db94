"""The servers of the demo, and its clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from failover_iter import Progress
from failover_iter._cli.demo_servers import CUT, TEXT, TextServer, afetch, fetch, serving


@pytest.fixture
def server() -> Iterator[TextServer]:
    """One running server."""
    with serving() as running:
        yield running


def raw(server: TextServer, path: str) -> socket.socket:
    """A connection that has requested this path."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    connection.sendall(f"GET {path}?from=0 HTTP/1.1\r\n\r\n".encode())
    return connection


def read_until(connection: socket.socket, mark: str) -> bytes:
    """Read up to and including the mark."""
    data = b""
    while mark.encode() not in data:
        data += connection.recv(4096)
    return data


def test_the_reset_is_a_real_one(server: TextServer) -> None:
    """The kernel reports the reset. An end of file would return b""."""
    with raw(server, "/reset") as connection:
        read_until(connection, f"{TEXT[CUT - 1]}\n\r\n")
        server.note(TEXT[CUT - 1])
        with pytest.raises(ConnectionError):
            assert connection.recv(1) is None, "an end of file instead of a reset"


def test_the_early_end_is_a_clean_one(server: TextServer) -> None:
    """The connection is closed normally, and nothing shows that the text was truncated."""
    with raw(server, "/early") as connection:
        data = read_until(connection, TEXT[CUT - 1]) + connection.recv(4096)
        while more := connection.recv(4096):
            data += more
    assert data.endswith("".join(f"{line}\n" for line in TEXT[:CUT]).encode())
    assert b"Transfer-Encoding" not in data
    assert b"Content-Length" not in data


@pytest.mark.parametrize("start", [0, CUT, len(TEXT)])
def test_a_client_resumes_at_the_requested_line(server: TextServer, start: int) -> None:
    """Both clients receive the missing lines, even if none are missing."""
    progress = Progress(delivered=start)

    async def collect() -> list[str]:
        async with aclosing(afetch(server, "/whole", progress)) as lines:
            return [line async for line in lines]

    assert tuple(fetch(server, "/whole", progress)) == TEXT[start:]
    assert tuple(asyncio.run(collect())) == TEXT[start:]


def test_a_client_that_is_closed_early_closes_its_connection(server: TextServer) -> None:
    """Closed mid-stream, both clients leave nothing open (a ResourceWarning is an error here)."""

    async def first_line() -> str:
        async with aclosing(afetch(server, "/whole")) as lines:
            return await anext(lines)

    lines = fetch(server, "/whole")
    assert next(lines) == TEXT[0]
    lines.close()
    assert asyncio.run(first_line()) == TEXT[0]
