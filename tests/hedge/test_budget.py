"""A budget in a race: it pays for what is opened, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import Budget
from failover_iter.events import Opening
from support.worlds import World, play

from .laws import Track


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize("b_is_down", [True, False])
def test_a_retry_at_the_moment_of_the_decision(flavour: str, b_is_down: bool) -> None:
    """A source fails just when another one wins: its retry is opened, or is not paid for."""

    async def scenario(world: World) -> None:
        track = Track(world)
        budget = Budget(ratio=0, reserve=9, per_second=0, clock=world.time)
        policy = track.policy(attempts=2, wait=0, budget=budget)
        sources: list[Any] = [
            track.source("a", 1.0, error=ConnectionError("a")),
            track.source("b", 1.0, error=ConnectionError("b") if b_is_down else None),
            track.source("c", 0.0),
            track.source("d", 0.1),
        ]
        await track.drain(policy.hedge(sources, after=0.5))
        assert 9 - budget.tokens <= len(track.told(Opening)) - 1

    play(flavour, scenario)
