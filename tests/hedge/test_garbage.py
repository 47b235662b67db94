"""A race leaves nothing that only the garbage collector can free."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from failover_iter import Policy, Source, StreamTimeout, Superseded
from support.runners import quiet
from support.worlds import FLAVOURS, World, play


def cycles() -> list[str]:
    """The classes of the library of which the garbage collector finds objects."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        found = [type(each) for each in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    return sorted({each.__name__ for each in found if each.__module__.startswith("failover_iter.")})


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    "ends",
    [
        "the first wins",
        "the backup wins",
        "one fails",
        "all fail",
        "a bug",
        "a bug of a listener",
        "the consumer leaves",
        "the consumer throws",
        "the time is up",
        "closing fails",
        "closing fails and the consumer leaves",
    ],
)
def test_a_race_leaves_nothing_to_the_garbage_collector(flavour: str, ends: str) -> None:
    """Whatever its end is, no object of it is part of a cycle."""
    down = ConnectionError if ends != "a bug" else KeyError
    delays: dict[str, list[Any]] = {
        "the first wins": [1, 9],
        "one fails": [down, 1],
        "all fail": [down, down],
        "a bug": [1, down],
    }

    async def scenario(world: World) -> None:
        def listen(event: Any) -> None:
            if ends == "a bug of a listener" and isinstance(event, Superseded):
                raise LookupError

        def source(delay: Any) -> Any:
            async def body() -> AsyncIterator[int]:
                await world.sleep(delay if isinstance(delay, int) else 0.2)
                if not isinstance(delay, int):
                    raise delay("down")
                yield 1
                yield 2

            made = world.source(str(delay), body)
            return Source(made, close=close) if "closing fails" in ends else made

        def close(_: Any) -> None:
            raise LookupError

        policy = Policy(
            retry_on=OSError, on_event=listen, total_timeout=0.8 if "time" in ends else None
        )
        sources = [source(delay) for delay in delays.get(ends, [9, 1])]
        stream = world.stream(policy, [policy.hedge(sources, after=0.5)])
        with suppress(OSError, LookupError, StreamTimeout):
            assert await world.next(stream) == 1
            if "leaves" in ends:
                await world.close(stream)
            elif "throws" in ends:
                await world.throw(stream, OSError("mine"))
            else:
                await world.rest(stream)
        world.clock.wake_all()
        await world.sleep(1)  # for the timers and the tasks
        del stream
        assert cycles() == []

    gc.collect()
    gc.disable()
    try:
        with quiet():  # pytest keeps what is logged
            play(flavour, scenario)
    finally:
        gc.enable()
