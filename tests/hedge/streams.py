"""What tests of hedges share: slow sources, and a loop whose clock jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from failover_iter import Policy
from failover_iter.testing import VirtualClock
from support.worlds import World

POLICY = Policy(retry_on=ConnectionError)


class Exit(BaseException):
    """No `Exception`."""


def run(main: Callable[[], Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        return runner.run(main())


def slow(name: str = "slow", seconds: float = 9.0) -> Any:
    async def source() -> AsyncIterator[str]:
        await asyncio.sleep(seconds)
        yield name

    source.__name__ = name
    return source


def of_world(world: World, name: str, seconds: float, **more: Any) -> Any:
    async def body(*_: object) -> AsyncIterator[Any]:
        await world.sleep(seconds)
        if "error" in more:
            raise more["error"]
        yield name

    return world.source(name, body)


def blocking(virtual: VirtualClock, seconds: float = 9.0) -> Any:
    def source() -> Iterator[str]:
        virtual.sleep(seconds)
        yield "late"

    return source
