"""`RedisStore` in async streams, with a client of asyncio and with a blocking one."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
import trio

from failover_iter import Health, Policy
from support.needs import needs

needs("redis")

from failover_iter.redis import RedisStore  # noqa: E402 (it needs redis-py)

from .fake_redis import FakeRedis  # noqa: E402
from .processes import Process  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


async def aplay(fake: FakeRedis, client: Any) -> None:
    """Learn of a failure, and of a server that is sick, in an async stream."""
    process = Process(client)
    health = process.health
    ticket = await health.aadmit("a")
    health.report(ticket, "failed", ConnectionError())
    assert (await health.aadmit("a")).verdict == "no"
    assert (await health.asnapshot())["a"].state == "out"
    fake.mode = "sick"
    assert (await health.aadmit("b")).local
    assert (await health.aadmit("b")).local
    assert dict(await health.asnapshot()) == {}
    process.now += 9
    assert dict(await health.asnapshot()) == {}


def test_asyncio(fake: FakeRedis, caplog: Any) -> None:
    """Under asyncio, with a client of asyncio."""

    async def main() -> None:
        async with fake.aclient() as client:
            await aplay(fake, client)

    asyncio.run(main())


def test_a_blocking_client_in_async_streams(fake: FakeRedis) -> None:
    """A blocking client is called in a thread: under asyncio, and under trio."""
    asyncio.run(aplay(fake, fake.client()))
    fake.mode = "well"
    fake.cells.clear()
    trio.run(aplay, fake, fake.client())


def test_a_task_sends_reports(fake: FakeRedis) -> None:
    """Under asyncio a task sends what is reported while nobody asks, on each loop."""
    process = None

    async def main() -> None:
        nonlocal process
        async with fake.aclient() as client:
            process = process or Process(client)
            process.store._aclient = client
            ticket = await process.health.aadmit("a")
            fake.asked.clear()
            process.health.report(ticket, "failed", ConnectionError())
            process.health.report(ticket, "failed", ConnectionError())  # the same task sends it
            task = process.store._sender._task
            assert task is not None
            await task
            assert fake.asked == ["failed a"] * 2
            fake.mode = "sick"
            process.health.report(ticket, "failed", ConnectionError())
            await process.store.asend()
            task = process.store._sender._task
            assert task is not None
            await task  # it finds nothing left to send
            process.now += 9
            fake.mode = "well"

    asyncio.run(main())
    asyncio.run(main())
    assert process is not None
    ticket = process.store._local.admit_alone("b", process.health.rules)
    process.health.report(ticket, "nothing")
    from dataclasses import replace

    process.health.report(replace(ticket, local=False), "failed", ConnectionError())
    assert len(process.store._told) == 1  # no loop runs: the next question takes it along
    process.store.send()
    assert len(process.store._told) == 1  # it is not for a thread
    sender = process.store._sender
    process = None
    gc.collect()
    assert sender._store() is None
    asyncio.run(sender._asend())


def test_a_cancellation_loses_no_report(fake: FakeRedis) -> None:
    """A task that is cancelled while it asks, or sends, leaves the reports to the next one."""

    async def main() -> None:
        async with fake.aclient() as client:
            process = Process(client, store_timeout=60)
            process.store._sender.wake = lambda: None  # type: ignore[method-assign]
            ticket = await process.health.aadmit("a")
            process.health.report(ticket, "failed", ConnectionError())
            for awaitable in (process.health.aadmit("a"), process.store.asend()):
                fake.mode = "silent"
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await awaitable
                assert len(process.store._told) == 1
            fake.mode = "well"
            assert (await process.health.aadmit("a")).verdict == "no"

    asyncio.run(main())


def test_a_task_sends_what_is_reported_meanwhile(fake: FakeRedis) -> None:
    """A report that comes while the task sends is sent by the same task."""

    async def main() -> None:
        async with fake.aclient() as client:
            process = Process(client, store_timeout=60)
            ticket = await process.health.aadmit("a")
            process.health.report(ticket, "failed", ConnectionError())
            task = process.store._sender._task
            assert task is not None
            while process.store._told:  # noqa: ASYNC110 (until the task has begun)
                await asyncio.sleep(0)
            process.health.report(ticket, "failed", ConnectionError())
            await task
            assert fake.asked[1:] == ["failed a"] * 2

    asyncio.run(main())


def test_a_blocking_stream_needs_a_blocking_client(fake: FakeRedis) -> None:
    """A client of asyncio in a blocking stream is refused, and the error says what to do."""
    health = Health(store=RedisStore(fake.aclient()))
    policy = Policy(retry_on=ConnectionError, health=health)
    health._store.close()  # type: ignore[attr-defined]  # the connections are those of the client
    with pytest.raises(TypeError, match=r"which a blocking stream cannot use: pass a redis\.Redis"):
        list(policy.stream([lambda: [1]]))
    with pytest.raises(TypeError, match=r"use await asnapshot\(\)"):
        health.snapshot()
