"""`Percentile`: a delay that follows the latency of the sources."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from failover_iter import Percentile
from failover_iter._percentile import quantile_of


def test_a_percentile() -> None:
    """It checks its arguments, and knows nothing before 20 times."""
    wrong: Any = "0.5"
    with pytest.raises(TypeError, match="quantile must be a number between 0 and 1, got '0.5'"):
        Percentile(wrong)
    with pytest.raises(ValueError, match="quantile must be a number between 0 and 1, got 95"):
        Percentile(95)
    with pytest.raises(ValueError, match="keep must be an int of at least 20, got 5"):
        Percentile(0.5, keep=5)
    percentile = Percentile(0.5, floor=2, keep=20)
    for seconds in range(19):
        percentile.won(seconds)
    assert percentile.seconds() == inf
    percentile.lost(19.0)
    assert percentile.seconds() == 9
    for _ in range(40):
        percentile.won(1.0)
    assert percentile.seconds() == 2
    assert repr(percentile) == "Percentile(0.5), now 2 s"
    assert quantile_of([(1.0, False), (3.0, True), (2.0, True)], 0.9) == 3.0
