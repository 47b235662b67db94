"""A `connect` of `keyset` that forgets to return its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from failover_iter import afailover_stream, failover_stream
from failover_iter.sources import keyset
from sources.readers import aread_all, read_all

MESSAGE = "keyset(connect) must return a DB-API connection, got NoneType"


def connect() -> None:
    """Return nothing."""


@contextmanager
def connected() -> Generator[None]:
    yield


async def aconnect() -> None:
    """Return nothing."""


@asynccontextmanager
async def aconnected() -> AsyncGenerator[None]:
    yield


@pytest.mark.parametrize("connect", [connect, connected])
def test_nothing(connect: Any) -> None:
    """The message says what it must return."""
    stream = failover_stream([keyset(connect, "SELECT a FROM t", key="a")], retry_on=OSError)
    assert str(read_all(stream).error) == MESSAGE


@pytest.mark.parametrize("connect", [aconnect, aconnected])
def test_nothing_async(connect: Any) -> None:
    """So it does with an async driver."""
    stream = afailover_stream([keyset(connect, "SELECT a FROM t", key="a")], retry_on=OSError)
    assert str(asyncio.run(aread_all(stream)).error) == MESSAGE
