"""The kit quickly finds the bug in each mutant, and shows it with a small plan."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import Phase, given, seed, settings

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import BrokenLaw, Plan, plans, run_plan, verify
from failover_iter.testing._oracle import resolve
from support.mutants import MUTANTS, Mutant

pytestmark = pytest.mark.slow

fixed = settings(database=None)
unshrunk = settings(fixed, phases=[Phase.generate])


def shown(mutant: Mutant, profile: settings = fixed, **how: Any) -> BrokenLaw:
    """Return the broken law that the kit finds with a fixed seed."""

    @seed(1)
    @settings(profile, max_examples=mutant.plans)
    @given(plans(sources=2, errors=[ConnectionError]))
    def test(plan: Plan) -> None:
        verify(mutant.pipeline, plan, **how)

    with pytest.raises(BrokenLaw) as caught:
        test()
    return caught.value


each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@each_mutant
def test_killed_with_a_small_plan(mutant: Mutant) -> None:
    """The kit kills the mutant within 10 s, with at most one fault and two items.

    The limit is CPU time, because wall time depends on the load of the machine.
    """
    began = process_time()
    broken = shown(mutant)
    assert process_time() - began < 10
    plan = broken.run.plan
    assert plan.faults <= 1
    assert len(plan.items) <= 2
    assert f"@example({plan!r})" in str(broken)


@each_mutant
def test_killed_by_the_law_it_breaks(mutant: Mutant) -> None:
    """The kit also finds the bug if it only checks the laws that the mutant breaks."""
    broken = shown(mutant, unshrunk, oracles=sorted(mutant.oracles))
    assert {oracle.name for oracle, _ in broken.broken} <= mutant.oracles


@each_mutant
def test_mutants_work_if_no_source_fails(mutant: Mutant) -> None:
    """A mutant delivers exactly once if its sources do not fail."""
    run = run_plan(mutant.pipeline, Plan("abc|", "abc|"))
    assert [judge(run) for judge in resolve("exactly_once")] == [None] * 4


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_the_library_survives(flavour: Any) -> None:
    """The same settings find no bug in the library itself."""
    stream: Any = failover_stream if flavour == "sync" else afailover_stream

    @seed(1)
    @fixed
    @given(plans(sources=2, errors=[ConnectionError]))
    def test(plan: Plan) -> None:
        verify(
            lambda *f: stream(f, retry_on=ConnectionError, mid_stream="skip"), plan, flavour=flavour
        )

    test()
