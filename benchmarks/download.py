"""One gibibyte from loopback to the disk: `failover-iter get` beside the bare client.

The bare client is the loop of a careful user: httpx writes each chunk to a file, waits until the
disk has it, and renames the file. Both run in this process, in turn, so that what else happens on
the machine slows down both. The ratio of each pair counts, and the median of these ratios.

    python -m benchmarks.download [--mib 1024] [--pairs 7]
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from argparse import ArgumentParser
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, NamedTuple

import httpx

from failover_iter.__main__ import main as failover_iter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20


class Cost(NamedTuple):
    """What a download has cost, in seconds."""

    wall: float
    cpu: float


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
    command = [sys.executable, "-m", "benchmarks.download", "--serve", str(size)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/file"
        process.stdin.close()


def bare(url: str, target: Path) -> None:
    """Download with the client alone."""
    part = target.with_name("bare.part")
    with httpx.Client() as client, client.stream("GET", url) as answer, part.open("wb") as file:
        for chunk in answer.iter_raw():
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)


def get(url: str, target: Path) -> None:
    """Download with the command."""
    code = failover_iter(["get", url, "-o", str(target), "--quiet"])
    if code:
        raise SystemExit(code)


def cost_of(download: Callable[[str, Path], None], url: str, size: int) -> Cost:
    """Download once, check the size, and remove the file."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "file")
        wall, cpu = perf_counter(), process_time()
        download(url, target)
        cost = Cost(perf_counter() - wall, process_time() - cpu)
        if target.stat().st_size != size:
            raise SystemExit(f"{target.stat().st_size} bytes instead of {size}")
        return cost


def measure(size: int, pairs: int) -> str:
    """Measure in pairs, each in the other order than the one before."""
    costs: dict[Callable[[str, Path], None], list[Cost]] = {bare: [], get: []}
    with _running(size) as url:
        for download in costs:
            cost_of(download, url, size)  # warm up
        for number in range(pairs):
            for download in (bare, get) if number % 2 else (get, bare):
                costs[download].append(cost_of(download, url, size))
    lines = [f"{size // MIB:,} MiB, medians of {pairs} pairs, in seconds"]
    for part in Cost._fields:
        theirs, ours = ([getattr(cost, part) for cost in costs[each]] for each in (bare, get))
        ratios = sorted(our / their for our, their in zip(ours, theirs, strict=True))
        lines.append(
            f"{part:4}  bare client {median(theirs):.2f}  get {median(ours):.2f}  "
            f"ratio {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the medians."""
    parser = ArgumentParser(description="failover-iter get beside the bare client")
    parser.add_argument("--mib", type=int, default=1024, help="size of the file (default: 1024)")
    parser.add_argument("--pairs", type=int, default=7, help="number of pairs (default: 7)")
    parser.add_argument("--serve", type=int, help="serve a file of this size")
    arguments = parser.parse_args()
    if arguments.serve is not None:
        _serve(arguments.serve)
    print(measure(arguments.mib * MIB, arguments.pairs))


if __name__ == "__main__":
    main()
