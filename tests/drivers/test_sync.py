"""The blocking driver: the scenario table, the laws, the traps and the corners."""

from __future__ import annotations

import pytest

from drivers.corners import Corners
from drivers.counting import Counting
from drivers.errors import Errors
from drivers.expected import Expected
from drivers.known_bugs import KnownBugs
from drivers.laws import Laws
from drivers.positions import Positions, QuietFeeds
from support.flavour import SyncFlavour
from support.model import model
from support.runners import run_sync
from support.scenarios import SCENARIOS
from support.timed import TIMED


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    """Each scenario of the table has the trace of the reference model."""
    assert run_sync(SCENARIOS[name]) == model(SCENARIOS[name])


@pytest.mark.parametrize("name", TIMED)
def test_timed_scenario(name: str) -> None:
    """So has each scenario in which time passes."""
    assert run_sync(TIMED[name]) == model(TIMED[name], blocking=True)


class TestLaws(Laws):
    """The laws, on this driver."""

    flavour_class = SyncFlavour


class TestKnownBugs(KnownBugs):
    """Known bugs of other libraries, on this driver."""

    flavour_class = SyncFlavour


class TestCorners(Corners):
    """Corners that were once wrong, on this driver."""

    flavour_class = SyncFlavour


class TestCounting(Counting):
    """Counting, on this driver."""

    flavour_class = SyncFlavour


class TestErrors(Errors):
    """Errors that belong to others, on this driver."""

    flavour_class = SyncFlavour


class TestExpected(Expected):
    """The number of items, on this driver."""

    flavour_class = SyncFlavour


class TestPositions(Positions):
    """Cursors, bookmarks and the memo, on this driver."""

    flavour_class = SyncFlavour


class TestQuietFeeds(QuietFeeds):
    """Time limits and bookmarks, on this driver."""

    flavour_class = SyncFlavour
