"""`file_server`: an HTTP server on the loopback interface that serves a file, with faults."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from failover_iter.testing._loopback import LoopbackHandler, serving

#: How an answer treats the Range of a request.
Ranges = Literal["right", "ignored", "shifted", "part", "as 200", "unsized", "refused"]
#: How the client can tell where the body ends.
Framing = Literal["length", "chunked", "close"]
#: How an answer breaks off.
Break = Literal["fin", "reset", "stall"]

#: The size of a block in an answer that starts before the requested byte.
SHIFT = 1000


@dataclass(frozen=True, kw_only=True)
class FileAnswer:
    """How `file_server` answers one request. By default it serves the file correctly.

    Args:
        cut: after how many bytes of the body the answer breaks off; None: it does not. After all
            bytes of a chunked body, its end is missing.
        end: how it breaks off: "fin" closes the connection, "reset" resets it, "stall" falls
            silent until the client disconnects.
        ranges: what a request with `Range` receives: "right" the range; "ignored" the whole file;
            "shifted" a range that starts 1,000 bytes too early (its Content-Range says so); "part"
            the first half of the range; "as 200" the range, but with status 200; "unsized" the
            range, with a Content-Range that does not say the size of the file; "refused" a 416.
        if_range: `False`: ignore `If-Range`, and send a range of any version.
        framing: "length" sends a Content-Length, "chunked" a chunked body, "close" neither.
        etag: the ETag, or None for none.
        modified: the Last-Modified header, or None for none.
        data: another file than the server's.
        status: answer with this status and no body.
        headers: further header fields, or other values for these.
    """

    cut: int | None = None
    end: Break = "fin"
    ranges: Ranges = "right"
    if_range: bool = True
    framing: Framing = "length"
    etag: str | None = '"v1"'
    modified: str | None = None
    data: bytes | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class FileRequest:
    """A request that `file_server` received.

    Attributes:
        mirror: which mirror was asked, numbered from 0.
        headers: the header fields, by their names in lower case.
    """

    mirror: int
    headers: Mapping[str, str]

    @property
    def range(self) -> str | None:
        """The Range that was asked for."""
        return self.headers.get("range")


class FileServer:
    """A running server, as yielded by `file_server`.

    Attributes:
        urls: one URL for each mirror.
        requests: the requests so far, oldest first.
    """

    def __init__(self, data: bytes, mirrors: Sequence[Sequence[FileAnswer]], port: int) -> None:
        self.data = data
        self.urls = [f"http://127.0.0.1:{port}/{n + 1}/file" for n in range(len(mirrors))]
        self.requests: list[FileRequest] = []
        self._mirrors = mirrors
        self._lock = threading.Lock()

    def next_answer(self, mirror: int, headers: Mapping[str, str]) -> FileAnswer:
        """Log a request for a mirror, and return how to answer it."""
        with self._lock:
            number = sum(each.mirror == mirror for each in self.requests)
            self.requests.append(FileRequest(mirror, headers))
        answers = self._mirrors[mirror]
        return answers[min(number, len(answers) - 1)]


@contextmanager
def file_server(data: bytes, *mirrors: Sequence[FileAnswer]) -> Generator[FileServer]:
    """Serve a file over HTTP on the loopback interface, with the faults that you choose.

    Args:
        data: the file.
        mirrors: for each mirror, how it answers the first request, the second, and so on. The last
            answer is that for all further requests. Default: one mirror that serves the file.

    Yields:
        The server, with its `urls` and the `requests` so far, each with its `mirror` (from 0),
        `headers` and `range`. At the end of the block, the server and all its threads stop.

    Example:
        >>> import urllib.request
        >>> from failover_iter.testing import FileAnswer, file_server
        >>> with file_server(b"abcdef", [FileAnswer(status=503), FileAnswer()]) as server:
        ...     try:
        ...         urllib.request.urlopen(server.urls[0])
        ...     except OSError as error:
        ...         print(error)
        ...         error.close()
        ...     request = urllib.request.Request(server.urls[0], headers={"Range": "bytes=2-"})
        ...     urllib.request.urlopen(request).read()
        HTTP Error 503: Service Unavailable
        b'cdef'
    """
    handler = type("Handler", (_Handler,), {})
    with serving(handler, "file_server") as http:
        server = FileServer(data, mirrors or [[FileAnswer()]], http.server_address[1])
        handler.files = server  # type: ignore[attr-defined]  # of the class made above
        yield server


class _Handler(LoopbackHandler):
    files: FileServer

    def do_GET(self) -> None:  # noqa: N802 (its name in the base)
        """Answer a request as the mirror's next answer says."""
        self.close_connection = True
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.files.next_answer(int(self.path.split("/")[1]) - 1, headers)
        if answer.status is not None:
            self._begin(answer.status, {"Content-Length": "0", **answer.headers})
            return
        data = self.files.data if answer.data is None else answer.data
        first, end = self._range(answer, len(data))
        if first is None or answer.ranges == "ignored":
            self._send(answer, 200, data, {})
        elif answer.ranges == "refused" or first >= len(data):
            self._begin(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
        else:
            self._send_range(answer, data, first, end)

    def _range(self, answer: FileAnswer, size: int) -> tuple[int | None, int]:
        """The requested range, or None where the whole file is the answer."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        current = condition in {None, answer.etag or answer.modified}
        if found is None or (answer.if_range and not current):
            return None, size
        return int(found[1]), min(size, int(found[2]) + 1) if found[2] else size

    def _send_range(self, answer: FileAnswer, data: bytes, first: int, end: int) -> None:
        if answer.ranges == "shifted":
            first = max(0, first - SHIFT)
        if answer.ranges == "part":
            end -= (end - first) // 2
        size = "*" if answer.ranges == "unsized" else len(data)
        content_range = {"Content-Range": f"bytes {first}-{end - 1}/{size}"}
        self._send(
            answer, 200 if answer.ranges == "as 200" else 206, data[first:end], content_range
        )

    def _send(self, answer: FileAnswer, status: int, body: bytes, headers: dict[str, str]) -> None:
        if answer.etag is not None:
            headers["ETag"] = answer.etag
        if answer.modified is not None:
            headers["Last-Modified"] = answer.modified
        if answer.framing == "length":
            headers["Content-Length"] = str(len(body))
        if answer.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        self._begin(status, {**headers, **answer.headers})
        breaks = answer.cut is not None and answer.cut <= len(body)
        with suppress(OSError):  # the client has disconnected
            if answer.framing == "chunked":
                self.wfile.write(b"%x\r\n" % len(body) if body else b"")
            self.wfile.write(body[: answer.cut])
            if breaks:
                self._break(answer.end)
            elif answer.framing == "chunked":
                self.wfile.write(b"\r\n0\r\n\r\n" if body else b"0\r\n\r\n")

    def _break(self, end: Break) -> None:
        if end == "stall":
            self.stall()
        elif end == "reset":
            self.reset()

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        fields = {"Date": self.date_time_string(), **headers, "Connection": "close"}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
