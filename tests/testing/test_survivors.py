"""The kit finds each subtle mutant quickly, and shows it with its smallest plan."""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest
from hypothesis import Phase, given, seed, settings

from failover_iter.testing import (
    BrokenLaw,
    Plan,
    RunResult,
    plans,
    verify,
)
from laws import suite
from laws.conformance import check_failover_laws
from support.runners import quiet
from support.survivors import SURVIVORS, Survivor
from support.wrapping import aright, right

pytestmark = pytest.mark.slow

#: Seconds of CPU time and plans within which the kit finds a bug.
SECONDS, PLANS = 10, 2_000

CASES = [
    pytest.param(survivor, flavour, id=f"{flavour}-{survivor.name}")
    for survivor in SURVIVORS
    for flavour in (["asyncio", "trio"] if survivor.is_async else ["sync"])
]


def broken_laws(combinator: Any, waiting: Any, law: str, flavour: Any) -> list[Exception]:
    """Return the errors of `check_failover_laws` for one law."""
    try:
        with quiet():
            check_failover_laws(
                combinator,
                waiting=waiting,
                flavour=flavour,
                laws=[law],
                max_examples=PLANS // 2,  # of each check of the law
            )
    except ExceptionGroup as group:
        return list(group.exceptions)
    return []


@pytest.fixture
def unshrunk() -> Iterator[None]:
    """Do not shrink, and always try the same plans: it only matters whether a mutant is killed."""
    before = settings.get_current_profile_name()
    settings.register_profile(
        "unshrunk", settings.default, phases=[Phase.generate], derandomize=True
    )
    settings.load_profile("unshrunk")
    yield
    settings.load_profile(before)


@pytest.fixture
def plans_tried(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that `check_failover_laws` verifies."""
    tried: list[Plan] = []

    def counted(pipeline: Any, plan: Plan, **how: Any) -> RunResult:
        tried.append(plan)
        return verify(pipeline, plan, **how)

    monkeypatch.setattr(suite, "verify", counted)
    return tried


@pytest.mark.usefixtures("unshrunk")
@pytest.mark.parametrize(("survivor", "flavour"), CASES)
def test_the_conformance_function_kills_it(
    survivor: Survivor, flavour: Any, plans_tried: list[Plan]
) -> None:
    """`check_failover_laws` finds the law that it breaks, in 10 s of CPU time and 2,000 plans."""
    combinator: Any = survivor.stream
    if survivor.waits:
        combinator = aright if survivor.is_async else right
    began = process_time()
    (error,) = broken_laws(combinator, survivor.stream, survivor.law, flavour)
    assert process_time() - began < SECONDS
    assert len(plans_tried) <= PLANS
    assert survivor.law in error.__notes__[-1]


@pytest.mark.parametrize(("survivor", "flavour"), [case for case in CASES if case.values[0].oracle])
def test_an_oracle_sees_it(survivor: Survivor, flavour: Any) -> None:
    """`verify` with a fitting oracle finds it in 2,000 plans, and shrinks to a small plan."""

    @seed(1)
    @settings(max_examples=PLANS, database=None)
    @given(
        plans(
            sources=survivor.sources,
            max_items=8,
            faults=survivor.faults,
            consumers=survivor.consumers,
        )
    )
    def test(plan: Plan) -> None:
        verify(
            lambda *factories: survivor.stream(factories),
            plan,
            oracles=survivor.oracle or (),
            flavour=flavour,
        )

    began = process_time()
    with quiet(), pytest.raises(BrokenLaw) as caught:
        test()
    assert process_time() - began < SECONDS
    plan = caught.value.run.plan
    assert plan.faults <= survivor.sources
