"""Oracles with a parameter refuse what they do not understand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from failover_iter.testing import Oracle


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Oracle.max_openings(-1), "n.*at least 0, got -1"),
        (lambda: Oracle.max_openings(1.5), "n.*an int.*got 1.5"),  # type: ignore[arg-type]
        (lambda: Oracle.max_openings(True), "n.*got True"),
        (lambda: Oracle.max_openings(1, source="al"), "'each', 'all' or an int.*got 'al'"),  # type: ignore[arg-type]
        (lambda: Oracle.max_openings(1, source=-1), "source.*got -1"),
        (lambda: Oracle.survives(0), "attempts.*at least 1, got 0"),
        (lambda: Oracle.within(-1), "seconds.*at least 0, got -1"),
        (lambda: Oracle.within("3"), "seconds.*a number.*got '3'"),  # type: ignore[arg-type]
    ],
)
def test_refused(make: Callable[[], Any], message: str) -> None:
    """The error names the argument, what is allowed, and the value."""
    with pytest.raises(ValueError, match=message):
        make()
