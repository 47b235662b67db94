"""Random races obey the laws of a hedge: in each shape, blocking, under asyncio and under trio."""

from __future__ import annotations

import pytest

from failover_iter import Superseded
from support.worlds import FLAVOURS

from .race_laws import check
from .race_plans import SHAPES
from .races import run

FEW, MANY = 15, 1500


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_few_races(shape: str, flavour: str) -> None:
    """Of the first seeds, whatever the sources and the consumer do; some have a loser."""
    records = [run(seed, shape, flavour) for seed in range(FEW)]
    for record in records:
        check(record)
    assert any(isinstance(event, Superseded) for record in records for event in record.events)


@pytest.mark.slow
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("shape", SHAPES)
def test_many_races(shape: str, flavour: str) -> None:
    """The same for many seeds."""
    for seed in range(FEW, MANY):
        check(run(seed, shape, flavour))
