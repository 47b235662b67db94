"""Limits of time in async streams: sources with their own limits, tasks and nurseries."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from failover_iter import Opening
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
