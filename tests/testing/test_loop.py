"""The asyncio event loop in virtual time."""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from failover_iter.testing import Plan, VirtualClock, _trio_world, _virtual, run_plan, verify

#: What keeps a thread busy for a millisecond.
WORK = range(100_000)


def test_time_jumps_to_the_next_timer() -> None:
    """An hour takes no real time, and timers fire in order."""

    async def main() -> tuple[list[str], float]:
        order: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            order.append(name)

        began = asyncio.get_running_loop().time()
        await asyncio.gather(after(3600, "late"), after(60, "soon"))
        return order, asyncio.get_running_loop().time() - began

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        assert runner.run(main()) == (["soon", "late"], 3600.0)


def test_it_waits_if_no_timer_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a timer, the loop waits for events, and its clock does not move."""
    loop = VirtualClock().new_event_loop()
    before, answers = loop.time(), iter([[], ["ready"]])
    with monkeypatch.context() as patch:
        patch.setattr("selectors.DefaultSelector.select", lambda self, timeout: next(answers))
        assert loop._selector.select(None) == ["ready"]  # type: ignore[attr-defined]
    assert loop.time() == before
    loop.close()


def test_it_waits_for_threads() -> None:
    """Without a timer, the loop waits in real time for a call from a thread."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        threading.Thread(
            target=loop.call_soon_threadsafe, args=(answer.set_result, "from a thread")
        ).start()
        return await answer

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        assert runner.run(main()) == "from a thread"


def test_it_does_not_wait_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a timer or an event, the loop raises an error instead of hanging."""
    monkeypatch.setattr(_virtual, "PATIENCE", 0.01)

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    runner = asyncio.Runner(loop_factory=VirtualClock().new_event_loop)
    with pytest.raises(RuntimeError, match="wait for something that never happens"):
        runner.run(main())
    runner.close()


def test_no_time_passes_while_a_thread_works() -> None:
    """A timer does not fire before a call in a thread of the executor has returned."""

    async def main() -> tuple[list[int], float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(3600):
            answers = [
                await asyncio.to_thread(sum, WORK),
                await loop.run_in_executor(None, sum, WORK),
            ]
        return answers, loop.time() - began

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        assert runner.run(main()) == ([sum(WORK)] * 2, 0.0)


def test_a_thread_that_hangs_does_not_stop_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some real time, timers fire all the same."""
    monkeypatch.setattr(_virtual, "THREAD_PATIENCE", 0.01)
    release = threading.Event()

    async def main() -> None:
        try:
            await asyncio.wait_for(asyncio.to_thread(release.wait, 10), 3600)
        finally:
            release.set()

    with (
        pytest.raises(TimeoutError),
        asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner,
    ):
        runner.run(main())


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_a_pipeline_that_works_in_a_thread(flavour: Any) -> None:
    """It is not taken for one that hangs."""

    async def pipeline(source: Any) -> AsyncIterator[str]:
        async for item in source():
            if flavour == "asyncio":
                await asyncio.to_thread(sum, WORK)
            else:
                await trio.to_thread.run_sync(sum, WORK)
            yield item

    run = verify(pipeline, Plan("-a-b|"), flavour=flavour)
    assert (run.delivered, run.seconds) == (["a", "b"], 2.0)


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_a_thread_that_waits_for_the_pipeline(
    flavour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs real time once, not for each tick that passes meanwhile."""
    select, waits = selectors.DefaultSelector.select, list[float]()

    def record(self: Any, timeout: float | None = None) -> Any:
        waits.append(timeout or 0)
        return select(self, timeout)

    def blocked(release: threading.Event) -> None:
        assert release.wait(10)

    async def pipeline(source: Any) -> AsyncIterator[str]:
        release = threading.Event()
        if flavour == "asyncio":
            thread = asyncio.create_task(asyncio.to_thread(blocked, release))
            async for item in source():
                yield item
            release.set()
            await thread
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, blocked, release)
            items = [item async for item in source()]
            release.set()
        for item in items:
            yield item

    for place in (_virtual, _trio_world):
        monkeypatch.setattr(place, "THREAD_PATIENCE", 0.1)
    monkeypatch.setattr(selectors.DefaultSelector, "select", record)
    run = run_plan(pipeline, Plan("-a-b-c-d|"), flavour=flavour)
    assert (run.delivered, run.seconds) == (["a", "b", "c", "d"], 4.0)
    assert sum(each for each in waits if each < 1) < 0.2


def test_the_loop_ends_its_executor_with_a_timeout() -> None:
    """As any loop does; time jumps as before then."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(sum, WORK)
        if sys.version_info >= (3, 12):
            await loop.shutdown_default_executor(timeout=5)
        else:
            await loop.shutdown_default_executor()
        began = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - began

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        assert runner.run(main()) == 3600.0
