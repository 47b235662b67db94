"""Corners of the limits of time that were once wrong, under asyncio and trio."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import trio

from failover_iter import Opening, Policy, SourceError, StreamTimeout
from support.loops import FOREVER, LOOPS, Asyncio, Trio, drained, fallback, stream_of

loops = pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
ASYNCIO, TRIO = Asyncio(), Trio()


@loops
def test_a_limit_goes_on_after_one_of_the_source_itself(loop: Any) -> None:
    """A source that survives its own time-out in a pull is still timed for the rest of it."""

    async def source() -> AsyncIterator[Any]:
        yield 1
        try:
            async with loop.fail_after(0.2):
                await loop.sleep(FOREVER)
        except loop.too_slow:
            await loop.sleep(FOREVER)
        yield "never"

    async def main() -> None:
        start = loop.time()
        stream = stream_of(source, fallback, idle_timeout=1)
        assert await drained(stream) == [1, "fallback"]
        assert loop.time() - start == pytest.approx(1)

    loop.run(main)


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


def test_what_a_task_failed_with_is_let_go() -> None:
    """An error that came from a task that the source awaited is held by nothing of ours."""

    class Found(ConnectionError):
        pass

    async def fails() -> None:
        await asyncio.sleep(0.1)
        raise Found

    async def source() -> AsyncIterator[Any]:
        yield 1
        await asyncio.ensure_future(fails())

    async def failing() -> weakref.ref[Any]:
        try:
            await drained(stream_of(source, idle_timeout=1))
        except Found as error:
            thing = error.__dict__["thing"] = type("Thing", (), {})()
            return weakref.ref(thing)
        raise AssertionError

    async def main() -> None:
        gc.disable()
        try:
            found = await asyncio.ensure_future(failing())
            await asyncio.sleep(0)
            assert found() is None
        finally:
            gc.enable()

    ASYNCIO.run(main)


@loops
def test_what_is_opened_too_late_is_closed(loop: Any) -> None:
    """A factory that answers its cancellation with an iterable: that is closed, not forgotten."""
    log: list[str] = []

    class Response:
        def __aiter__(self) -> Any:
            raise AssertionError("it came too late")

        async def aclose(self) -> None:
            log.append("closed")

    async def opens() -> Any:
        try:
            await loop.sleep(FOREVER)
        except loop.cancelled:
            return Response()

    async def main() -> None:
        assert await drained(stream_of(opens, fallback, first_item_timeout=1)) == ["fallback"]

    loop.run(main)
    assert log == ["closed"]


def test_a_group_that_is_parted_at_the_scope() -> None:
    """A nursery of the source that fails while it is cancelled: still a time-out, with a cause."""

    async def fails_at_its_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("clean-up")

    async def gives_one(nursery: trio.Nursery) -> Any:
        nursery.start_soon(fails_at_its_end)
        await trio.sleep_forever()

    class Source:
        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> Any:
            async with trio.open_nursery() as nursery:
                await gives_one(nursery)

    async def main() -> None:
        assert await drained(stream_of(Source, fallback, idle_timeout=1)) == ["fallback"]

    TRIO.run(main)


@loops
def test_a_listener_takes_its_own_time(loop: Any) -> None:
    """The time that it takes for the event of the opening is not charged to the source."""

    async def source() -> AsyncIterator[str]:
        await loop.sleep(0.5)
        yield "one"

    def listener(event: Any) -> None:
        if isinstance(event, Opening):
            jump(loop, 50)

    async def main() -> None:
        stream = stream_of(source, fallback, first_item_timeout=1, on_event=listener)
        assert await drained(stream) == ["one"]

    loop.run(main)


def jump(loop: Any, seconds: float) -> None:
    """Let time pass in plain code."""
    if loop.name == "asyncio":
        asyncio.get_running_loop().clock.now += seconds  # type: ignore[attr-defined]  # ours
    else:
        trio.lowlevel.current_clock().jump(seconds)  # type: ignore[attr-defined]  # the mock


@loops
@pytest.mark.parametrize("inner", [{"first_item_timeout": 1}, {"idle_timeout": float("inf")}])
def test_each_limit_is_left_to_a_stream_inside_by_itself(loop: Any, inner: dict[str, Any]) -> None:
    """A group that sets only one of them does not have the other."""

    async def stalls() -> AsyncIterator[Any]:
        yield 1
        await loop.sleep(FOREVER)

    async def main() -> None:
        source = Policy(retry_on=OSError, **inner).source([stalls])
        assert await drained(stream_of(source, fallback, idle_timeout=3)) == [1, "fallback"]

    loop.run(main)


@loops
@pytest.mark.parametrize("ends", ["cut", "over"])
def test_an_outage_that_is_over_inside_is_over_outside(loop: Any, ends: str) -> None:
    """An outage that a group has survived does not count when the group fails much later."""

    async def down() -> AsyncIterator[Any]:
        raise ConnectionError("down")
        yield

    async def good() -> AsyncIterator[Any]:
        for number in range(5):
            await loop.sleep(10)
            yield number

    async def main() -> None:
        limit = {"total_timeout": 45} if ends == "over" else {}
        inner = Policy(retry_on=ConnectionError, **limit).source([down, good])
        stream = stream_of(
            inner,
            fallback,
            give_up_after=5,
            retry_on=(ConnectionError, StreamTimeout, SourceError),
            complete_when=lambda item: item == "fallback",
        )
        assert (await drained(stream))[-1] == "fallback"

    loop.run(main)
