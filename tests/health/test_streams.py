"""Laws B1 to B7 and B10 for sync streams, asyncio and trio; and the streams that break them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase

from support.worlds import FLAVOURS, check_law

from .streams import LAWS, MUTANTS


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_law(law: Any, flavour: str) -> None:
    """The law holds, whatever happens."""
    check_law(law, flavour, max_examples=2 if law.__name__.startswith("b5") else 25)


@pytest.mark.parametrize(
    ("law", "cls", "method", "mutant"),
    MUTANTS,
    ids=[each[3].__name__.strip("_") for each in MUTANTS],
)
def test_the_law_kills_the_mutant(
    law: str, cls: Any, method: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong streams break the law that they are about."""
    monkeypatch.setattr(cls, method, mutant)

    with pytest.raises(BaseException):  # noqa: B017 (whatever comes of it)
        check_law(LAWS[law], "sync", max_examples=100, phases=[Phase.generate], database=None)
