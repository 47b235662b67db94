"""End to end: a thousand async HTTP streams at once over loopback, a third of which break.

The server is a process of its own. It gives numbered lines from where it is asked to begin; of the
streams that it is told to break, it resets the connection halfway. The client is the same in all
runs: once bare, once as a source of `afailover_stream` that resumes.
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
BLOCK = 10  # lines that the server writes at a time
PAUSE = 0.02  # seconds between two blocks: a server that thinks
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
        if end < LINES:  # a close that lingers for 0 seconds is a reset
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def _server() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=2 * STREAMS)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        # It ends with the process that started it, whose end of the pipe then closes.
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def _running() -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.loopback"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()


async def _lines(port: int, start: int, end: int) -> AsyncIterator[bytes]:
    """The bare client: the lines of one response, an error where it is cut short."""
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


def _surviving(breaks: bool) -> Callable[[int, int], AsyncIterator[bytes]]:
    def make(port: int, number: int) -> AsyncIterator[bytes]:
        end = LINES // 2 if breaks and number % 3 == 0 else LINES

        def first(progress: Progress[bytes]) -> AsyncIterator[bytes]:
            return _lines(port, progress.delivered, end)

        def second(progress: Progress[bytes]) -> AsyncIterator[bytes]:
            return _lines(port, progress.delivered, LINES)

        return POLICY.astream([first, second])

    return make


WAYS = {
    "the client alone, nothing breaks": _bare,
    "afailover_stream, nothing breaks": _surviving(breaks=False),
    "afailover_stream, a third breaks halfway": _surviving(breaks=True),
}


async def _consume(stream: AsyncIterator[bytes]) -> float:
    """Read all lines, each once and in order; give how long it took."""
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
    """For each way: lines per second, and how long a stream took, the middle and the slowest."""
    quiet_logger()
    _allow_sockets()
    with _running() as port:
        asyncio.run(_all(port, _bare))  # warm up
        runs = {name: [] for name in WAYS}
        for _ in range(RUNS):
            for name, make in WAYS.items():  # in turn: all meet the same weather
                runs[name].append(asyncio.run(_all(port, make)))
    return {name: _figures(figures) for name, figures in runs.items()}


def _figures(runs: list[list[float]]) -> dict[str, float]:
    return {
        "lines/s": median(STREAMS * LINES / total for total, *_ in runs),
        "median": median(median(each) for _, *each in runs),
        "p95": median(quantiles(each, n=20)[-1] for _, *each in runs),
    }


def _allow_sockets() -> None:
    """Raise the limit of open files as far as this user may."""
    with suppress(ImportError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    _allow_sockets()
    asyncio.run(_server())
