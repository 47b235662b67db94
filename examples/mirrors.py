"""Download a file from several mirrors. If one fails, the next one resumes at the same byte.

Needs tqdm. This program also runs the mirrors: the first resets the connection mid-stream, the
second is overloaded, the third has another version of the file, and the fourth works.
"""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import NamedTuple

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from failover_iter import Progress, Source, SourceError, Takeover, failover_stream

CHUNK = 64 * 1024


class Chunk(NamedTuple):
    """A piece of the file, with everything that is needed to resume after it.

    `Progress` counts items, and a read may return fewer bytes than requested. So each chunk records
    where in the file it ends, and which version of the file it belongs to.
    """

    data: bytes
    end: int
    size: int
    etag: str


def mirror(host: str, port: int, path: str) -> Source[Iterator[Chunk]]:
    """Return a source that reads from a mirror and can resume after any chunk."""

    def chunks(progress: Progress[Chunk]) -> Iterator[Chunk]:
        last = progress.last if progress.delivered else None
        headers = {"Range": f"bytes={last.end}-", "If-Range": last.etag} if last else {}
        with closing(HTTPConnection(host, port, timeout=10)) as connection:
            connection.request("GET", path, headers=headers)
            with connection.getresponse() as response:
                end, size, etag = read_head(response, last)
                while data := response.read(CHUNK):
                    end += len(data)
                    yield Chunk(data, end, size, etag)

    return Source(chunks, name=f"{host}:{port}")


def read_head(response: HTTPResponse, last: Chunk | None) -> tuple[int, int, str]:
    """Return the offset of the body, the size of the whole file, and its version."""
    # A SourceError counts as a failure of the source, whatever retry_on says.
    if last and response.status == 200:
        raise SourceError("it has another version of the file, and would send all of it")
    if response.status not in (200, 206):
        raise SourceError(f"{response.status} {response.reason}")
    etag, length = response.headers["ETag"], response.headers["Content-Length"]
    if not (etag and length):
        raise SourceError("without ETag and Content-Length a download cannot be resumed")
    if last is None:
        return 0, int(length), etag
    expected = f"bytes {last.end}-{last.size - 1}/{last.size}"
    if (response.headers["Content-Range"], etag) != (expected, last.etag):
        raise SourceError(f"not what was asked for: {response.headers['Content-Range']}, {etag}")
    return last.end, last.size, etag


def download(mirrors: list[Source[Iterator[Chunk]]], target: Path, sha256: str) -> None:
    """Write the file, or raise an error. A file that was written is complete and correct."""
    stream = failover_stream(
        mirrors,
        retry_on=(OSError, HTTPException),
        mid_stream="resume",
        # http.client treats a connection that was closed too early as the end of the file.
        complete_when=lambda chunk: chunk.end == chunk.size,
        mark_takeovers=True,
    )
    digest = hashlib.sha256()
    bar = tqdm(unit="B", unit_scale=True, desc=str(mirrors[0].name))
    # The library logs each failure. Print these lines above the progress bar.
    with logging_redirect_tqdm(), bar, closing(stream), target.open("wb") as file:
        for item in stream:
            if isinstance(item, Takeover):
                bar.write(f"{item.source} takes over at byte {bar.n:,}", file=sys.stdout)
                bar.set_description(item.source)
                continue
            bar.total = item.size
            digest.update(item.data)
            file.write(item.data)
            bar.update(len(item.data))
    if digest.hexdigest() != sha256:
        target.unlink()
        raise ValueError(f"wrong sha256: {digest.hexdigest()} instead of {sha256}")


# The mirrors. The rest of this file simulates remote servers.

FILE = random.Random(1).randbytes(4 * 1024 * 1024)
SHA256 = hashlib.sha256(FILE).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves the whole file, or the rest of it from a given byte."""

    file = FILE

    def handle(self) -> None:
        """Serve a client, which may disconnect."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Respond with 206 to a range request for this version of the file, else with 200."""
        start, size = 0, len(self.file)
        etag = f'"{hashlib.sha256(self.file).hexdigest()[:16]}"'
        if self.headers["If-Range"] == etag:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(size - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        self.send_body(start)

    def send_body(self, start: int) -> None:
        """Send the rest of the file."""
        self.wfile.write(self.file[start:])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (inherited)
        """Log nothing."""


class Resetting(Handler):
    """Resets the connection mid-stream."""

    def send_body(self, start: int) -> None:
        """Send half of the file, then a TCP RST (a close with a linger time of 0)."""
        self.wfile.write(self.file[start : start + len(self.file) // 2])
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())


class Overloaded(Handler):
    """Is overloaded."""

    def do_GET(self) -> None:
        """Respond with 503."""
        self.send_error(503)


class Outdated(Handler):
    """Has another version of the file."""

    file = FILE[::-1]

    def send_body(self, start: int) -> None:
        """Send the start of the body, which the client will not read."""
        self.wfile.write(self.file[start : start + 1024])


@contextmanager
def running(
    handler: Callable[..., BaseHTTPRequestHandler],
) -> Generator[Source[Iterator[Chunk]], None, None]:
    """Run one mirror on a free port."""
    with ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=partial(server.serve_forever, poll_interval=0.01)).start()
        try:
            yield mirror("127.0.0.1", server.server_address[1], "/file")
        finally:
            server.shutdown()


def main() -> int:
    """Download from four mirrors."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        handlers = (Resetting, Overloaded, Outdated, Handler)
        mirrors = [stack.enter_context(running(handler)) for handler in handlers]
        try:
            download(mirrors, folder / "file", SHA256)
        except ValueError as error:
            print(error)
            return 1
        same = (folder / "file").read_bytes() == FILE
    print(f"{len(FILE):,} bytes, sha256 {SHA256[:16]}...: {'right' if same else 'WRONG'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
