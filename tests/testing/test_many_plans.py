"""Many random plans on the library's own streams: set FAILOVER_ITER_PLANS=20000 for a long run."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import CONSUMERS, FAULTS, Plan, must_see, plans, verify
from failover_iter.testing._composed import DEFAULT_ORACLES

#: The number of plans for each flavour.
PLANS = int(os.environ.get("FAILOVER_ITER_PLANS", "300"))

#: Faults that a stream cannot notice without more options: the source raises no error, but yields
#: too few items, or others.
UNKNOWABLE = {"ends early", "empty", "duplicates", "overlaps", "reorders", "diverges", "same"}


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_many_plans(flavour: Any) -> None:
    """Every law that `verify` checks by default holds for each plan."""
    stream: Any = failover_stream if flavour == "sync" else afailover_stream
    errors = (ConnectionError, TimeoutError)

    def pipeline(*factories: Any) -> Any:
        return stream(factories, retry_on=errors, mid_stream="skip")

    @must_see("switched mid-stream", "left early", "raised", "ended normally", "time passed")
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
        verify(pipeline, plan, oracles=DEFAULT_ORACLES, flavour=flavour)

    test()
