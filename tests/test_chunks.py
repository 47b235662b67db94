"""Byte chunks over real sockets: each server cuts, lies or stalls in its own way."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from failover_iter import Resume, Skip, afailover_stream, failover_stream
from failover_iter.sources import http_bytes
from support.needs import needs, unless_installed

FILE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(1000))  # 32,000 bytes

#: The answer of a server to a range: the head, and the pieces of the body.
Script = Callable[[int], tuple[str, list[bytes]]]


@contextmanager
def mirror(script: Script) -> Iterator[int]:
    """A server that answers each request by a script, and then closes the connection."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += self.rfile.readline()
            asked = re.search(rb"Range: bytes=(\d+)-", request, re.IGNORECASE)
            head, body = script(int(asked[1]) if asked else 0)
            self.wfile.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
            for piece in body:
                self.wfile.write(piece)
                self.wfile.flush()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def mirrors(*scripts: Script) -> Iterator[list[int]]:
    with ExitStack() as stack:
        yield [stack.enter_context(mirror(script)) for script in scripts]


def ranged(start: int, *, etag: str = "v1") -> str:
    """The head of a right answer to a range, or to a request for all of it."""
    status = "206 Partial Content" if start else "200 OK"
    content_range = f"Content-Range: bytes {start}-{len(FILE) - 1}/{len(FILE)}\n" if start else ""
    return (
        f'HTTP/1.1 {status}\nContent-Length: {len(FILE) - start}\nETag: "{etag}"\n'
        f"{content_range}Connection: close"
    )


def good(start: int) -> tuple[str, list[bytes]]:
    return ranged(start), [FILE[start:]]


def cut(size: int) -> Script:
    """A server that closes the connection after this many bytes."""
    return lambda start: (ranged(start), [FILE[start : start + size]])


def aligned(start: int) -> tuple[str, list[bytes]]:
    """A server whose answers begin at a block, before what was asked for."""
    return good(start - start % 4096)


def whole(start: int) -> tuple[str, list[bytes]]:
    """A server that ignores the range."""
    head = f'HTTP/1.1 200 OK\nContent-Length: {len(FILE)}\nETag: "v1"\nConnection: close'
    return head, [FILE]


def other_version(start: int) -> tuple[str, list[bytes]]:
    return ranged(start, etag="v2"), [bytes(len(FILE) - start)]


# A download that resumes.


def download(ports: list[int], **options: Any) -> bytes:
    """Join what `http_bytes` delivers from these mirrors."""
    with httpx.Client() as client:
        files = [http_bytes(client, f"http://127.0.0.1:{port}/") for port in ports]
        return b"".join(failover_stream(files, retry_on=httpx.TransportError, **options))


@pytest.mark.parametrize("commit_when", [1, 2, 3])
@pytest.mark.parametrize(
    "bad",
    [
        [cut(0)],
        [cut(5000)],
        [cut(4096), cut(9000)],
        [cut(10_000), aligned, whole, other_version],
        [cut(4096), cut(4096), cut(4096)],
        [cut(len(FILE))],
    ],
)
def test_a_download_that_resumes(bad: list[Script], commit_when: int) -> None:
    """Never a wrong byte, whatever is held and discarded, and whatever the servers answer."""
    with mirrors(*bad, good) as ports:
        assert download(ports, commit_when=commit_when) == FILE


# Clients that cut the bytes as they arrive.


def framed(size: int, end: int | None) -> Script:
    """A server that sends chunks of this size, and breaks off in the middle."""

    def script(_: int) -> tuple[str, list[bytes]]:
        pieces = [FILE[at : at + size] for at in range(0, len(FILE), size)]
        chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
        last = [b"0\r\n\r\n"] if end is None else []
        return "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nConnection: close", [
            *chunks[:end],
            *last,
        ]

    return script


FRAMES = [framed(1000, 10), framed(700, 30), framed(1500, None)]
SKIP = Skip(size=len, key=bytes)


def with_requests(ports: list[int]) -> bytes:
    requests = needs("requests")

    def opened(port: int) -> Any:
        def chunks() -> Iterator[bytes]:
            with requests.get(f"http://127.0.0.1:{port}/", stream=True, timeout=10) as response:
                yield from response.iter_content(None)

        return chunks

    sources = [opened(port) for port in ports]
    return b"".join(failover_stream(sources, retry_on=OSError, mid_stream=SKIP))


def with_httpx(ports: list[int]) -> bytes:
    httpx = needs("httpx")

    async def main() -> bytes:
        async with httpx.AsyncClient() as client:

            def opened(port: int) -> Any:
                async def chunks() -> Any:
                    async with client.stream("GET", f"http://127.0.0.1:{port}/") as response:
                        async for chunk in response.aiter_raw():
                            yield chunk

                return chunks

            sources = [opened(port) for port in ports]
            stream = afailover_stream(sources, retry_on=httpx.TransportError, mid_stream=SKIP)
            return b"".join([chunk async for chunk in stream])

    return asyncio.run(main())


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(with_requests, marks=unless_installed("requests")),
        pytest.param(with_httpx, marks=unless_installed("httpx")),
    ],
)
def test_servers_that_frame_the_same_file_differently(read: Callable[[list[int]], bytes]) -> None:
    """The file arrives once, whatever chunks a client makes of it."""
    with mirrors(*FRAMES) as ports:
        assert read(ports) == FILE


def test_a_socket_and_a_cursor() -> None:
    """A bare client without packages: the cursor is the number of bytes that were delivered."""

    def add_size(offset: int, chunk: bytes) -> int:
        return offset + len(chunk)

    def opened(port: int) -> Any:
        def chunks(progress: Any) -> Iterator[bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("GET", "/", headers={"Range": f"bytes={progress.cursor}-"})
                response = connection.getresponse()
                left = response.length or 0
                while left:
                    chunk = response.read1(997)
                    if not chunk:
                        raise ConnectionError("closed before the end")
                    left -= len(chunk)
                    yield chunk
            finally:
                connection.close()

        return chunks

    with mirrors(cut(10_000), cut(1), good) as ports:
        stream = failover_stream(
            [opened(port) for port in ports],
            retry_on=OSError,
            mid_stream=Resume(start=0, advance=add_size),
            commit_when=3,
            allow_empty=False,
        )
        assert b"".join(stream) == FILE
