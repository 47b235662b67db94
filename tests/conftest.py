"""What holds for the whole suite."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import Phase, find, settings
from hypothesis.strategies import none

import failover_iter
from support.needs import pytest_collection_modifyitems, pytest_terminal_summary
from support.size import FEW

# Hooks for the tests of packages that are not installed.
__all__ = ["pytest_collection_modifyitems", "pytest_terminal_summary"]

# A busy machine makes an example slow, not wrong. Few examples, unless a test wants more. No
# comments that explain a failure: they take nine times as long as to find the failure and to shrink
# it, and many tests expect one. All else is as Hypothesis has it (in CI: its own profile for that).
settings.register_profile(
    "unhurried",
    settings.default,
    deadline=None,
    max_examples=FEW,
    phases=[phase for phase in settings.default.phases if phase is not Phase.explain],
)
settings.load_profile("unhurried")


def pytest_collection_finish() -> None:
    """Part what is loaded from what tests make: many of them collect garbage, again and again."""
    # Hypothesis makes its random numbers now: it warns if it finds nothing that refers to them, and
    # it does not see what is frozen.
    find(none(), lambda _: True, settings=settings(database=None))
    _part()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """So too what the tests of one file have left from those of the next."""
    if nextitem is not None and nextitem.path != item.path:
        _part()


def _part() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture
def mutated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the bug of a mutant into the library: see `support.laws.each_mutant`."""
    owner, name, mutant = request.param
    monkeypatch.setattr(owner, name, mutant)


def pytest_report_header() -> str:
    """Say which failover_iter is tested: what is installed, or the checkout."""
    return f"failover_iter: {Path(failover_iter.__file__).parent}"
