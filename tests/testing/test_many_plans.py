"""Many plans at random on our own streams: FAILOVER_ITER_PLANS=20000 for a long run, else fewer."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import CONSUMERS, FAULTS, Plan, must_see, plans, verify
from failover_iter.testing._composed import DEFAULT

#: How many plans for each flavour.
PLANS = int(os.environ.get("FAILOVER_ITER_PLANS", "300"))

#: All that a stream can be asked to survive, or to let through, without options of its own: it
#: cannot know that a source without an error gave too little, or something else.
UNKNOWABLE = {"ends early", "empty", "duplicates", "overlaps", "reorders", "diverges", "same"}


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_many_plans(flavour: Any) -> None:
    """Every law that `verify` judges by holds in each of them."""
    stream: Any = failover_stream if flavour == "sync" else afailover_stream
    errors = (ConnectionError, TimeoutError)

    def pipeline(*factories: Any) -> Any:
        return stream(factories, retry_on=errors, mid_stream="skip")

    @must_see("switched mid-stream", "left early", "raised", "ended well", "time passed")
    @settings(max_examples=PLANS, suppress_health_check=list(HealthCheck), database=None)
    @given(
        plans(
            sources=3,
            errors=errors,
            faults=[fault for fault in FAULTS if fault not in UNKNOWABLE],
            consumers=CONSUMERS,
        )
    )
    def test(plan: Plan) -> None:
        verify(pipeline, plan, oracles=DEFAULT, flavour=flavour)

    test()
