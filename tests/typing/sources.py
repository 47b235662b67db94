"""Type checkers must accept this: sources over a client are sync or async, as the client is."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, assert_type

from failover_iter import Source, afailover_stream, failover_stream
from failover_iter.sources import keyset, ranged


async def connect() -> object:
    """A coroutine function that opens a connection."""
    return object()


def part(start: int) -> Iterator[bytes]:
    """A function that opens an object."""
    yield b"abc"[start:]


def response(start: int) -> dict[str, Any]:
    """One that returns the response of a client."""
    return {"Body": b"abc"[start:]}


async def apart(start: int) -> AsyncIterator[bytes]:
    """An async one."""
    yield b"abc"[start:]


async def aresponse(start: int) -> dict[str, Any]:
    """An async one that returns a response."""
    return {"Body": b"abc"[start:]}


rows = keyset(lambda: sqlite3.connect("db"), "SELECT 1 AS id", key="id")
assert_type(rows, Source[Generator[Any]])
assert_type(keyset(connect, "SELECT 1 AS id", key=("id",)), Source[AsyncGenerator[Any]])
assert_type(ranged(part, 3), Source[Generator[bytes]])
assert_type(ranged(response, 3), Source[Generator[bytes]])
assert_type(ranged(apart, 3), Source[AsyncGenerator[bytes]])
assert_type(ranged(aresponse, 3), Source[AsyncGenerator[bytes]])
assert_type(failover_stream([ranged(part, 3)], retry_on=OSError), Generator[bytes, Any, Any])
assert_type(afailover_stream([ranged(apart, 3)], retry_on=OSError), AsyncGenerator[bytes, Any])
