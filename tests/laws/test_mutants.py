"""The test suite kills each mutant, a wrong implementation, and finds no bug in the library.

The suite compares each scenario with the reference model, and runs the tests of `KnownBugs`
and `Laws` for behaviour that is not in a trace. Each mutant names its bug and where it was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings

from drivers.known_bugs import KnownBugs
from drivers.laws import Laws
from failover_iter import afailover_stream, failover_stream
from laws.conformance import check_failover_laws
from support.case import Case
from support.flavour import AsyncFlavour, SyncFlavour
from support.model import model
from support.mutants import MUTANTS, Combinator, Mutant, counts_the_replay_wrong
from support.runners import run_asyncio, run_sync
from support.scenarios import SCENARIOS, A, B

#: The scenarios that need no option that a mutant does not have.
PLAIN = {
    name: case
    for name, case in SCENARIOS.items()
    if case == Case(case.sources, consumer=case.consumer)
    and all(plan.mid_stream is None and plan.attempts is None for plan in case.sources)
} | {"skip": Case((A, B), mid_stream="skip")}


def killed_by_scenario(mutant: Combinator, run: Callable[..., Any]) -> set[str]:
    """Return the scenarios whose trace differs from the model; mutants have no listener."""
    killers = set()
    for name, case in PLAIN.items():
        expected = without_notes(model(case, listen=False))
        try:
            trace = without_notes(run(case, mutant, listen=False))
        except BaseException:
            trace = []
        if trace != expected:
            killers.add(name)
    return killers


def killed_by_law(mutant: Combinator, flavour_class: type[SyncFlavour]) -> set[str]:
    """Return the tests of laws and known bugs that fail for the mutant."""

    class MutantFlavour(flavour_class):  # type: ignore[misc, valid-type]  # a class at run time
        def stream(self, factories: Any, **options: Any) -> Any:
            return mutant(factories, **{"retry_on": ConnectionError, **options})

        def iterator(self, pull: Callable[[], Any], **parts: Any) -> Any:
            pulls = iter(range(1000))  # the test may drain an endless source

            def bounded() -> Any:
                if next(pulls, None) is None:
                    raise OverflowError("pulled too many times")
                return pull()

            return super().iterator(bounded, **parts)

    killers = set()
    for suite in (Laws(), KnownBugs()):
        for name in CHOSEN:
            law = getattr(type(suite), name, None)
            if law is None:
                continue
            flavour = MutantFlavour()
            try:
                law(suite, flavour)
            except BaseException:
                killers.add(name)
            finally:
                flavour.finish()
    return killers


#: The tests that need no option that a mutant does not have.
CHOSEN = [
    "test_throwing_generator_exit_is_close",
    "test_values_are_sent_to_the_source",
    "test_nothing_happens_before_the_first_pull",
    "test_the_next_factory_waits_for_the_failure_and_the_close",
    "test_nothing_is_pulled_ahead",
    "test_an_error_that_is_not_named_arrives_as_it_is",
    "test_what_the_consumer_throws_never_switches",
    "test_an_error_that_answers_a_throw_is_the_consumers",
    "test_the_last_error_is_the_same_object",
    "test_iterator_and_iterable_are_closed_once_each",
    "test_known_bug_01_try_around_creation",
    "test_known_bug_05_empty_source",
    "test_known_bug_06_errors_lost",
    "test_known_bug_10_break_leaves_the_source_open",
    "test_known_bug_13_bug_taken_for_an_outage",
]


def without_notes(trace: list[Any]) -> list[Any]:
    """Return a trace with error classes only: missing notes do not kill a mutant."""
    return [entry[:2] if entry[0] == "raised" else entry for entry in trace]


each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@each_mutant
def test_scenarios_kill_the_mutants(mutant: Mutant) -> None:
    """The trace of each mutant differs from the model in at least one scenario."""
    assert killed_by_scenario(mutant.stream, run_asyncio if mutant.is_async else run_sync)


@each_mutant
def test_laws_kill_the_mutants(mutant: Mutant) -> None:
    """At least one test of a law or a known bug fails for each mutant."""
    if mutant.stream is counts_the_replay_wrong:
        pytest.skip("wrong only in mode 'skip', which the scenarios cover")
    assert killed_by_law(mutant.stream, AsyncFlavour if mutant.is_async else SyncFlavour)


@pytest.fixture
def unshrunk() -> Iterator[None]:
    """Do not shrink: here it only matters whether the mutant is killed."""
    settings.register_profile("unshrunk", settings.default, phases=[Phase.generate])
    settings.load_profile("unshrunk")
    yield
    settings.load_profile("unhurried")


@pytest.mark.slow
@pytest.mark.usefixtures("unshrunk")
@each_mutant
def test_check_failover_laws_kills_the_mutants(mutant: Mutant) -> None:
    """`check_failover_laws` finds the law that the mutant breaks."""
    mode: Any = "skip" if mutant.stream is counts_the_replay_wrong else "restart"
    with pytest.raises(ExceptionGroup) as caught:
        check_failover_laws(
            lambda factories: mutant.stream(factories, retry_on=ConnectionError, mid_stream=mode),
            mode=mode,
            flavour="asyncio" if mutant.is_async else "sync",
            laws=[mutant.law],
            max_examples=400,
        )
    (error,) = caught.value.exceptions
    assert mutant.law in error.__notes__[-1]


def test_the_library_survives() -> None:
    """The same suite finds no bug in the library itself."""
    assert killed_by_scenario(failover_stream, run_sync) == set()
    assert killed_by_scenario(afailover_stream, run_asyncio) == set()
    assert killed_by_law(failover_stream, SyncFlavour) == set()
    assert killed_by_law(afailover_stream, AsyncFlavour) == set()
    assert len(PLAIN) > 20
