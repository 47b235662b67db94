"""Laws H1 to H8 for sync streams, asyncio and trio; and the hedges that break them."""

from __future__ import annotations

from typing import Any

import pytest

from support.laws import SEARCH, each_law, each_mutant
from support.worlds import check_law

from .laws import LAWS
from .mutants import MUTANTS


@each_law(LAWS)
def test_law(law: Any, flavour: str) -> None:
    """The law holds, whatever happens."""
    check_law(law, flavour, max_examples=2 if law.__name__.startswith("h8") else 15, deadline=None)


@pytest.mark.filterwarnings("ignore")  # of the streams that a broken law leaves open
@each_mutant(MUTANTS)
def test_the_law_kills_the_mutant(law: str, mutated: None) -> None:
    """Wrong hedges break the law that they are about."""
    with pytest.raises(BaseException):  # noqa: B017 (whatever comes of it)
        check_law(LAWS[law], "asyncio", max_examples=60, **SEARCH)
