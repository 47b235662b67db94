"""The cost per item once the stream is open."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from .items import ITEMS, OPTIONS, SHAPES
from .streams import async_naive, drain, drain_async, naive, run

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = [
    (flavour, shape, option)
    for flavour, shapes in SHAPES.items()
    for shape in shapes
    for option in ("naive loop", *OPTIONS)
]


@pytest.mark.parametrize(("flavour", "shape", "option"), CASES)
def test_per_item(
    benchmark: Any,
    inside_asyncio: Callable[[Callable[[], Any]], None],
    flavour: str,
    shape: str,
    option: str,
) -> None:
    """Measures the items of one source, delivered by the naive loop or by a stream."""
    is_async = flavour == "async"
    source = SHAPES[flavour][shape]
    if option == "naive loop":
        make = partial(async_naive if is_async else naive, [partial(source, ITEMS)])
    else:
        make = partial(OPTIONS[option].stream, source, ITEMS, is_async=is_async)

    def opened() -> tuple[tuple[Any], dict[str, Any]]:
        stream = make()
        run(anext(stream)) if is_async else next(stream)
        return (stream,), {}

    benchmark.group = f"per item: {shape}"
    inside_asyncio(
        lambda: benchmark.pedantic(
            drain_async if is_async else drain, setup=opened, rounds=100, warmup_rounds=5
        )
    )
