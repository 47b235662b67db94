"""Sources that many tests need: one that is good, one that breaks off, one that is down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator


def good() -> Iterator[int]:
    yield from (1, 2, 3)


def broken() -> Iterator[int]:
    yield from (1, 2)
    raise ConnectionError("lost")


def dead() -> Iterator[int]:
    raise ConnectionError("refused")
    yield


async def good_async() -> AsyncIterator[int]:
    for item in (1, 2, 3):
        yield item


async def broken_async() -> AsyncIterator[int]:
    for item in (1, 2):
        yield item
    raise ConnectionError("lost")


async def dead_async() -> AsyncIterator[int]:
    raise ConnectionError("refused")
    yield
