"""A server on loopback that speaks the wire protocols of LLM providers, and fails as they do.

The first part of the path selects the protocol, and the model's name selects the fault:
"drop-after-3" breaks off after three tokens, "ok" sends a good answer, and "drop-after-3+ok" does
one after the other. The part of the name after a "~" is ignored, so each test can use a unique
model and count its requests. The server uses only sockets and asyncio: a fault is made of bytes and
of the connection, and no framework may repair it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, unquote

from llm.contents import CONTENTS
from llm.faults import PARTIAL_TEXT, REJECTS_CONTINUATION, STATUSES, Status, Step, script
from llm.other_protocols import PROTOCOLS
from llm.protocols import Protocol

#: The pieces of a stream that ends well, or a status and the body of an error.
Scripted = list[bytes] | tuple[int, Any]
CHUNKED = {"Transfer-Encoding": "chunked", "Connection": "close"}
HANG_SECONDS = 20.0  # a connection that hangs is closed after this time


class Request:
    """A client's request."""

    def __init__(self, path: str, body: bytes) -> None:
        self.path, _, query = unquote(path).partition("?")
        self.body: dict[str, Any] = json.loads(body) if body else dict(parse_qsl(query))
        self.protocol_name = self.path.split("/")[1]
        self.protocol: Protocol = PROTOCOLS[self.protocol_name]
        self.model: str = self.body.get("model") or self._model_in_path()
        self.faults = self.model.partition("~")[0].removeprefix("claude-").split("+")
        self.fault = self.faults[0]
        #: The script of a test for this model: the pieces of a stream, or a status and a body.
        self.scripted: Scripted | None = None

    def _model_in_path(self) -> str:
        return next(part for part in self.path.split("/") if "~" in part).partition(":")[0]


class Server:
    """The server, which runs in a separate thread, and a record of its requests."""

    def __init__(self) -> None:
        self.requests: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        #: By model, what each of its requests gets; the last also those that follow.
        self.scripts: dict[str, list[Scripted]] = {}
        #: The fault of models that are not named after one.
        self.plays: dict[str, str] = {}
        self.open: Counter[str] = Counter()
        self.changed = threading.Condition()
        self.loop = asyncio.new_event_loop()
        self.connections: set[asyncio.Task[None]] = set()
        self._dead = socket.socket()  # bound but not listening: connections are refused
        self._dead.bind(("127.0.0.1", 0))
        self.refusing = f"http://127.0.0.1:{self._dead.getsockname()[1]}"
        self.address = ""

    def wait_closed(self, model: str, seconds: float) -> bool:
        """Wait until no stream of this model is open; return whether that happened in time."""
        with self.changed:
            return self.changed.wait_for(lambda: not self.open[model], seconds)

    def _count(self, model: str, step: int) -> None:
        with self.changed:
            self.open[model] += step
            self.changed.notify_all()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, with one request."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            request = await read_request(reader)
            self.requests[request.model].append(request.body)
            number = len(self.requests[request.model])
            request.faults = self.plays.get(request.model, "+".join(request.faults)).split("+")
            request.fault = request.faults[min(number, len(request.faults)) - 1]
            scripts = self.scripts.get(request.model)
            request.scripted = scripts and scripts[min(number, len(scripts)) - 1]
            self._count(request.model, 1)
            try:
                await answer(request, reader, writer)
            finally:
                self._count(request.model, -1)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.connections.discard(task)
            writer.close()

    async def serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        """Serve until `ended` is set."""
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await ended.wait()
        server.close()
        for task in list(self.connections):
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read the request of a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(first.split(" ")[1], body)


async def answer(
    request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one request, the only one of its connection."""
    if isinstance(request.scripted, tuple):
        code, error = request.scripted
        headers = {"Content-Type": "application/json"}
        await whole(writer, code, headers, json.dumps(error).encode())
        return
    status = STATUSES.get(request.fault)
    if request.fault == REJECTS_CONTINUATION and PARTIAL_TEXT.strip() in json.dumps(request.body):
        status = Status(400)
    if status is not None:
        body, headers = request.protocol.refusal(status)
        await whole(writer, status.code, headers, body)
        return
    if request.fault in {"html-200", "json-error-200"}:
        body = b"<html><body>Bad gateway</body></html>"
        kind = "text/html"
        if request.fault == "json-error-200":
            body, kind = json.dumps(request.protocol.error_body(503)).encode(), "application/json"
        await whole(writer, 200, {"Content-Type": kind}, body)
        return
    await stream(request, reader, writer)


async def whole(
    writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes
) -> None:
    """Send a whole response at once."""
    headers = headers | {"Content-Length": str(len(body)), "Connection": "close"}
    writer.write(head(status, headers) + body)
    await writer.drain()


def head(status: int, headers: dict[str, str]) -> bytes:
    """Return the head of a response."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode("latin-1")


async def stream(
    request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Send a response step by step, as the fault's script says."""
    protocol = request.protocol
    gone = asyncio.ensure_future(
        reader.read(1)
    )  # the client sends nothing more, so this ends when it leaves
    try:
        for step in steps_of(request):
            if gone.done():
                return
            match step:
                case Step(kind="head"):
                    writer.write(head(200, {"Content-Type": protocol.content_type, **CHUNKED}))
                case Step(kind="send", data=data) if data:
                    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                case Step(kind="pause", seconds=seconds):
                    await writer.drain()
                    await asyncio.wait({gone}, timeout=min(seconds, HANG_SECONDS))
                case Step(kind="reset"):
                    await writer.drain()
                    reset(writer)
                    return
                case Step(kind="close"):
                    await writer.drain()
                    return
                case Step(kind="end"):
                    writer.write(b"0\r\n\r\n")
                    await writer.drain()
                    return
    finally:
        gone.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await gone


def steps_of(request: Request) -> Iterable[Step]:
    """Return the steps of a stream: those that the test scripted, or those of the fault."""
    pieces = request.scripted
    if request.fault in CONTENTS:
        pieces = CONTENTS[request.fault][request.protocol_name].stream(request.protocol)
    if isinstance(pieces, list):
        return [Step("head"), *(Step("send", data) for data in pieces), Step("end")]
    return script(request.fault, request.protocol)


def reset(writer: asyncio.StreamWriter) -> None:
    """Send a TCP RST: close with a linger time of 0 seconds."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def running() -> Iterator[Server]:
    """Run the server in a thread for the length of the block."""
    server = Server()
    started, ended = threading.Event(), asyncio.Event()
    thread = threading.Thread(
        target=lambda: server.loop.run_until_complete(server.serve(started, ended)), daemon=True
    )
    thread.start()
    try:
        assert started.wait(10)
        yield server
    finally:
        server.loop.call_soon_threadsafe(ended.set)
        thread.join()
        server.loop.close()
        server._dead.close()
