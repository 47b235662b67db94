"""Streams whose sources run on a fake of Ray."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from cluster.fake_ray import STRATEGIES, FakeRay, RayError
from failover_iter import Progress, afailover_stream, failover_stream
from failover_iter.ray import _driver, aremote, remote
from support.runners import quiet

FLAVOURS = pytest.mark.parametrize("flavour", ["sync", "async"])
MAKERS = {"sync": remote, "async": aremote}


@pytest.fixture(autouse=True)
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)  # type: ignore[arg-type]
    strategies = "ray.util.scheduling_strategies"
    monkeypatch.setitem(sys.modules, "ray.util", fake)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, strategies, STRATEGIES)  # type: ignore[arg-type]
    monkeypatch.setattr(_driver, "PATIENCE", 0.01)
    _driver.task.cache_clear()
    _driver._killer.cache_clear()
    with quiet():
        yield fake
    _driver.task.cache_clear()
    _driver._killer.cache_clear()


def deliver(flavour: str, factory: Any, stop_at: int | None = None, **options: Any) -> list[Any]:
    """The items of a stream, or those before the consumer leaves."""
    options = {"retry_on": RayError, "mid_stream": "resume", **options}
    items: list[Any] = []

    async def run() -> None:
        async with aclosing(afailover_stream([factory], **options)) as stream:
            async for item in stream:
                items.append(item)
                if len(items) == stop_at:
                    return

    if flavour == "async":
        asyncio.run(run())
        return items
    stream = failover_stream([factory], **options)
    for item in stream:
        items.append(item)
        if len(items) == stop_at:
            stream.close()
    return items


def ten(progress: Progress[int]) -> Iterator[int]:
    yield from range(progress.delivered, 10)
