"""How many random examples a test runs: few by default, many under `pytest -m slow`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

#: The number of examples of a law in the suite that everybody runs; .ci/full sets more.
FEW = int(os.environ.get("FAILOVER_ITER_EXAMPLES", "30"))
#: The number of examples of each long test. FAILOVER_ITER_PLANS=20000 is a long run.
EXAMPLES = int(os.environ.get("FAILOVER_ITER_PLANS", "300"))


def explore(*strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with few random examples; and, under `-m slow`, with many."""

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        many = pytest.param(EXAMPLES, marks=pytest.mark.slow, id="many")

        @pytest.mark.parametrize("examples", [pytest.param(FEW, id="few"), many])
        @wraps(check)
        def test(examples: int) -> None:
            explored = given(*strategies)(check)
            settings(max_examples=examples, suppress_health_check=list(HealthCheck))(explored)()

        del test.__wrapped__  # type: ignore[attr-defined]  # pytest would see its parameters
        return test

    return decorate
