"""Limits of time in async streams: those of a group, and those of the stream around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from failover_iter import Policy, SourceError, StreamTimeout
from support.loops import FOREVER, LOOPS, drained, fallback, stream_of

loops = pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)


@loops
@pytest.mark.parametrize("inner", [{"first_item_timeout": 1}, {"idle_timeout": float("inf")}])
def test_each_limit_is_left_to_a_stream_inside_by_itself(loop: Any, inner: dict[str, Any]) -> None:
    """A group that sets only one of them does not have the other."""

    async def stalls() -> AsyncIterator[Any]:
        yield 1
        await loop.sleep(FOREVER)

    async def main() -> None:
        source = Policy(retry_on=OSError, **inner).source([stalls])
        assert await drained(stream_of(source, fallback, idle_timeout=3)) == [1, "fallback"]

    loop.run(main)


@loops
@pytest.mark.parametrize("ends", ["cut", "over"])
def test_an_outage_that_is_over_inside_is_over_outside(loop: Any, ends: str) -> None:
    """An outage that a group has survived does not count when the group fails much later."""

    async def down() -> AsyncIterator[Any]:
        raise ConnectionError("down")
        yield

    async def good() -> AsyncIterator[Any]:
        for number in range(5):
            await loop.sleep(10)
            yield number

    async def main() -> None:
        limit = {"total_timeout": 45} if ends == "over" else {}
        inner = Policy(retry_on=ConnectionError, **limit).source([down, good])
        stream = stream_of(
            inner,
            fallback,
            give_up_after=5,
            retry_on=(ConnectionError, StreamTimeout, SourceError),
            complete_when=lambda item: item == "fallback",
        )
        assert (await drained(stream))[-1] == "fallback"

    loop.run(main)
