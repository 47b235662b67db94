"""The cost of opening a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .cases import OPENING

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("way", ["bare", "ours"])
@pytest.mark.parametrize("kind", OPENING)
def test_opening(
    benchmark: Any,
    inside_asyncio: Callable[[Callable[[], Any]], None],
    kind: str,
    way: str,
) -> None:
    """Measures a stream from the call to its end, and the bare generator for comparison."""
    case = OPENING[kind]
    benchmark.group = f"opening: {kind}"
    function = case.ours if way == "ours" else case.naive
    inside_asyncio(lambda: benchmark.pedantic(function, rounds=200, iterations=50, warmup_rounds=5))
