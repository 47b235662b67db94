"""Laws B8 and B9 for a health in Redis: blocking, under asyncio and under trio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failover_iter import Policy
from support.needs import needs
from support.runners import quiet
from support.worlds import FLAVOURS, World, at_once

needs("redis")

from .fake_redis import FakeRedis  # noqa: E402 (it needs redis-py)
from .processes import Process  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
FRESH, PAUSE = 0.5, 3.0


def play(flavour: str, scenario: Callable[[], Any]) -> None:
    """Play a scenario in real time: the server is another thread."""
    with quiet():
        match flavour:
            case "sync":
                at_once(scenario())
            case "asyncio":
                asyncio.run(scenario())
            case _:
                trio.run(scenario)


@asynccontextmanager
async def client_of(fake: FakeRedis, flavour: str) -> Any:
    """The client of a process; streams under trio use a blocking one, in a thread."""
    if flavour != "asyncio":
        yield fake.client()
        return
    async with fake.aclient() as client:
        yield client


async def admit(process: Process, flavour: str, key: str) -> Any:
    if flavour == "sync":
        return process.health.admit(key)
    return await process.health.aadmit(key)


def check(law: Any, fake: FakeRedis, flavour: str) -> None:
    @settings(
        max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(data=st.data())
    def played(data: Any) -> None:
        fake.cells.clear()
        fake.mode = "well"

        async def scenario() -> None:
            async with client_of(fake, flavour) as client:
                await law(data, client)

        play(flavour, scenario)

    played()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_b9_no_cache_over_bad_news(fake: FakeRedis, flavour: str) -> None:
    """B9: an answer is used again for `fresh` at most, and never after a failure of one's own."""

    async def law(data: Any, client: Any) -> None:
        failures = data.draw(st.integers(1, 3), "failures")
        processes = [
            Process(client, fresh=FRESH, failures=failures, store_timeout=9) for _ in range(2)
        ]
        heard: dict[Process, float] = {}
        for process in processes:
            process.store._sender.wake = lambda: None  # type: ignore[method-assign]
        for _ in range(data.draw(st.integers(1, 20), "steps")):
            process = data.draw(st.sampled_from(processes))
            seconds = data.draw(st.sampled_from([0.0, 0.0, 0.25, 0.5, 11.0]), "later")
            fake.now += int(seconds * 1000)
            for each in processes:
                each.now += seconds
            asked = fake.asked.count("admit a")
            admission = await admit(process, flavour, "a")
            if fake.asked.count("admit a") == asked:
                assert process.now < heard[process] + FRESH
            else:
                heard[process] = process.now
            outcome = data.draw(st.sampled_from(["failed", "good", "nothing", None]))
            if outcome is not None:
                process.health.report(admission, outcome, ConnectionError())
            if outcome == "failed":
                heard.pop(process, None)

    check(law, fake, flavour)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_b8_a_store_in_trouble(fake: FakeRedis, flavour: str) -> None:
    """B8: each stream delivers; after a question in vain, the next follows after the pause."""
    world = World(flavour)

    async def law(data: Any, client: Any) -> None:
        process = Process(client, pause=PAUSE, store_timeout=0.03, failures=2)
        process.store._sender.wake = lambda: None  # type: ignore[method-assign]
        asked: list[float] = []
        calls, in_vain = process.store._calls, -PAUSE

        def counted(*args: Any) -> Any:
            nonlocal in_vain
            asked.append(process.now)
            assert process.now >= in_vain + PAUSE
            if fake.mode != "well":
                in_vain = process.now
            return calls(*args)

        process.store._calls = counted  # type: ignore[method-assign]
        policy = Policy(retry_on=ConnectionError, health=process.health)
        is_down = False

        async def primary() -> Any:
            if is_down:
                raise ConnectionError("refused")
            yield "item"

        async def replica() -> Any:
            yield "item"

        for _ in range(data.draw(st.integers(1, 12), "steps")):
            fake.mode = data.draw(st.sampled_from(["well", "well", "sick", "silent"]), "mode")
            is_down = data.draw(st.booleans(), "down")
            process.now += data.draw(st.sampled_from([0.0, 1.0, 3.0, 11.0]), "later")
            sources = [world.source("primary", primary), world.source("replica", replica)]
            if flavour == "sync":
                assert list(policy.stream(sources)) == ["item"]
            else:
                async with aclosing(policy.astream(sources)) as stream:
                    assert [item async for item in stream] == ["item"]
        assert asked

    check(law, fake, flavour)
