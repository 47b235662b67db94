"""One `Trace` on a `Policy` that serves a hundred nested streams at the same time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest
import trio
import trio.testing

from failover_iter import Policy, Source, Trace
from failover_iter._drivers.clock import async_sleep
from failover_iter.testing import VirtualClock

HUNDRED = 100


def hundred_in_threads(policy: Policy) -> None:
    meeting = threading.Barrier(HUNDRED, timeout=60)

    def main(number: int) -> None:
        def meets() -> Iterator[int]:
            yield 0
            meeting.wait()  # all streams are mid-stream
            raise OSError("gone")

        def replica() -> Iterator[int]:
            yield from range(3)

        list(policy.stream(nested(policy, number, meets, replica)))

    threads = [threading.Thread(target=main, args=(number,)) for number in range(HUNDRED)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


async def consume_one(policy: Policy, number: int) -> None:
    async def meets() -> AsyncIterator[int]:
        yield 0
        await async_sleep(1)  # all streams are mid-stream
        raise OSError("gone")

    async def replica() -> AsyncIterator[int]:
        for item in range(3):
            await async_sleep(1)
            yield item

    async with aclosing(policy.astream(nested(policy, number, meets, replica))) as stream:
        assert [item async for item in stream] == [0, 1, 2]


def hundred_in_asyncio(policy: Policy) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(HUNDRED):
                tasks.create_task(consume_one(policy, number))

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        runner.run(main())


def hundred_in_trio(policy: Policy) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(HUNDRED):
                nursery.start_soon(consume_one, policy, number)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def nested(policy: Policy, number: int, meets: Any, replica: Any) -> list[Source[Any]]:
    """Return a region with a zone and a replica; the zone has the primary."""
    zone = policy.source([Source(meets, name=f"primary {number}")], name=f"zone {number}")
    inner = [zone, Source(replica, name=f"replica {number}")]
    return [policy.source(inner, name=f"region {number}")]


@pytest.mark.parametrize("run", [hundred_in_threads, hundred_in_asyncio, hundred_in_trio])
def test_a_hundred_streams_of_one_policy(run: Callable[[Policy], None]) -> None:
    """All of them are mid-stream at once, and each is shown with its nesting, then the next."""
    trace = Trace()
    run(Policy(retry_on=OSError, mid_stream="skip", on_event=trace))
    rows = trace.attempts
    assert len(rows) == 4 * HUNDRED
    numbers = set()
    for start in range(0, len(rows), 4):
        four = rows[start : start + 4]
        (number,) = {row.source.split()[1] for row in four}
        numbers.add(number)
        assert [row.stream for row in four] == [start // 4 + 1] * 4
        assert [(row.depth, row.source.split()[0], row.outcome) for row in four] == [
            (0, "region", "completed"),
            (1, "zone", "failed"),
            (2, "primary", "failed"),
            (1, "replica", "completed"),
        ]
        assert [row.delivered for row in four] == [3, 1, 1, 2]
    assert len(numbers) == HUNDRED
    text = str(trace).split("\n")
    assert "... 368 attempts left out ..." in text  # 4 streams of 5 lines are left at each end
    headings = [line for line in text if line.startswith("stream ")]
    assert headings == [f"stream {number}:" for number in (1, 2, 3, 4, 97, 98, 99, 100)]
