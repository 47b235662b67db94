"""Limits of time under asyncio: cancellations in the same turn, timers, bare yields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from support.loops import FOREVER, Asyncio, drained, fallback, stream_of

ASYNCIO = Asyncio()


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("stubborn", [True, False])
def test_both_in_the_same_turn_of_asyncio(ours_first: bool, stubborn: bool) -> None:
    """The limit and the cancellation fire in one turn of the loop, in either order."""
    opened: list[str] = []

    async def first() -> AsyncIterator[str]:
        opened.append("first")
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        when = loop.time() + 1.0
        if ours_first:  # the timer of the pull is armed before this one
            loop.call_soon(loop.call_at, when, task.cancel)
        else:
            loop.call_at(when, task.cancel)
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            if not (stubborn and ours_first):
                raise
        yield "late"

    async def second() -> AsyncIterator[str]:
        opened.append("second")
        yield "never"

    async def main() -> None:
        stream = stream_of(first, second, idle_timeout=1.0, retry_on=Exception)
        with pytest.raises(asyncio.CancelledError):
            await drained(stream)
        task = asyncio.current_task()
        assert task is not None
        assert task.uncancel() == 0

    ASYNCIO.run(main)
    assert opened == ["first"]


def test_a_cancellation_while_the_source_makes_up_its_mind() -> None:
    """Past the limit the source takes its time; the consumer is cancelled meanwhile."""
    opened: list[str] = []
    loop = ASYNCIO

    async def stubborn() -> AsyncIterator[str]:
        opened.append("stubborn")
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        yield "late"

    async def main() -> None:
        stream = stream_of(stubborn, fallback, idle_timeout=1.0, retry_on=Exception)
        await loop.cancel_at(1.5, lambda: drained(stream))

    loop.run(main)
    assert opened == ["stubborn"]


def test_cleaning_up_for_a_consumer_that_leaves_is_not_timed() -> None:
    """Once the consumer is cancelled the limit does not cut short what the source does then."""
    log: list[str] = []
    loop = ASYNCIO

    async def source() -> AsyncIterator[str]:
        try:
            await asyncio.sleep(FOREVER)
            yield "never"
        finally:
            await asyncio.sleep(60)
            log.append("cleaned up")

    async def main() -> None:
        await loop.cancel_at(0.5, lambda: drained(stream_of(source, idle_timeout=1.0)))

    loop.run(main)
    assert log == ["cleaned up"]


def test_no_timer_is_alive_across_a_yield() -> None:
    """While the consumer has the item, the loop has no timer of ours, nor is a scope entered."""

    async def source() -> AsyncIterator[int]:
        for number in range(5):
            await asyncio.sleep(0.1)
            yield number

    async def main() -> None:
        timers: Any = asyncio.get_running_loop()
        async with aclosing(stream_of(source, idle_timeout=1, total_timeout=60)) as stream:
            async for _ in stream:
                assert [timer for timer in timers._scheduled if not timer.cancelled()] == []

    ASYNCIO.run(main)


def test_the_timer_fires_while_the_source_only_gives_way() -> None:
    """A little early, as loops do, and with no future to cancel: it is not lost by that."""

    async def source() -> AsyncIterator[str]:
        yield "one"
        await asyncio.sleep(0.5)  # a timer is armed, for 1 s in all
        loop: Any = asyncio.get_running_loop()
        loop._clock_resolution, loop.clock.now = 0.25, loop.clock.now + 0.3
        for _ in range(3):
            await asyncio.sleep(0)  # it fires in one of these turns, before its time
        await asyncio.sleep(FOREVER)
        yield "never"

    async def main() -> None:
        assert await drained(stream_of(source, fallback, idle_timeout=1)) == ["one", "fallback"]

    ASYNCIO.run(main)
