"""End to end: a thousand concurrent async HTTP streams over loopback, a third of which fail.

The server runs in a separate process. It sends numbered lines, starting at the requested line, and
resets the connection halfway if the request says so. All runs use the same client, either alone or
as a resumable source of `afailover_stream`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
from contextlib import aclosing, contextmanager, suppress
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING

from failover_iter import Policy, Progress

from .streams import quiet_logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

STREAMS = 1_000
LINES = 200
BLOCK = 10  # number of lines that the server writes at a time
PAUSE = 0.02  # seconds between two blocks, to simulate a working server
RUNS = 5


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        request = await reader.readuntil(b"\r\n\r\n")
        start, end = (int(part) for part in request.split()[1].strip(b"/").split(b"-"))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for number in range(start, min(end, LINES), BLOCK):
            lines = range(number, min(number + BLOCK, end, LINES))
            writer.write(b"".join(b"line %d\n" % line for line in lines))
            await writer.drain()
            await asyncio.sleep(PAUSE)
        if end < LINES:  # closing with a linger time of 0 sends a reset
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def _server() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=2 * STREAMS)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        # Exit with the parent process, which then closes its end of the pipe.
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def _running() -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.loopback"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()


async def _lines(port: int, start: int, end: int) -> AsyncIterator[bytes]:
    """The client: yield the lines of one response, and raise an error if it is truncated."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /%d-%d HTTP/1.1\r\nHost: loopback\r\n\r\n" % (start, end))
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(start, LINES):
            yield await reader.readuntil(b"\n")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


POLICY = Policy(retry_on=(OSError, EOFError), mid_stream="resume")


def _bare(port: int, _: int) -> AsyncIterator[bytes]:
    return _lines(port, 0, LINES)


def _surviving(fails: bool) -> Callable[[int, int], AsyncIterator[bytes]]:
    def make(port: int, number: int) -> AsyncIterator[bytes]:
        end = LINES // 2 if fails and number % 3 == 0 else LINES

        def first(progress: Progress[bytes]) -> AsyncIterator[bytes]:
            return _lines(port, progress.delivered, end)

        def second(progress: Progress[bytes]) -> AsyncIterator[bytes]:
            return _lines(port, progress.delivered, LINES)

        return POLICY.astream([first, second])

    return make


CASES = {
    "client only, no failure": _bare,
    "afailover_stream, no failure": _surviving(fails=False),
    "afailover_stream, a third of the streams fail": _surviving(fails=True),
}


async def _consume(stream: AsyncIterator[bytes]) -> float:
    """Read all lines, check that each arrives once and in order, and return the seconds taken."""
    start = perf_counter()
    number = 0
    async with aclosing(stream) as lines:  # type: ignore[type-var]
        async for line in lines:
            assert line == b"line %d\n" % number
            number += 1
    assert number == LINES
    return perf_counter() - start


async def _all(port: int, make: Callable[[int, int], AsyncIterator[bytes]]) -> list[float]:
    start = perf_counter()
    streams = (make(port, number) for number in range(STREAMS))
    each = await asyncio.gather(*map(_consume, streams))
    return [perf_counter() - start, *each]


def end_to_end() -> dict[str, dict[str, float]]:
    """For each case: lines per second, and the median and 95th percentile time per stream."""
    quiet_logger()
    _allow_sockets()
    with _running() as port:
        asyncio.run(_all(port, _bare))  # warm up
        runs = {name: [] for name in CASES}
        for _ in range(RUNS):
            for name, make in CASES.items():  # in turn, so that all see the same conditions
                runs[name].append(asyncio.run(_all(port, make)))
    return {name: _figures(figures) for name, figures in runs.items()}


def _figures(runs: list[list[float]]) -> dict[str, float]:
    return {
        "lines/s": median(STREAMS * LINES / total for total, *_ in runs),
        "median": median(median(each) for _, *each in runs),
        "p95": median(quantiles(each, n=20)[-1] for _, *each in runs),
    }


def _allow_sockets() -> None:
    """Raise the limit of open files to the maximum that this user may set."""
    with suppress(ImportError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    _allow_sockets()
    asyncio.run(_server())
