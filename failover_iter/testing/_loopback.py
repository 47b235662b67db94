"""An HTTP server on the loopback interface whose answers fail as real ones do."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Seconds between two checks whether a stalled client has disconnected.
GLANCE = 0.02


class LoopbackServer(ThreadingHTTPServer):
    """A server that ignores clients that disconnect: a pipeline that fails over does."""

    daemon_threads = False  # so that server_close waits for them

    def __init__(self, handler: type[LoopbackHandler], port: int) -> None:
        self.stopped = threading.Event()
        handler.stopped = self.stopped
        super().__init__(("127.0.0.1", port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class LoopbackHandler(BaseHTTPRequestHandler):
    """The ways in which an answer can end."""

    protocol_version = "HTTP/1.1"
    stopped: threading.Event

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name in the base)
        """Say nothing."""

    def send_status(self, status: int) -> None:
        """Answer with a status and no body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def send_chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body; an empty one ends it."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def stall(self) -> None:
        """Send nothing until the client disconnects or the server stops."""
        self.connection.settimeout(GLANCE)
        while not self.stopped.is_set():
            try:
                if not self.connection.recv(100):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def reset(self) -> None:
        """Reset the connection, as the kernel does for a killed process."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        os.close(self.connection.detach())


@contextmanager
def serving(handler: type[LoopbackHandler], name: str, port: int = 0) -> Generator[LoopbackServer]:
    """Run a server. At the end of the block, it and all its threads stop."""
    server = LoopbackServer(handler, port)
    thread = threading.Thread(target=server.serve_forever, args=(GLANCE,), name=name)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
