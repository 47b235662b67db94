"""Laws B1 to B7 and B10 for sync streams, asyncio and trio; and the streams that break them."""

from __future__ import annotations

from typing import Any

import pytest

from support.laws import SEARCH, each_law, each_mutant
from support.worlds import check_law

from .streams import LAWS, MUTANTS


@each_law(LAWS)
def test_law(law: Any, flavour: str) -> None:
    """The law holds, whatever happens."""
    check_law(law, flavour, max_examples=2 if law.__name__.startswith("b5") else 25)


@each_mutant(MUTANTS)
def test_the_law_kills_the_mutant(law: str, mutated: None) -> None:
    """Wrong streams break the law that they are about."""
    with pytest.raises(BaseException):  # noqa: B017 (whatever comes of it)
        check_law(LAWS[law], "sync", max_examples=100, **SEARCH)
