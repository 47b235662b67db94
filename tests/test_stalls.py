"""Timeouts on real sockets: clients leave servers that are silent or stall, not slow ones."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from failover_iter import Event, Failed, SourceTimeout, afailover_stream, failover_stream

LINES = [b"one\n", b"two\n", b"three\n", b"four\n"]
LIMIT = 0.15  # seconds; the timeout for the stalled server, far above the pauses of the slow one
TRICKLE = 0.005


class Server:
    """A TCP server on loopback that treats all clients in the same way."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.listener.getsockname()
        self.connection: socket.socket | None = None
        self.stop = threading.Event()
        self.left = threading.Event()  # a client has closed its end
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.connection = connection
                self.treat(connection)

    def treat(self, connection: socket.socket) -> None:
        sent = {"silent": 0, "stalls": 3}.get(self.how, len(LINES))
        for line in LINES[:sent]:
            if self.how == "trickles":
                for byte in line:
                    connection.sendall(bytes([byte]))
                    self.stop.wait(TRICKLE)
            else:
                connection.sendall(line)
        if sent < len(LINES) and not connection.recv(1):  # until the client closes, or we stop
            self.left.set()

    def close(self) -> None:
        self.stop.set()
        if self.connection is not None:
            with suppress(OSError):  # the client is gone
                self.connection.shutdown(socket.SHUT_RDWR)  # unblocks a blocked client
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@contextmanager
def servers(*hows: str) -> Iterator[list[Server]]:
    """Run servers, and check that they and their clients leave no thread or socket behind."""
    threads, sockets = threading.active_count(), open_sockets()
    running = [Server(how) for how in hows]
    try:
        yield running
    finally:
        for server in running:
            server.close()
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("failover_iter: "):
            thread.join()
    assert threading.active_count() == threads
    assert open_sockets() == sockets


def open_sockets() -> int:
    """The number of sockets that this process has open; 0 if the system does not list them."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return 0
    count = 0
    for entry in folder.iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue
    return count


def blocking(server: Server) -> Any:
    """A client that reads lines from a blocking socket without a timeout."""

    def lines() -> Iterator[bytes]:
        with (
            socket.create_connection(server.address) as connection,
            connection.makefile("rb") as file,
        ):
            yield from file

    return lines


def with_asyncio(server: Server) -> Any:
    """A client that reads lines with the streams of asyncio."""

    async def lines() -> AsyncIterator[bytes]:
        reader, writer = await asyncio.open_connection(*server.address)
        try:
            async for line in reader:
                yield line
        finally:
            writer.close()
            await writer.wait_closed()

    return lines


def with_trio(server: Server) -> Any:
    """A client that reads lines with the streams of trio."""

    async def lines() -> AsyncIterator[bytes]:
        async with await trio.open_tcp_stream(*server.address) as stream:
            buffer = b""
            async for data in stream:
                *whole, buffer = (buffer + data).split(b"\n")
                for line in whole:
                    yield line + b"\n"

    return lines


def read(flavour: str, bad: Server, good: Server, events: list[Event], **options: Any) -> Any:
    """All lines, from the bad server and then from the good one."""
    options = {"retry_on": OSError, "mid_stream": "skip", "on_event": events.append, **options}
    if flavour == "sync":
        with closing(failover_stream([blocking(bad), blocking(good)], **options)) as stream:
            return list(stream)
    client = with_asyncio if flavour == "asyncio" else with_trio

    async def main() -> list[bytes]:
        async with aclosing(afailover_stream([client(bad), client(good)], **options)) as stream:
            return [line async for line in stream]

    return asyncio.run(main()) if flavour == "asyncio" else trio.run(main)


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize(
    ("how", "option", "delivered"),
    [
        ("silent", "first_item_timeout", 0),
        ("silent", "idle_timeout", 0),
        ("stalls", "idle_timeout", 3),
    ],
)
def test_a_stalled_server_is_left(flavour: str, how: str, option: str, delivered: int) -> None:
    """A server that sends nothing, or stalls after three lines, causes exactly one switch."""
    events: list[Event] = []
    with servers(how, "whole") as (bad, good):
        assert read(flavour, bad, good, events, **{option: LIMIT}) == LINES
        failed = [event for event in events if isinstance(event, Failed)]
        assert [(type(each.error), each.delivered) for each in failed] == [
            (SourceTimeout, delivered)
        ]
        assert failed[0].abandoned == (flavour == "sync")
        if flavour != "sync":
            assert bad.left.wait(10), "the connection to the stalled server was not closed"


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_a_slow_server_is_not(flavour: str) -> None:
    """A server that sends one byte at a time is slow but alive: it causes no switch."""
    events: list[Event] = []
    with servers("trickles", "whole") as (slow, good):
        assert read(flavour, slow, good, events, idle_timeout=30) == LINES
        assert [event for event in events if isinstance(event, Failed)] == []
