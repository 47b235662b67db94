"""A source that hangs: a health learns of it by a timeout of that source only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.worlds import FLAVOURS, check_law

from .streams import Plant

MINUTE = 60.0


def plant_of(world: Any) -> Plant:
    """A source that hangs, and one that does not."""

    async def body() -> AsyncIterator[int]:
        await world.sleep(MINUTE)
        yield 1

    plant = Plant(world, "b", failures=1)
    plant.sources.insert(0, world.source("a", body))
    return plant


async def a_timeout_of_the_source_counts(world: Any, _: Any) -> None:
    for option in ("first_item_timeout", "idle_timeout"):
        plant = plant_of(world)
        assert await plant.asked(**{option: 1.0}) == "ab", option
        assert plant.state("a").state == "out", option
        assert await plant.asked(**{option: 1.0}) == "b", option


async def that_of_the_stream_does_not(world: Any, _: Any) -> None:
    plant = plant_of(world)
    assert await plant.asked(total_timeout=1.0) == "a"
    assert "a" not in plant.health.snapshot() or plant.state("a").state == "ok"
    assert await plant.asked(total_timeout=1.0) == "a"


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("law", [a_timeout_of_the_source_counts, that_of_the_stream_does_not])
def test_a_source_that_hangs(law: Any, flavour: str) -> None:
    """It is out after `first_item_timeout` or `idle_timeout`; `total_timeout` blames no source."""
    check_law(law, flavour, max_examples=1)
