"""The cost per item once the stream is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .cases import PER_ITEM

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("way", ["naive", "ours"])
@pytest.mark.parametrize("shape", PER_ITEM)
def test_per_item(
    benchmark: Any,
    inside_asyncio: Callable[[Callable[[], Any]], None],
    shape: str,
    way: str,
) -> None:
    """Measures 20,000 items of one source, delivered by the naive loop or by a stream."""
    case = PER_ITEM[shape]
    make = getattr(case, way)
    benchmark.group = f"per item: {shape}"
    inside_asyncio(
        lambda: benchmark.pedantic(
            case.drain, setup=lambda: ((case.started(make),), {}), rounds=100, warmup_rounds=5
        )
    )
