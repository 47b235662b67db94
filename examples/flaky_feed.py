"""Follow a feed of lines over TCP that keeps dropping the connection, without missing a line.

This program also runs the feed. Every few lines, the feed closes or resets the connection in the
middle of a line.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress

from failover_iter import Progress, afailover_stream, backoff


def feed(port: int) -> Callable[[Progress[str]], AsyncIterator[str]]:
    """Return a source that reads the feed and resumes after the lines already delivered."""

    async def lines(progress: Progress[str]) -> AsyncIterator[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"FROM %d\n" % progress.delivered)
            while True:
                # `async for line in reader` would accept half a line at the end, and an early end
                # of the stream. readuntil raises IncompleteReadError (an EOFError) for both.
                yield (await reader.readuntil(b"\n")).decode().removesuffix("\n")
        finally:
            writer.close()
            with suppress(OSError):  # the error that ended the connection is raised again here
                await writer.wait_closed()

    return lines


def follow(port: int) -> AsyncGenerator[str, None]:
    """Yield each line once, whatever happens to the connection."""
    return afailover_stream(
        [feed(port)],
        retry_on=(OSError, EOFError),
        mid_stream="resume",
        attempts=None,
        reset_on_progress=True,
        wait=backoff(0.01, maximum=0.05),
    )


# The feed.

LINES = 100
PER_CONNECTION = 7


class FlakyFeed:
    """Sends a few lines and half a line, then closes or resets the connection, in turn."""

    def __init__(self) -> None:
        self.connections = 0

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        start = int((await reader.readline()).removeprefix(b"FROM "))
        for number in range(start, start + PER_CONNECTION):
            writer.write(b"line %d\n" % number)
        writer.write(b"line ")
        with suppress(ConnectionError):
            await writer.drain()
        if self.connections % 2:
            # Closing a socket with a linger time of 0 sends a reset.
            linger = struct.pack("ii", 1, 0)
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def receive() -> tuple[list[str], int]:
    """Follow the feed for a while. Returns the lines and the number of connections."""
    flaky = FlakyFeed()
    lines: list[str] = []
    async with await asyncio.start_server(flaky.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        # Breaking out of the loop does not close an async generator, so use aclosing.
        async with aclosing(follow(port)) as stream:
            async for line in stream:
                lines.append(line)
                if len(lines) == LINES:
                    break
    return lines, flaky.connections


def main() -> int:
    """Follow the feed and check the lines received."""
    lines, connections = asyncio.run(receive())
    once = lines == [f"line {number}" for number in range(LINES)]
    print(f"{len(lines)} lines over {connections} connections: {'each once' if once else 'WRONG'}")
    return 0 if once and connections > LINES // PER_CONNECTION else 1


if __name__ == "__main__":
    sys.exit(main())
