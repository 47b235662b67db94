"""Laws B1 to B6 as properties of the rules; and the wrong rules that they find out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.laws import SEARCH, each_mutant

from .rules import LAWS, MUTANTS, World


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@given(data=st.data())
def test_law(law: Any, data: Any) -> None:
    """The law holds, whatever was before."""
    law(data)


@each_mutant(MUTANTS)
def test_the_law_kills_the_mutant(law: str, mutated: None) -> None:
    """Wrong rules break the law that they are about."""

    @settings(max_examples=300, **SEARCH)
    @given(data=st.data())
    def check(data: Any) -> None:
        LAWS[law](data)

    with pytest.raises((AssertionError, ExceptionGroup)):
        check()


def test_keys_are_forgotten_in_time() -> None:
    """A key that nobody asks for any more is dropped: the memory is bounded."""
    world = World()
    for number in range(2000):
        world.now += 60
        world.report(world.ask(f"tenant {number}"), "failed")
        world.ask("a")
    assert len(world.store._cells) < 1100
    assert len(world.store.snapshot(world.rules)) < 100


def test_a_report_waits_for_the_next_question() -> None:
    """A report may come from a finalizer: it takes no lock, and only questions apply it."""
    world = World()
    ticket = world.ask()
    with world.store._lock:  # held by whoever was interrupted by the finalizer
        world.report(ticket, "failed")
    assert world.health().failures == 1


def test_an_old_cell_is_forgotten() -> None:
    """The state of a source is forgotten a while after its cool-down."""
    world = World()
    world.fail(3)
    assert world.ask().verdict == "no"
    world.now += 30 + world.rules.memory / 1000
    assert world.ask().verdict == "yes"
    assert world.store.snapshot(world.rules) == {}
