"""The async driver under trio: cancel scopes, checkpoints, streams that are let go."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import trio
import trio.testing

from failover_iter import Bookmark, Progress, Resume, SourceTimeout, afailover_stream
from support.model import model
from support.runners import run_trio
from support.scenarios import SCENARIOS
from support.timed import TIMED


def stream_of(*factories: Any, **options: Any) -> Any:
    return afailover_stream(list(factories), **{"retry_on": ConnectionError, **options})


async def fallback() -> AsyncIterator[str]:
    yield "fallback"


def run(main: Any) -> Any:
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    """Each scenario of the table has the trace of the reference model."""
    assert run_trio(SCENARIOS[name]) == model(SCENARIOS[name])


@pytest.mark.parametrize("name", TIMED)
def test_timed_scenario(name: str) -> None:
    """So has each scenario in which time passes."""
    assert run_trio(TIMED[name]) == model(TIMED[name])


def test_the_sources_own_cancel_scope_works() -> None:
    """A source may limit its own pulls, and its time-out switches where it is named."""

    async def stalls() -> AsyncIterator[str]:
        with trio.fail_after(1):
            await trio.sleep_forever()
        yield "never"

    async def main() -> list[str]:
        return [item async for item in stream_of(stalls, fallback, retry_on=trio.TooSlowError)]

    assert run(main) == ["fallback"]


@pytest.mark.parametrize("where", ["opening", "pull", "wait"])
def test_a_cancellation_goes_through(where: str) -> None:
    """It is not a failure, even for `retry_on=Exception`; the source is closed, none opened."""
    log: list[str] = []

    class Source:
        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> str:
            if where == "pull":
                await trio.sleep_forever()
            raise ConnectionError

        async def aclose(self) -> None:
            log.append("closing")

    async def factory() -> Source:
        log.append("opening")
        if where == "opening":
            await trio.sleep_forever()
        return Source()

    async def main() -> bool:
        with trio.move_on_after(1) as scope:
            async for _ in stream_of(factory, attempts=2, wait=3600, retry_on=Exception):
                pass
        return scope.cancelled_caught

    assert run(main) is True
    assert log == (["opening"] if where == "opening" else ["opening", "closing"])


def test_an_abandoned_stream_is_closed_by_trio() -> None:
    """Trio says so, closes the stream, and with it the source."""
    closed: list[str] = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("closed")

    async def main() -> None:
        stream = stream_of(source, fallback)
        await anext(stream)
        del stream
        gc.collect()
        await trio.testing.wait_all_tasks_blocked()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        run(main)
    assert closed == ["closed"]


def test_pauses_are_trios() -> None:
    """A pause takes its time on trio's clock."""

    async def fails() -> AsyncIterator[str]:
        raise ConnectionError
        yield ""

    async def main() -> float:
        begin = trio.current_time()
        async with aclosing(stream_of(fails, fallback, attempts=3, wait=5)) as stream:
            assert [item async for item in stream] == ["fallback"]
        return trio.current_time() - begin

    assert run(main) == 10.0


def test_a_cycle_of_sources_can_be_cancelled() -> None:
    """Going round and round without a pause still gives way, so that trio can end it."""
    import itertools

    async def fails() -> AsyncIterator[str]:
        raise ConnectionError
        yield ""

    async def main() -> bool:
        with trio.CancelScope() as scope:
            scope.cancel()
            async for _ in stream_of(*[fails] * 3, attempts=10_000):
                pass
        with trio.CancelScope() as cycling:
            cycling.cancel()
            stream = afailover_stream(itertools.cycle([fails]), retry_on=ConnectionError)
            await anext(stream)
        return scope.cancelled_caught and cycling.cancelled_caught

    assert run(main) is True


def test_a_heartbeat_restarts_the_idle_timeout() -> None:
    """A bookmark is a sign of life, before the first item and after it; silence is not."""

    async def feed(_: Progress[int]) -> AsyncIterator[Any]:
        for item in (Bookmark(), Bookmark(), 1, Bookmark(), Bookmark(3), 2, None):
            await trio.sleep(0.7 if item is not None else 1.4)
            yield item

    async def main() -> list[Any]:
        got: list[Any] = []
        stream = stream_of(feed, mid_stream=Resume(start=0), idle_timeout=1)
        with pytest.raises(SourceTimeout):
            async for item in stream:
                got.append(item)
        return got

    assert run(main) == [1, 2]
