"""Many random plans on good pipelines: set FAILOVER_ITER_PLANS=20000 for a long run."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import Plan, must_see, plans, verify
from failover_iter.testing._oracle import DEFAULT_ORACLES
from failover_iter.testing._plan_strategies import CONSUMERS, FAULTS
from support.by_hand import FAILURES, aby_hand, by_hand
from support.runners import quiet

#: The number of plans for each flavour.
PLANS = int(os.environ.get("FAILOVER_ITER_PLANS", "300"))

#: Faults that a stream cannot notice without more options: the source raises no error, but yields
#: too few items, or others.
UNKNOWABLE = {"ends early", "empty", "duplicates", "overlaps", "reorders", "diverges", "same"}


def ours(flavour: str) -> Any:
    stream: Any = failover_stream if flavour == "sync" else afailover_stream
    return lambda *factories: stream(factories, retry_on=FAILURES, mid_stream="skip")


def hand_written(flavour: str) -> Any:
    return by_hand if flavour == "sync" else aby_hand


@pytest.mark.slow
@pytest.mark.parametrize("pipeline_of", [ours, hand_written])
@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_many_plans(flavour: Any, pipeline_of: Any) -> None:
    """Every law that `verify` checks by default holds for each plan."""
    pipeline = pipeline_of(flavour)
    oracles = [*DEFAULT_ORACLES, "same_task"]
    if pipeline_of == ours:  # hand-written code does less
        oracles += ["intact", "no_cycle", "no_kept_error", "told", "returns", "sends"]

    @must_see("switched mid-stream", "left early", "raised", "ended normally", "time passed")
    @settings(max_examples=PLANS, suppress_health_check=list(HealthCheck), database=None)
    @given(
        plans(
            sources=3,
            errors=FAILURES,
            faults=[fault for fault in FAULTS if fault not in UNKNOWABLE],
            consumers=CONSUMERS,
        )
    )
    def test(plan: Plan) -> None:
        verify(pipeline, plan, oracles=oracles, flavour=flavour)

    with quiet():  # pytest keeps each record of the log, and with it the error
        test()
