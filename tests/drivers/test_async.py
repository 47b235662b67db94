"""The async driver: the scenario table, the laws, known bugs, and what both drivers share."""

from __future__ import annotations

import pytest

from drivers.bookmarks import Bookmarks, QuietFeeds
from drivers.counting import Counting
from drivers.cursors import Cursors
from drivers.error_chains import ErrorChains
from drivers.errors import Errors
from drivers.expected import Expected
from drivers.known_bugs import KnownBugs
from drivers.laws import Laws
from drivers.nested import Nested
from drivers.passed_over import PassedOver
from drivers.reset_on_progress import ResetOnProgress
from drivers.restarts import Restarts
from support.flavour import AsyncFlavour
from support.model import model
from support.runners import run_asyncio
from support.scenarios import SCENARIOS
from support.timed import TIMED


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    """Each scenario of the table has the trace of the reference model."""
    assert run_asyncio(SCENARIOS[name]) == model(SCENARIOS[name])


@pytest.mark.parametrize("name", TIMED)
def test_timed_scenario(name: str) -> None:
    """So has each scenario in which time passes."""
    assert run_asyncio(TIMED[name]) == model(TIMED[name])


class TestLaws(Laws):
    """The laws, on this driver."""

    flavour_class = AsyncFlavour


class TestKnownBugs(KnownBugs):
    """Known bugs of other libraries, on this driver."""

    flavour_class = AsyncFlavour


class TestNested(Nested):
    """What groups tell each other, on this driver."""

    flavour_class = AsyncFlavour


class TestPassedOver(PassedOver):
    """Sources that may not take over, on this driver."""

    flavour_class = AsyncFlavour


class TestErrorChains(ErrorChains):
    """What errors say and hold, on this driver."""

    flavour_class = AsyncFlavour


class TestCounting(Counting):
    """Counting, on this driver."""

    flavour_class = AsyncFlavour


class TestErrors(Errors):
    """Errors that belong to others, on this driver."""

    flavour_class = AsyncFlavour


class TestExpected(Expected):
    """The number of items, on this driver."""

    flavour_class = AsyncFlavour


class TestCursors(Cursors):
    """Cursors and the memo, on this driver."""

    flavour_class = AsyncFlavour


class TestBookmarks(Bookmarks):
    """Bookmarks, on this driver."""

    flavour_class = AsyncFlavour


class TestRestarts(Restarts):
    """Decisions to restart, on this driver."""

    flavour_class = AsyncFlavour


class TestResetOnProgress(ResetOnProgress):
    """`reset_on_progress`, on this driver."""

    flavour_class = AsyncFlavour


class TestQuietFeeds(QuietFeeds):
    """Time limits and bookmarks, on this driver."""

    flavour_class = AsyncFlavour
