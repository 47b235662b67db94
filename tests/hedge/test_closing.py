"""How contenders are closed, and what becomes of an error of closing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest
import trio
import trio.testing

from failover_iter import Policy, Source
from failover_iter._drivers import contender, mailbox
from failover_iter.testing import VirtualClock
from hedge.streams import POLICY, Exit, of_world, run, slow
from support.virtual import virtual_time
from support.worlds import FLAVOURS, World, play


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_errors_of_closing_a_loser_are_logged(
    flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hide nothing, and are not lost."""
    logged: list[str] = []
    for module in (contender, mailbox):
        monkeypatch.setattr(
            module, "log_abandoned", lambda name, error, _: logged.append(f"{name}: {error}")
        )

    async def scenario(world: World) -> None:
        def close(_: object) -> None:
            raise OSError("closing")

        first = Source(of_world(world, "a", 9), close=close)
        race = POLICY.hedge([first, of_world(world, "b", 1)], after=1)
        assert await world.drain(POLICY, [race]) == ["b"]

    play(flavour, scenario)
    assert logged == ["a: closing"]


def test_a_loser_that_is_being_closed() -> None:
    """Its closing is not interrupted: the winner waits for it."""

    async def fails() -> AsyncIterator[str]:
        await asyncio.sleep(2)
        raise ConnectionError("down")
        yield

    async def close(_: object) -> None:
        await asyncio.sleep(3)

    async def main() -> None:
        race = POLICY.hedge([Source(fails, close=close), slow("b", 2)], after=1)
        assert [item async for item in POLICY.astream([race])] == ["b"]
        assert asyncio.get_running_loop().time() == 1005

    run(main)


def test_a_loser_whose_closing_raises_no_exception() -> None:
    """The consumer gets it, and the winner is closed."""

    def close(_: object) -> None:
        raise Exit("closing")

    async def main() -> None:
        race = POLICY.hedge([Source(slow(), close=close), slow("b", 1)], after=1)
        with pytest.raises(Exit, match="closing"):
            await anext(POLICY.astream([race]))

    run(main)


def test_a_scope_that_a_source_holds_under_trio() -> None:
    """It is closed inside our scope, also if another source wins meanwhile."""

    async def holds() -> AsyncIterator[int]:
        with trio.CancelScope():
            try:
                await trio.sleep(1.9)
                yield 1
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)

    async def other() -> AsyncIterator[int]:
        await trio.sleep(1)
        yield 3
        yield 4

    async def main() -> None:
        policy = Policy(retry_on=OSError, commit_when=2)
        stream = policy.astream([policy.hedge([holds, other], after=1)])
        assert [item async for item in stream] == [3, 4]
        stream = POLICY.astream([POLICY.hedge([holds, other], after=9)])
        assert await anext(stream) == 1
        with pytest.raises(RuntimeError, match="or take part in a hedge under trio"):
            await anext(stream)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("error", [OSError, Exit])
def test_a_backup_whose_closing_raises(error: type[BaseException]) -> None:
    """An error of closing reaches the consumer who closes."""

    async def backup() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise error("closing")

    async def main() -> None:
        stream = POLICY.astream([POLICY.hedge([slow(), backup], after=1)])
        assert await anext(stream) == 1
        with pytest.raises(error, match="closing"):
            await stream.aclose()

    run(main)


@pytest.mark.parametrize("error", [OSError, Exit])
def test_a_loser_at_rest_is_closed_first(error: type[BaseException]) -> None:
    """It has answered when another one decides; an error of closing it is logged, or raised."""

    class AllAtOnce(VirtualClock):
        def get(self, queue: Any, seconds: float, jobs: Any = None) -> Any:
            item = super().get(queue, seconds, jobs)
            while not all(job.finished for job in jobs or ()):
                time.sleep(0.0005)
            return item

    log: list[str] = []

    def close(_: object) -> None:
        log.append("closed")
        raise error("closing")

    with virtual_time(AllAtOnce()):
        stream = POLICY.stream(
            [POLICY.hedge([lambda: [1], Source(lambda: [2], close=close)], after=0)]
        )
        with pytest.raises(Exit) if error is Exit else nullcontext():
            assert next(stream) == 1
        assert log == ["closed"]
        stream.close()
