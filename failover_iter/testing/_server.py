"""`fault_server`: a real HTTP server on loopback that does what a plan says."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from failover_iter.testing._plans import Plan, SourceScript

#: Seconds between two looks at whether a client on which nothing is sent has gone.
GLANCE = 0.02


class FaultServer:
    """A server that runs; from `fault_server`.

    Attributes:
        urls: one for each source of the plan.
        requests: what was asked for, as (source, opening, start), each from 0.
    """

    def __init__(self, plan: Plan, tick: float, item: Callable[[str], bytes], port: int) -> None:
        """It is started elsewhere."""
        self.plan = plan
        self.tick = tick
        self.item = item
        self.urls = [f"http://127.0.0.1:{port}/{n + 1}" for n in range(len(plan.sources))]
        self.requests: list[tuple[int, int, int]] = []
        self.stopped = threading.Event()
        self._counts: Counter[int] = Counter()
        self._lock = threading.Lock()

    def next_script(self, source: int, start: int) -> SourceScript:
        """What the next request for this source gets."""
        with self._lock:
            number = self._counts[source]
            self._counts[source] += 1
            self.requests.append((source, number, start))
        return self.plan.script(source, number)


def line(letter: str) -> bytes:
    """An item as a line of its own."""
    return f"{letter}\n".encode()


@contextmanager
def fault_server(
    plan: Plan, *, tick: float = 0.05, item: Callable[[str], bytes] = line
) -> Generator[FaultServer]:
    r"""Serve a plan by HTTP on loopback, so that a pipeline is tested through its real client.

    Each source has a URL of its own, and each request is one opening. Items are sent as chunks as
    soon as their ticks have passed. `?start=2` leaves the first two out, for pipelines that
    resume. What marbles mean here: `|` ends the response well; `#` resets the connection, `#cut`
    closes it without an end, `#503` before any item answers with that status; `at=call` resets
    before the response begins; without an end it stalls until the client goes away.

    Args:
        plan: what the sources do; its consumer plays no part.
        tick: real seconds that a tick takes.
        item: a letter as bytes of the body; by default a line of its own.

    Yields:
        The server: its `urls`, and the `requests` that it got. When the block is left it is shut
        down, and no thread of it remains.

    Example:
        >>> import urllib.request
        >>> from failover_iter.testing import Plan, fault_server
        >>> with fault_server(Plan("ab|")) as server:
        ...     urllib.request.urlopen(server.urls[0]).read()
        b'a\nb\n'
    """
    handler = type("Handler", (_Handler,), {})
    http = _Server(("127.0.0.1", 0), handler)
    server = handler.faults = FaultServer(plan, tick, item, http.server_address[1])  # type: ignore[attr-defined]  # of the class made above
    thread = threading.Thread(target=http.serve_forever, args=(GLANCE,), name="fault_server")
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        http.shutdown()
        thread.join()
        http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what a pipeline does that fails over."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: FaultServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name in the base)
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer as the plan says."""
        self.close_connection = True
        url = urlsplit(self.path)
        source = int(url.path.strip("/") or 0) - 1 if url.path.strip("/").isdecimal() else -1
        if not 0 <= source < len(self.faults.plan.sources):
            self._status(HTTPStatus.NOT_FOUND)
            return
        start = int(parse_qs(url.query).get("start", ["0"])[0])
        self._answer(self.faults.next_script(source, start), start)

    def _answer(self, script: SourceScript, start: int) -> None:
        ticks = (*script.ticks, *[0] * (len(script.items) + 1 - len(script.ticks)))
        if script.at != "pull":
            self._wait(ticks[0])
            self._reset()
            return
        if script.error.isdecimal() and not script.items:
            self._wait(ticks[0])
            self._status(int(script.error))
            return
        self._begin()
        for letter, passed in list(zip(script.items, ticks, strict=False))[start:]:
            self._wait(passed)
            self._chunk(self.faults.item(letter))
        self._wait(ticks[len(script.items)])
        self._end(script)

    def _end(self, script: SourceScript) -> None:
        if script.end == "ends":
            self._chunk(b"")
        elif script.end == "stalls":
            self._stall()
        elif script.error != "cut":
            self._reset()

    def _begin(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()

    def _status(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _wait(self, ticks: int) -> None:
        if ticks:
            self.faults.stopped.wait(ticks * self.faults.tick)

    def _stall(self) -> None:
        """Send nothing until the client has gone, or the server is to stop."""
        self.connection.settimeout(GLANCE)
        while not self.faults.stopped.is_set():
            try:
                if not self.connection.recv(100):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def _reset(self) -> None:
        """End the connection by a reset, as a process that was killed leaves it."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        os.close(self.connection.detach())
