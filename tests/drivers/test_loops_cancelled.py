"""Limits of time in async streams: a cancellation of the consumer is neither lost nor changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from support.loops import FOREVER, Asyncio, drained, fallback, stream_of

ASYNCIO = Asyncio()


def slow_to_clean_up() -> Any:
    async def source() -> AsyncIterator[Any]:
        try:
            yield 1
            await asyncio.sleep(FOREVER)
        finally:
            await asyncio.sleep(60)

    return source


def test_a_cancellation_between_two_pulls_is_not_swallowed() -> None:
    """It is delivered at the next wait; that the source takes its time then is not timed."""

    async def main() -> None:
        task: Any = asyncio.current_task()
        with pytest.raises(asyncio.CancelledError):
            async with aclosing(stream_of(slow_to_clean_up(), fallback, idle_timeout=1)) as stream:
                async for _ in stream:
                    task.cancel()
        assert task.uncancel() == 0

    ASYNCIO.run(main)


def test_a_cancellation_keeps_its_message() -> None:
    """Also where it comes while a source that was timed out cleans up."""

    async def main() -> None:
        stream = stream_of(slow_to_clean_up(), fallback, idle_timeout=1)
        task = asyncio.ensure_future(drained(stream))
        asyncio.get_running_loop().call_later(2, task.cancel, "the message")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("the message",)

    ASYNCIO.run(main)
