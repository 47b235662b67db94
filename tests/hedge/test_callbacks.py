"""Callbacks that raise in a race: the error reaches the consumer, and all sources are closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from failover_iter import Closed, Contending, Health, Opening, Policy, Source, Superseded
from failover_iter.testing import VirtualClock
from hedge.streams import POLICY, of_world, run, slow
from support.worlds import FLAVOURS, World, play


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("kind", [Contending, Superseded])
def test_a_listener_that_raises(flavour: str, kind: type) -> None:
    """The error reaches the consumer, and all sources are closed."""

    async def scenario(world: World) -> None:
        def listen(event: Any) -> None:
            if isinstance(event, kind):
                raise LookupError("mine")

        policy = Policy(retry_on=OSError, on_event=listen)
        sources = [of_world(world, "a", 9), of_world(world, "b", 0.5)]
        with pytest.raises(LookupError, match="mine"):
            await world.drain(policy, [policy.hedge(sources, after=1)])

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("by", ["a", "b"])
def test_a_predicate_that_raises(flavour: str, by: str) -> None:
    """In the first source or in a backup: the error reaches the consumer."""

    async def scenario(world: World) -> None:
        def judge(item: str) -> bool:
            raise LookupError(item)

        policy = Policy(retry_on=OSError, commit_when=judge)
        times = {"a": 1.5, "b": 9.0} if by == "a" else {"a": 9.0, "b": 1.0}
        sources = [of_world(world, name, seconds) for name, seconds in times.items()]
        with pytest.raises(LookupError, match=by):
            await world.drain(policy, [policy.hedge(sources, after=1)])

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_health_that_raises(flavour: str) -> None:
    """A store of others may raise: for a backup that has no source yet, too."""

    async def scenario(world: World) -> None:
        class Sick:
            asked = 0

            def admit(self, key: str) -> Any:
                self.asked += 1
                if self.asked > 1:
                    raise LookupError("no answer")
                return type("Yes", (), {"admitted": True, "lease": 0, "seconds": 0.0})()

            async def aadmit(self, key: str) -> Any:
                return self.admit(key)

            def report(self, *_: Any, **__: Any) -> None:
                pass

        policy = Policy(retry_on=OSError, health=Sick())
        sources = [of_world(world, "a", 9), of_world(world, "b", 1)]
        race = policy.hedge(sources, after=1)
        with pytest.raises(LookupError, match="no answer"):
            await world.drain(Policy(retry_on=OSError), [race])

    play(flavour, scenario)


@pytest.mark.parametrize("option", ["commit_when", "retry_on"])
def test_two_callbacks_that_raise_at_a_time(option: str) -> None:
    """One of the errors reaches the consumer, and nothing is told twice."""
    events: list[Any] = []

    def judge(item: object) -> bool:
        raise LookupError(item)

    def ending(name: str, seconds: float) -> Any:
        async def source() -> AsyncIterator[str]:
            await asyncio.sleep(seconds)
            if option == "retry_on":
                raise ConnectionError(name)
            yield name

        return source

    async def main() -> None:
        options: dict[str, Any] = {"retry_on": OSError, option: judge}
        policy = Policy(**options, on_event=events.append)
        race = policy.hedge([slow("a"), ending("b", 2), ending("c", 1)], after=1)
        with pytest.raises(LookupError):
            await anext(Policy(retry_on=OSError).astream([race]))

    run(main)
    opened = [event for event in events if isinstance(event, Opening)]
    assert len(opened) == 3


def test_a_callback_that_raises_when_the_race_is_decided() -> None:
    """The source of a backup failed before, and was still being closed."""

    async def fails() -> AsyncIterator[str]:
        raise ConnectionError("down")
        yield

    async def close(_: object) -> None:
        await asyncio.sleep(3)

    def judge(error: Exception) -> bool:
        raise LookupError("mine")

    async def main() -> None:
        policy = Policy(retry_on=judge)
        race = policy.hedge([slow("a", 2), Source(fails, close=close)], after=1)
        with pytest.raises(LookupError, match="mine"):
            await anext(POLICY.astream([race]))

    run(main)


def test_a_listener_that_raises_keeps_no_probe() -> None:
    """The hedge's own health hears that the contender was superseded, whatever a listener does."""
    now = [0.0]
    health = Health(failures=1, cooldown=1, lease=1000, clock=lambda: now[0])
    policy = Policy(retry_on=OSError, health=health)

    def raises(event: Any) -> None:
        if isinstance(event, Closed):
            raise KeyError("listener")

    async def dead() -> AsyncIterator[int]:
        raise OSError
        yield

    async def yields(seconds: float) -> AsyncIterator[int]:
        await asyncio.sleep(seconds)
        yield 1

    async def main() -> None:
        down = Policy(retry_on=OSError).source([dead], name="inner")
        with pytest.raises(OSError):
            _ = [item async for item in policy.astream([down])]
        now[0] = 2.0
        inner = Policy(retry_on=OSError, on_event=raises).source([lambda: yields(9)], name="inner")
        race = policy.hedge([lambda: yields(0.1), inner], after=0.02)
        with pytest.raises(KeyError):
            _ = [item async for item in Policy(retry_on=OSError).astream([race])]
        assert health.admit("inner").verdict == "probe"

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        runner.run(main())
