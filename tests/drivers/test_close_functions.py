"""`Source(close=...)` may return an awaitable in an async stream, and only there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from failover_iter import Source, failover_stream
from support.loops import LOOPS, drained, stream_of


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
def test_an_async_stream_awaits_it(loop: Any) -> None:
    """The source is closed when the awaitable is done."""
    log: list[str] = []

    async def source() -> AsyncIterator[int]:
        yield 1

    async def close(opened: Any) -> None:
        await loop.sleep(1)
        await opened.aclose()
        log.append("closed")

    assert loop.run(lambda: drained(stream_of(Source(source, close=close)))) == [1]
    assert log == ["closed"]


def test_a_blocking_stream_refuses_an_async_function() -> None:
    """At the call, where the function shows that it is async."""

    async def close(_: object) -> None: ...

    with pytest.raises(TypeError, match="must be a plain function for a blocking source"):
        failover_stream([Source(list, close=close)], retry_on=OSError)


@pytest.mark.parametrize("kind", ["coroutine", "other"])
@pytest.mark.parametrize("timeout", [None, 60])
def test_a_blocking_stream_refuses_an_awaitable(kind: str, timeout: float | None) -> None:
    """Otherwise when it has been called; a coroutine is closed, so nothing warns of it."""

    async def close(_: object) -> None: ...

    class Awaitable:
        def __await__(self) -> Any: ...

    closes = {"coroutine": lambda opened: close(opened), "other": lambda _: Awaitable()}
    stream = failover_stream(
        [Source(lambda: [1], name="unit", close=closes[kind])],
        retry_on=Exception,
        idle_timeout=timeout,
    )
    assert next(stream) == 1
    with pytest.raises(TypeError, match=r"^Source\(close=...\) of 'unit' must be a plain function"):
        next(stream)


def test_a_coroutine_function_closes_in_the_task_of_the_consumer() -> None:
    """As all else that an async stream calls."""
    tasks: list[Any] = []

    async def source() -> AsyncIterator[int]:
        yield 1

    async def close(_: object) -> None:
        tasks.append(asyncio.current_task())

    async def main() -> None:
        await drained(stream_of(Source(source, close=close)))
        assert tasks == [asyncio.current_task()]

    asyncio.run(main())
