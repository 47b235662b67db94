"""How the costs scale, and an end-to-end measurement over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from . import loopback, scale

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("what", [scale.nesting, scale.at_once, scale.ten_million])
def test_scale(
    benchmark: Any, inside_asyncio: Callable[[Callable[[], Any]], None], what: Callable[..., Any]
) -> None:
    """Measures nesting 1 to 6 levels deep, 10,000 concurrent streams, and 10,000,000 items."""
    args = (0.1,) if what is scale.nesting else ()
    inside_asyncio(
        lambda: benchmark.extra_info.update(benchmark.pedantic(what, args=args, rounds=1))
    )


def test_end_to_end(benchmark: Any) -> None:
    """Measures 1,000 concurrent async streams over loopback HTTP, a third of which fail."""
    benchmark.extra_info.update(benchmark.pedantic(loopback.end_to_end, rounds=1))
