"""The HTTP server of the demo, and a sync and an async client, with the standard library only."""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import StreamReader
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs, urlsplit

from failover_iter import Progress

if TYPE_CHECKING:
    from asyncio import StreamWriter
    from collections.abc import AsyncIterator, Generator, Iterator

END: Final = "END"
#: The text that the servers stream: a poem by Emily Dickinson, and a line that marks the end.
TEXT: Final = (
    "Hope is the thing with feathers",
    "That perches in the soul,",
    "And sings the tune without the words,",
    "And never stops at all,",
    "And sweetest in the gale is heard;",
    "And sore must be the storm",
    "That could abash the little bird",
    "That kept so many warm.",
    END,
)
CUT: Final = 4  # how many lines a server sends before it fails

#: How a broken connection shows up in the clients. A reset is an OSError. An early end is an
#: IncompleteRead in http.client, and an IncompleteReadError (an EOFError) in asyncio.
FAILURES: Final = (OSError, HTTPException, EOFError)

#: The idle timeout of the clients, and how long a server stalls, in seconds. When a stall ends, a
#: reader that is still blocked returns.
IDLE: Final = 0.25
STALL: Final = 0.75

_SECONDS: Final = 2.0  # the timeout of every read, so that no thread hangs if its peer is gone
_START: Final[Progress[str]] = Progress()


class TextServer(ThreadingTCPServer):
    """Streams `TEXT` on a loopback port, starting at line `?from=N`.

    The path says how the stream ends: /whole (completely), /reset (a TCP reset after `CUT` lines),
    /early (a normal end after `CUT` lines) or /stall (silence after `CUT` lines). This is not an
    HTTPServer, because that looks up its own host name, which can take seconds.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = self.server_address[1]
        #: Set when the client has read the last line before the failure.
        self.received = Event()

    def note(self, line: str) -> str:
        """Record that a client has read this line, and return the line."""
        if line == TEXT[CUT - 1]:
            self.received.set()
        return line


@contextmanager
def serving() -> Generator[TextServer, None, None]:
    """Run a server. On exit, all its threads have ended and all its sockets are closed."""
    with TextServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise each line waits until the previous one was acked
    timeout = _SECONDS

    def handle(self) -> None:
        """Serve a client, which may disconnect."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Stream the requested lines."""
        url = urlsplit(self.path)
        start = int(parse_qs(url.query)["from"][0])
        self.send_response(200)
        self.send_header("Connection", "close")
        if url.path == "/early":
            self._send_early(start)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            ways = {"/reset": self._send_and_reset, "/stall": self._send_and_stall}
            ways.get(url.path, self._send_whole)(start)

    def _send_whole(self, start: int) -> None:
        self._send_chunks(TEXT[start:])
        self.wfile.write(b"0\r\n\r\n")

    def _send_and_reset(self, start: int) -> None:
        received = cast("TextServer", self.server).received
        received.clear()
        self._send_chunks(TEXT[start:CUT])
        # A reset may discard data that the peer has not read yet (on Windows it does).
        received.wait(_SECONDS)
        _reset(self.connection)

    def _send_and_stall(self, start: int) -> None:
        self._send_chunks(TEXT[start:CUT])
        self.connection.settimeout(STALL)
        with suppress(TimeoutError):
            self.connection.recv(1)  # until the client leaves
        with suppress(OSError):  # it has left
            self.wfile.write(b"0\r\n\r\n")

    def _send_early(self, start: int) -> None:
        # Neither chunked nor with a length, so the client cannot detect the early end.
        self.end_headers()
        for line in TEXT[start:CUT]:
            self.wfile.write(f"{line}\n".encode())

    def _send_chunks(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            data = f"{line}\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is inherited)
        """Log nothing."""


def _reset(connection: socket.socket) -> None:
    """Send a RST."""
    # Full ints work on Windows too, where the fields are shorts.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Close the descriptor itself. The socket object's close() waits for the file objects that use
    # it, and the server would call shutdown() first, which sends a FIN.
    socket.close(connection.detach())


def fetch(server: TextServer, path: str, progress: Progress[str] = _START) -> Iterator[str]:
    """Yield the missing lines (sync)."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=_SECONDS)) as connection:
        connection.request("GET", f"{path}?from={progress.delivered}")
        with connection.getresponse() as response:
            for line in response:
                yield server.note(line.decode().rstrip("\n"))


async def afetch(
    server: TextServer, path: str, progress: Progress[str] = _START
) -> AsyncIterator[str]:
    """Yield the missing lines (asyncio), with a minimal HTTP client."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(
            f"GET {path}?from={progress.delivered} HTTP/1.1\r\nHost: demo\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        read = _read_chunk if b"chunked" in head else StreamReader.readline
        while line := await read(reader):
            yield server.note(line.decode().rstrip("\n"))
    finally:
        await _close(writer)


async def _read_chunk(reader: StreamReader) -> bytes:
    """Read the next chunk, which is one line here. The last chunk is empty."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


async def _close(writer: StreamWriter) -> None:
    writer.close()
    with suppress(OSError):  # the error that ended the connection is raised again here
        await writer.wait_closed()
