"""`fault_server`: an HTTP server on the loopback interface that follows a plan."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from failover_iter.testing._loopback import LoopbackHandler, serving
from failover_iter.testing._plans import Plan, SourceScript, check_plan, check_tick


class FaultServer:
    """A running server, as yielded by `fault_server`.

    Attributes:
        urls: one URL for each source of the plan.
        requests: the requests so far, as `(source, opening, start)`, each numbered from 0.
    """

    def __init__(self, plan: Plan, tick: float, item: Callable[[str], bytes], port: int) -> None:
        self.plan = plan
        self.tick = tick
        self.item = item
        self.urls = [f"http://127.0.0.1:{port}/{n + 1}" for n in range(len(plan.sources))]
        self.requests: list[tuple[int, int, int]] = []
        self._counts: Counter[int] = Counter()
        self._lock = threading.Lock()

    def next_script(self, source: int, start: int) -> SourceScript:
        """Log a request for a source, and return the script for the answer."""
        with self._lock:
            number = self._counts[source]
            self._counts[source] += 1
            self.requests.append((source, number, start))
        return self.plan.script(source, number)


def line(letter: str) -> bytes:
    """Return the item as one line of text."""
    return f"{letter}\n".encode()


@contextmanager
def fault_server(
    plan: Plan, *, tick: float = 0.05, item: Callable[[str], bytes] = line, port: int = 0
) -> Generator[FaultServer]:
    r"""Serve a plan over HTTP on the loopback interface: test a pipeline with its real client.

    Each source has its own URL, and each request is one opening. Each item is sent as a chunk when
    its ticks have passed. `?start=2` leaves out the first two items, for pipelines that resume.

    In this server, `|` ends the response normally, `#` resets the connection, `#cut` closes the
    connection before the response is complete, and `#503` without items answers with that status.
    `at=call` resets the connection before the response begins. Marbles without an end stall until
    the client disconnects.

    Args:
        plan: what the sources do; the server ignores the consumer.
        tick: the length of a tick in real seconds.
        item: turns a letter into bytes of the body; by default, one line of text.
        port: the port of the server; by default, a free one.

    Yields:
        The server, with its `urls` and the `requests` so far. At the end of the block, the server
        and all its threads stop.

    Raises:
        TypeError: the plan is not a `Plan`.
        ValueError: the tick is not a number of seconds.

    Example:
        >>> import urllib.request
        >>> from failover_iter.testing import Plan, fault_server
        >>> with fault_server(Plan("ab|")) as server:
        ...     urllib.request.urlopen(server.urls[0]).read()
        b'a\nb\n'
    """
    check_plan(plan)
    check_tick(tick)
    handler = type("Handler", (_Handler,), {})
    with serving(handler, "fault_server", port) as http:
        server = handler.faults = FaultServer(plan, tick, item, http.server_address[1])  # type: ignore[attr-defined]  # of the class made above
        yield server


class _Handler(LoopbackHandler):
    faults: FaultServer

    def do_GET(self) -> None:  # noqa: N802 (its name in the base)
        """Answer a request as the plan says."""
        self.close_connection = True
        url = urlsplit(self.path)
        source = int(url.path.strip("/") or 0) - 1 if url.path.strip("/").isdecimal() else -1
        if not 0 <= source < len(self.faults.plan.sources):
            self.send_status(HTTPStatus.NOT_FOUND)
            return
        start = int(parse_qs(url.query).get("start", ["0"])[0])
        self._answer(self.faults.next_script(source, start), start)

    def _answer(self, script: SourceScript, start: int) -> None:
        if script.at != "pull":
            self._wait(script.ticks_before(0))
            self.reset()
            return
        if script.error.isdecimal() and not script.items:
            self._wait(script.ticks_before(0))
            self.send_status(int(script.error))
            return
        self._begin()
        for place in range(start, len(script.items)):
            self._wait(script.ticks_before(place))
            self.send_chunk(self.faults.item(script.items[place]))
        self._wait(script.ticks_before(len(script.items)))
        self._end(script)

    def _end(self, script: SourceScript) -> None:
        if script.end == "ends":
            self.send_chunk(b"")
        elif script.end == "stalls":
            self.stall()
        elif script.error != "cut":
            self.reset()

    def _begin(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()

    def _wait(self, ticks: int) -> None:
        if ticks:
            self.stopped.wait(ticks * self.faults.tick)
