"""The gain of a health while a source is down, in virtual time; and its costs."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from random import Random
from statistics import median
from typing import Any

from failover_iter import Health, Policy
from failover_iter.testing import VirtualClock

from .measure import MICROSECONDS
from .report import Headline, Part, Table
from .streams import quiet_logger

#: A stream begins each half second, for two minutes; the primary hangs for one of them.
STREAMS, EVERY = 240, 0.5
BEGINS, ENDS = 20.0, 80.0
#: How long a source may take to its first item, and how long it is out at first, in seconds.
TIMEOUT, COOLDOWN = 2.0, 10.0


@dataclass(frozen=True)
class Outage:
    """When each stream began, how long it waited for its first item, and the openings in vain."""

    waits: list[tuple[float, float]]
    in_vain: int


def measure(*, has_health: bool) -> Outage:
    """Run the streams, with or without a health that they share."""
    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        return runner.run(_run(has_health=has_health))


async def _run(*, has_health: bool) -> Outage:
    quiet_logger()
    random, loop = Random(1), asyncio.get_running_loop()
    began, in_vain = loop.time(), 0

    async def primary() -> AsyncIterator[int]:
        nonlocal in_vain
        if BEGINS <= loop.time() - began < ENDS:
            in_vain += 1
            await asyncio.sleep(600)
        await asyncio.sleep(random.lognormvariate(-1.6, 0.3))
        yield 1

    async def replica() -> AsyncIterator[int]:
        await asyncio.sleep(random.lognormvariate(-1.2, 0.3))
        yield 1

    health = Health(failures=3, cooldown=COOLDOWN, clock=loop.time) if has_health else None
    policy = Policy(retry_on=OSError, first_item_timeout=TIMEOUT, health=health)

    async def stream(number: int) -> tuple[float, float]:
        await asyncio.sleep(number * EVERY)
        start = loop.time()
        async for _ in policy.astream([primary, replica]):
            pass
        return start - began, loop.time() - start

    return Outage(await asyncio.gather(*map(stream, range(STREAMS))), in_vain)


# Costs.

SHORT = 2_000
#: A stream with a health beyond one with a listener, in microseconds: in process, and with Redis.
GOAL, REDIS_GOAL = 40.0, 50.0


async def _one() -> AsyncIterator[int]:
    yield 1


async def _per_stream(policy: Policy) -> float:
    began = time.process_time()
    for _ in range(SHORT):
        async for _ in policy.astream([_one, _one]):
            pass
    return (time.process_time() - began) / SHORT * MICROSECONDS


async def _cost(health: Health) -> float:
    """The median of several rounds, in which both are measured in turn."""
    plain = Policy(retry_on=OSError, on_event=lambda _: None)
    healthy = Policy(retry_on=OSError, on_event=lambda _: None, health=health)
    rounds: list[float] = []
    for _ in range(7):
        beyond = await _per_stream(plain)
        rounds.append(await _per_stream(healthy) - beyond)
    return median(rounds)


async def _cost_with_redis(port: int) -> float:
    import redis.asyncio

    from failover_iter.redis import RedisStore

    async with redis.asyncio.Redis(port=port) as client:
        store = RedisStore(client)
        cost = await _cost(Health(store=store))
        store.close()
        return cost


# Many processes.

#: How many processes with how many threads ask a sick source, for how many seconds.
PROCESSES, THREADS, SECONDS = 4, 3, 4.0


def _ask(port: int | None) -> int:
    """Open streams in a few threads; how often the source that refuses was opened."""
    quiet_logger()
    asked: list[None] = []
    health = None
    if port is not None:
        import redis

        from failover_iter.redis import RedisStore

        store = RedisStore(redis.Redis(port=port))
        health = Health(failures=3, cooldown=0.5, maximum=4, lease=2, store=store)
    policy = Policy(retry_on=ConnectionError, health=health)

    def sick() -> Iterator[int]:
        asked.append(None)
        time.sleep(0.005)
        raise ConnectionError("refused")
        yield

    def run() -> None:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for _ in policy.stream([sick, lambda: [1]]):
                time.sleep(0.01)

    with ThreadPoolExecutor(THREADS) as pool:
        for each in [pool.submit(run) for _ in range(THREADS)]:
            each.result()
    return len(asked)


def _asked_by_all(port: int | None) -> int:
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        return sum(pool.map(_ask, [port] * PROCESSES))


@contextmanager
def redis_server() -> Iterator[int]:
    """Start a redis-server that keeps nothing; its port."""
    import redis

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            client = redis.Redis(port=port)
            while not _answers(client):
                time.sleep(0.05)
            client.close()
            yield port
        finally:
            server.kill()


def _answers(client: Any) -> bool:
    import redis

    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def everything() -> dict[str, Any]:
    """Measure everything in this module."""
    outages = {}
    for name, has_health in (("without a health", False), ("with a health", True)):
        outage = measure(has_health=has_health)
        waited = sorted(seconds for _, seconds in outage.waits)
        outages[name] = {
            "p90": waited[STREAMS * 9 // 10],
            "late": sum(seconds > TIMEOUT for seconds in waited),
            "in vain": outage.in_vain,
        }
    costs, asked = {"process": asyncio.run(_cost(Health()))}, {}
    if shutil.which("redis-server") and find_spec("redis"):
        with redis_server() as port:
            costs["redis"] = asyncio.run(_cost_with_redis(port))
            asked = {"without a health": _asked_by_all(None), "RedisStore": _asked_by_all(port)}
    return {"outages": outages, "costs": costs, "asked": asked}


def part(runs: list[Any]) -> Part:
    """The tables of these measurements."""
    outages, costs = runs[0]["outages"], runs[0]["costs"]
    rows = [
        (name, str(each["late"]), f"{each['p90']:.2f}", str(each["in vain"]))
        for name, each in outages.items()
    ]
    saved = Table(
        "Health, an outage",
        f"{STREAMS} streams in two minutes of virtual time; the primary hangs for one of them, and "
        f"times out after {TIMEOUT:g} s: streams that waited for that, seconds until the first "
        "item, openings of the primary in vain",
        ("streams that waited", "p90", "openings in vain"),
        rows,
    )
    paid = [("in process", f"{costs['process']:.1f}", f"{GOAL:.1f}")]
    if "redis" in costs:
        paid.append(("RedisStore, fresh=0.25", f"{costs['redis']:.1f}", f"{REDIS_GOAL:.1f}"))
    cost = Table(
        "Health, the costs",
        "microseconds of CPU for an async stream of one item, beyond one with a listener",
        ("µs", "goal"),
        paid,
    )
    shared = Table(
        "Health, many processes",
        f"{PROCESSES} processes with {THREADS} threads each, which open a stream each 15 ms: how "
        f"often they open a source that refuses, in {SECONDS:g} s of real time",
        ("openings",),
        [(name, f"{count:,}") for name, count in runs[0]["asked"].items()],
    )
    tables = [saved, shared, cost] if runs[0]["asked"] else [saved, cost]
    name = "µs per stream with a health, beyond a listener"
    return Part(tables, [Headline(name, paid[0][1], f"<= {GOAL:.0f}")])
