"""The memory that many concurrent streams and many consecutive failures use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .memory import (
    ASYNC_STREAMS,
    FAILING,
    FEW_FAILURES,
    MANY,
    MANY_FAILURES,
    SYNC_STREAMS,
    bytes_each,
    fail,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("kind", SYNC_STREAMS)
def test_many_streams(benchmark: Any, kind: str) -> None:
    """Measures the bytes per stream of 10,000 open streams that have yielded one item each."""
    benchmark.group = f"{MANY} concurrent streams"
    measured = benchmark.pedantic(
        bytes_each, args=(SYNC_STREAMS[kind],), kwargs={"is_async": False}, rounds=1
    )
    benchmark.extra_info["bytes_each"] = measured


@pytest.mark.parametrize("kind", ASYNC_STREAMS)
def test_many_async_streams(
    benchmark: Any,
    inside_asyncio: Callable[[Callable[[], Any]], None],
    kind: str,
) -> None:
    """Measures the bytes per stream of 10,000 async streams under asyncio."""
    benchmark.group = f"{MANY} concurrent async streams"
    inside_asyncio(
        lambda: benchmark.extra_info.update(
            bytes_each=benchmark.pedantic(
                bytes_each, args=(ASYNC_STREAMS[kind],), kwargs={"is_async": True}, rounds=1
            )
        )
    )


@pytest.mark.parametrize("number", [FEW_FAILURES, MANY_FAILURES])
@pytest.mark.parametrize("kind", FAILING)
def test_failures_in_a_row(
    benchmark: Any,
    inside_asyncio: Callable[[Callable[[], Any]], None],
    kind: str,
    number: int,
) -> None:
    """Measures the peak memory, the stack depth and the chained errors of many failures."""
    benchmark.group = f"consecutive failures: {kind}"
    inside_asyncio(
        lambda: benchmark.extra_info.update(
            benchmark.pedantic(fail, args=(kind, number), rounds=1)._asdict()
        )
    )
