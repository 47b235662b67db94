"""The cost of opening a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .opening import POLICIES, STREAMS
from .streams import drain, drain_async

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("way", ["bare", "ours"])
@pytest.mark.parametrize("kind", STREAMS)
def test_opening(
    benchmark: Any,
    inside_asyncio: Callable[[Callable[[], Any]], None],
    kind: str,
    way: str,
) -> None:
    """Measures a stream from the call to its end, and the bare generator for comparison."""
    opening = STREAMS[kind]
    make = opening.make if way == "ours" else opening.bare
    consume = drain_async if opening.is_async else drain
    benchmark.group = f"opening: {kind}"
    inside_asyncio(
        lambda: benchmark.pedantic(
            lambda: consume(make()), rounds=200, iterations=50, warmup_rounds=5
        )
    )


@pytest.mark.parametrize("kind", POLICIES)
def test_policy(benchmark: Any, kind: str) -> None:
    """Measures how long it takes to make a policy."""
    benchmark.group = "opening: Policy"
    benchmark.pedantic(POLICIES[kind], rounds=200, iterations=50, warmup_rounds=5)
