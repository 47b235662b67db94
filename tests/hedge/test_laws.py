"""Laws H1 to H8 for sync streams, asyncio and trio; and the hedges that break them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase

from support.worlds import FLAVOURS, check_law

from .laws import LAWS
from .mutants import MUTANTS


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_law(law: Any, flavour: str) -> None:
    """The law holds, whatever happens."""
    check_law(law, flavour, max_examples=2 if law.__name__.startswith("h8") else 15, deadline=None)


@pytest.mark.filterwarnings("ignore")  # of the streams that a broken law leaves open
@pytest.mark.parametrize(
    ("law", "cls", "method", "mutant"),
    MUTANTS,
    ids=[each[3].__name__.strip("_") for each in MUTANTS],
)
def test_the_law_kills_the_mutant(
    law: str, cls: Any, method: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong hedges break the law that they are about."""
    monkeypatch.setattr(cls, method, mutant)

    with pytest.raises(BaseException):  # noqa: B017 (whatever comes of it)
        check_law(LAWS[law], "asyncio", max_examples=60, phases=[Phase.generate], database=None)
