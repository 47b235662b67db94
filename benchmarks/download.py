"""Downloads from loopback: `failover-iter get` and `http_bytes` beside the bare client.

The bare client of `get` is the loop of a careful user: httpx writes each chunk to a file, waits
until the disk has it, and renames the file. That of `http_bytes` counts the bytes of `iter_raw`.
Both run in one process, in turn, so that other work on the machine slows down both. The ratio of
each pair counts, and the median of these ratios. The server runs in another process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import httpx

from failover_iter import afailover_stream, failover_stream
from failover_iter.__main__ import main as failover_iter
from failover_iter.sources import http_bytes

from .report import Headline, Part, Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

MIB = 2**20
PAIRS = 7
#: How much longer `get` may take than the bare client.
GET_LIMIT = 1.15
#: Which part of the throughput of the bare client `http_bytes` must reach.
BYTES_GOAL = 0.9


def _answer(connection: socket.socket, size: int) -> None:
    block = bytes(MIB)
    with connection, suppress(OSError):
        connection.recv(65536)
        head = f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "v1"\r\n'
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        for _ in range(size // MIB):
            connection.sendall(block)


def _serve(size: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        # Exit with the parent process, which then closes its end of the pipe.
        threading.Thread(target=lambda: os._exit(bool(sys.stdin.read())), daemon=True).start()
        while True:
            connection, _ = server.accept()
            _answer(connection, size)


@contextmanager
def _running(size: int) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.download", str(size)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/file"
        process.stdin.close()


# To the disk.


def bare(url: str, target: Path) -> int:
    """Download with the client alone."""
    part = target.with_name("bare.part")
    with httpx.Client() as client, client.stream("GET", url) as answer, part.open("wb") as file:
        for chunk in answer.iter_raw():
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    return target.stat().st_size


def get(url: str, target: Path) -> int:
    """Download with the command."""
    code = failover_iter(["get", url, "-o", str(target), "--quiet"])
    if code:
        raise SystemExit(code)
    return target.stat().st_size


# To nowhere.


def raw(url: str, _: Path) -> int:
    """Count the bytes of the client alone."""
    with httpx.Client() as client, client.stream("GET", url) as answer:
        return sum(map(len, answer.iter_raw()))


def chunks(url: str, _: Path) -> int:
    """Count those of `http_bytes`."""
    with httpx.Client() as client:
        source = http_bytes(client, url)
        return sum(map(len, failover_stream([source], retry_on=httpx.TransportError)))


async def _size_of(items: AsyncIterator[bytes]) -> int:
    size = 0
    async for chunk in items:
        size += len(chunk)
    return size


def araw(url: str, _: Path) -> int:
    """Count the bytes of the async client alone."""

    async def main() -> int:
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            return await _size_of(answer.aiter_raw())

    return asyncio.run(main())


def achunks(url: str, _: Path) -> int:
    """Count those of `http_bytes`, with the async client."""

    async def main() -> int:
        async with httpx.AsyncClient() as client:
            source = http_bytes(client, url)
            return await _size_of(afailover_stream([source], retry_on=httpx.TransportError))

    return asyncio.run(main())


#: The bare client, and what it is compared with.
CASES: dict[str, tuple[Callable[[str, Path], int], Callable[[str, Path], int]]] = {
    "failover-iter get, to the disk": (bare, get),
    "http_bytes, httpx.Client": (raw, chunks),
    "http_bytes, httpx.AsyncClient": (araw, achunks),
}


def _cost_of(download: Callable[[str, Path], int], url: str, size: int) -> tuple[float, float]:
    """Download once, check the size, and remove the file; the seconds, and those of the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = perf_counter(), process_time()
        received = download(url, Path(folder, "file"))
        cost = perf_counter() - wall, process_time() - cpu
    if received != size:
        raise SystemExit(f"{received} bytes instead of {size}")
    return cost


def everything(seconds: float) -> dict[str, Any]:
    """For each case the costs of each pair: 7 of 1 GiB, or 1 of 1 MiB for 0 seconds."""
    size, pairs = (1024 * MIB, PAIRS) if seconds else (MIB, 1)
    costs: dict[str, list[Any]] = {name: [] for name in CASES}
    with _running(size) as url:
        for name, both in CASES.items():
            for download in both:
                _cost_of(download, url, size)  # warm up
            for number in range(pairs):
                # Each pair in the other order than the one before.
                order = both if number % 2 else both[::-1]
                pair = {each: _cost_of(each, url, size) for each in order}
                costs[name].append([pair[each] for each in both])
    return {"MiB": size // MIB, "costs": costs}


def tables(runs: list[Any]) -> Part:
    """Make the tables of this part."""
    (run,) = runs
    rows, headlines = [], []
    for name, pairs in run["costs"].items():
        ratios = sorted(ours[0] / theirs[0] for theirs, ours in pairs)
        cpu = median(ours[1] / theirs[1] for theirs, ours in pairs)
        wall = median(ratios)
        if name.startswith("http_bytes"):
            part = 1 / wall
            figure = f"{part:.2f}" + (" !" if part < BYTES_GOAL else "")
            headlines.append(
                Headline(f"throughput, {name} / iter_raw", figure, f">= {BYTES_GOAL:.2f}")
            )
        else:
            figure = f"{wall:.2f}" + (" !" if wall > GET_LIMIT else "")
            headlines.append(Headline(f"time, {name} / httpx", figure, f"<= {GET_LIMIT:.2f}"))
        rows.append(
            (
                name,
                f"{median(theirs[0] for theirs, _ in pairs):.2f}",
                f"{median(ours[0] for _, ours in pairs):.2f}",
                f"{wall:.2f}",
                f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
                f"{cpu:.2f}",
            )
        )
    what = (
        f"{run['MiB']:,} MiB from loopback, in seconds, and the time and the CPU time as ratios to "
        f"the bare client: medians of {len(pairs)} pairs"
    )
    columns = ("bare client", "ours", "time", "spread", "CPU time")
    return Part([Table("Downloads", what, columns, rows)], headlines)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
