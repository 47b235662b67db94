"""Mutants of async streams: failover as one might write it, each with one bug."""

from __future__ import annotations

from typing import Any


async def async_try_around_creation(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 1, async."""
    for factory in factories:
        try:
            stream = factory()
        except retry_on:
            continue
        async for item in stream:
            yield item
        return


async def async_yield_inside_the_try(
    factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any
) -> Any:
    """Known bug 2, async."""
    delivered, error = 0, None
    for factory in factories:
        try:
            place = 0
            async for item in factory():
                place += 1
                if place > delivered:
                    delivered += mid_stream == "skip"
                    yield item
            return
        except retry_on as failed:
            error = failed
    raise error


async def async_never_closes(
    factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any
) -> Any:
    """Known bug 10: leaves the source's async generator to the event loop."""
    delivered, error = 0, None
    for factory in factories:
        try:
            iterator = aiter(factory())
        except retry_on as failed:
            error = failed
            continue
        place = 0
        while True:
            try:
                item = await anext(iterator)
            except StopAsyncIteration:
                return
            except retry_on as failed:
                error = failed
                break
            place += 1
            if place > delivered:
                delivered += mid_stream == "skip"
                yield item
    raise error


async def async_eager_list(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Reads the whole source before it delivers anything."""
    error = None
    for factory in factories:
        try:
            items = [item async for item in factory()]
        except retry_on as failed:
            error = failed
            continue
        for item in items:
            yield item
        return
    raise error
