"""Which contender is opened next: with a health, after a pause, and by options of a source."""

from __future__ import annotations

import pytest

from failover_iter import (
    Budget,
    Health,
    Opening,
    StreamTimeout,
)
from support.worlds import FLAVOURS, World, play

from .laws import Track, close_to

# A health.


def eject(health: Health, *names: str) -> None:
    """Have these sources fail, the one after the other."""
    for name in names:
        health.report(health.admit(name), "failed", ConnectionError("refused"))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("out", ["", "a", "b", "c", "ab", "ba", "cab", "bca"])
def test_a_source_that_failed_lately_is_hedged_last(flavour: str, out: str) -> None:
    """B1 and H3: it is opened after the others, the soonest first, and each after the delay."""

    async def scenario(world: World) -> None:
        track = Track(world)
        health = Health(failures=1, cooldown=60, clock=world.time)
        for name in out:
            eject(health, name)
            await world.sleep(1)
        policy = track.policy(health=health)
        sources = [track.source(name, 9.0) for name in "abc"]
        await track.drain(policy.hedge(sources, after=0.5))
        opened = track.told(Opening)
        assert "".join(event.source for event in opened) == "".join(
            [name for name in "abc" if name not in out] + list(out)
        )
        assert [event.elapsed for event in opened] == [close_to(each) for each in (0, 0.5, 1)]

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_budget_bounds_a_hedge_to_a_source_that_is_out(flavour: str) -> None:
    """If it is empty, that source is not opened, and is asked all the same after a failure."""

    async def scenario(world: World) -> None:
        health = Health(failures=1, cooldown=60, clock=world.time)
        eject(health, "a")
        budget = Budget(ratio=0, reserve=1, per_second=0, clock=world.time)
        assert budget.spend()
        for error in (None, ConnectionError("down")):
            track = Track(world)
            policy = track.policy(health=health, budget=budget)
            sources = [track.source("a", 1.0), track.source("b", 2.0, error=error)]
            world.events.clear()
            await track.drain(policy.hedge(sources, after=0.5))
            opened = [(event.source, event.elapsed) for event in track.told(Opening)]
            assert opened == [("b", 0)] + ([] if error is None else [("a", close_to(2))])

    play(flavour, scenario)


# The time of a stream, or of a hedge.


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("level", ["hedge", "stream"])
@pytest.mark.parametrize("others", [0, 1])
def test_the_time_is_up_in_the_pause_of_a_contender(flavour: str, level: str, others: int) -> None:
    """No source is opened after it; the other contenders are superseded, and closed."""

    async def scenario(world: World) -> None:
        track = Track(world)
        limit = {"total_timeout": 2}
        policy = track.policy(attempts=3, wait=5, **(limit if level == "hedge" else {}))
        sources = [track.source("a", 0.5, error=ConnectionError("down"))]
        sources += [track.source("b", 9.0)] * others
        sources += [track.source("c", 9.0)] * (1 - others)
        race = policy.hedge(sources, after=0.1 if others else 60)
        with pytest.raises(StreamTimeout):
            await track.drain(race, **(limit if level == "stream" else {}))
        assert (
            world.asked
            == [event.source for event in track.told(Opening)]
            == ["a", "b"][: 1 + others]
        )
        assert track.open == set() or world.flavour == "sync"

    play(flavour, scenario)
