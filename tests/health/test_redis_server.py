"""`RedisStore` on a real redis-server, which these tests start, stop, hang, flush and restart."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import Health, Policy
from failover_iter.health import LocalStore
from support.needs import needs
from support.redis_server import Server, needs_server
from support.runners import quiet

from .rules import DELAYS, OUTCOMES, RULES

redis = needs("redis")

from failover_iter.redis import RedisStore  # noqa: E402 (it needs redis-py)

pytestmark = [
    needs_server,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def test_the_script_follows_the_rules(server: Server) -> None:
    """The script in Redis and the rules in Python answer the same, whatever happens."""
    client = redis.Redis(port=server.port)

    @settings(max_examples=60)
    @given(data=st.data())
    def check(data: Any) -> None:
        client.flushall()
        rules, now = data.draw(RULES), 1000.0
        local = LocalStore(lambda: now)
        shared = RedisStore(client, fresh=0, store_timeout=20)  # this machine may be busy
        shared._sender.wake = lambda: None  # type: ignore[method-assign]  # sent below
        tickets: list[tuple[Any, Any]] = []
        for _ in range(data.draw(st.integers(1, 25))):  # not so long that a key expires
            now += data.draw(st.sampled_from([0.0, 0.125, 1.0, 3.0]))
            shared._time = int(now * 1000)
            if tickets and data.draw(st.booleans()):
                mine, theirs = tickets.pop(data.draw(st.integers(0, len(tickets) - 1)))
                outcome, delay = data.draw(st.sampled_from(OUTCOMES)), data.draw(DELAYS)
                local.report(mine, outcome, delay, rules)
                shared.report(theirs, outcome, delay, rules)
                shared.send()
            else:
                key = data.draw(st.sampled_from("ab"))
                tickets.append((local.admit(key, rules), shared.admit(key, rules)))
                assert tickets[-1][0] == tickets[-1][1]
        shared.close()

    check()


def test_what_redis_keeps_expires(server: Server) -> None:
    """A key of a source that is well does not exist; that of a sick one expires in time."""
    client = redis.Redis(port=server.port)
    client.flushall()
    store = RedisStore(client)
    health = Health(failures=1, cooldown=30, maximum=300, lease=60, store=store)
    assert health.admit("a").admitted
    assert client.keys() == []
    health.report(health.admit("a"), "failed", ConnectionError())
    (known,) = health.snapshot().values()
    assert (known.state, known.level) == ("out", 1)
    assert 29 < known.until <= 30
    left = client.pttl("failover_iter:health:a")
    assert 0 <= 30_000 + health.rules.memory - left < 5_000
    store.close()


def test_a_source_that_asks_for_ages(server: Server) -> None:
    """B6, B8: an absurd Retry-After neither breaks the script nor leaves a key for ever."""
    client = redis.Redis(port=server.port)
    client.flushall()
    store = RedisStore(client, fresh=0, store_timeout=20)
    health, error = Health(store=store), ConnectionError("429")
    error.retry_after = 1e16  # type: ignore[attr-defined]
    health.report(health.admit("a"), "failed", error)
    admission = health.admit("a")
    assert (admission.verdict, admission.local) == ("no", False)
    assert 0 < client.pttl("failover_iter:health:a") < 2e11
    store.close()


def sick() -> Iterator[int]:
    raise ConnectionError("refused")
    yield


def well() -> Iterator[int]:
    yield 1


def trouble_with(server: Server, client: Any) -> list[Callable[[], object]]:
    """Redis hangs, goes on, forgets, is killed and starts anew."""
    return [
        server.hang,
        server.go_on,
        client.flushall,
        client.script_flush,
        server.stop,
        server.start,
        client.flushall,
    ]


def test_no_stream_fails_whatever_happens_to_redis() -> None:
    """B8: Redis hangs, is killed, restarted, flushed; each stream goes on, and soon."""
    server = Server()
    store = RedisStore(redis.Redis(port=server.port), store_timeout=0.1, pause=0.2, fresh=0)
    policy = Policy(retry_on=ConnectionError, health=Health(failures=2, cooldown=0.1, store=store))
    took: list[float] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            while not done.is_set():
                began = time.perf_counter()
                assert list(policy.stream([sick, well])) == [1]
                took.append(time.perf_counter() - began)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]

    def some_more() -> None:
        count = len(took) + 30
        while len(took) < count and not failed:
            done.wait(0.01)

    with quiet():
        for thread in threads:
            thread.start()
        client = redis.Redis(port=server.port)
        try:
            for step in trouble_with(server, client):
                some_more()
                step()
            some_more()
        finally:
            done.set()
            for thread in threads:
                thread.join()
            store.close()
            server.stop()
    assert failed == []
    assert max(took) < 0.1 + 0.4  # this machine may be busy


def test_a_redis_that_hangs_is_waited_for_once() -> None:
    """B8: of many streams, one waits for `store_timeout`; the others of the pause do not ask."""
    server = Server()
    store = RedisStore(redis.Redis(port=server.port), store_timeout=0.2, pause=600, fresh=0)
    policy = Policy(retry_on=ConnectionError, health=Health(failures=9, store=store))
    took: list[float] = []
    with quiet():
        assert list(policy.stream([sick, well])) == [1]
        server.hang()
        try:
            for _ in range(50):
                began = time.perf_counter()
                assert list(policy.stream([sick, well])) == [1]
                took.append(time.perf_counter() - began)
        finally:
            server.go_on()
            store.close()
            server.stop()
    slowest, second, *_ = sorted(took, reverse=True)
    assert slowest >= 0.2 > second


async def asick() -> Any:
    raise ConnectionError("refused")
    yield


async def awell() -> Any:
    yield 1


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_no_async_stream_fails_whatever_happens_to_redis(flavour: str) -> None:
    """B8 for asyncio, and for trio, which asks with the blocking client in a thread."""
    server = Server()
    client: Any = (redis.asyncio.Redis if flavour == "asyncio" else redis.Redis)(port=server.port)
    store = RedisStore(client, store_timeout=0.1, pause=0.2, fresh=0)
    policy = Policy(retry_on=ConnectionError, health=Health(failures=2, cooldown=0.1, store=store))
    took: list[float] = []
    done = threading.Event()

    async def one() -> None:
        while not done.is_set():
            began = time.perf_counter()
            assert [item async for item in policy.astream([asick, awell])] == [1]
            took.append(time.perf_counter() - began)

    async def with_asyncio() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(one())
        await client.aclose()

    async def with_trio() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one)

    def trouble() -> None:
        """Trouble with the server, made by another thread."""
        direct = redis.Redis(port=server.port)
        try:
            for step in trouble_with(server, direct):
                count, until = len(took) + 30, time.monotonic() + 20
                while len(took) < count and time.monotonic() < until:
                    done.wait(0.01)
                step()
        finally:
            done.set()
            direct.close()

    with quiet():
        thread = threading.Thread(target=trouble)
        thread.start()
        try:
            if flavour == "asyncio":
                asyncio.run(with_asyncio())
            else:
                trio.run(with_trio)
        finally:
            thread.join()
            store.close()
            server.stop()
    assert len(took) >= 7 * 30
    assert max(took) < 0.1 + 0.9  # this machine may be busy


def test_async_streams_with_a_hanging_redis() -> None:
    """B8 for asyncio: a hundred streams at once wait for `store_timeout` once, and do not fail."""
    server = Server()

    async def main() -> float:
        async with redis.asyncio.Redis(port=server.port) as client:
            store = RedisStore(client, store_timeout=0.1, pause=60)
            policy = Policy(retry_on=ConnectionError, health=Health(failures=1, store=store))

            async def one() -> None:
                assert [item async for item in policy.astream([asick, awell])] == [1]

            await one()
            server.hang()
            store._known.clear()
            began = time.perf_counter()
            await asyncio.gather(*(one() for _ in range(100)))
            took = time.perf_counter() - began
            server.go_on()
            return took

    with quiet():
        assert asyncio.run(main()) < 0.1 + 0.9
    server.stop()


def work(port: int, seconds: float, asked: Any, barrier: Any) -> None:
    """One process with three threads, each of which opens a stream every 10 ms."""
    store = RedisStore(redis.Redis(port=port))
    health = Health(failures=3, cooldown=0.5, maximum=4, lease=2, store=store)
    policy = Policy(retry_on=ConnectionError, health=health)

    def asks() -> Iterator[int]:
        began = time.time()
        time.sleep(0.005)
        asked.put((began, time.time()))
        raise ConnectionError("refused")
        yield

    def run() -> None:
        barrier.wait()
        end = time.time() + seconds
        while time.time() < end:
            assert list(policy.stream([asks, well])) == [1]
            time.sleep(0.01)

    with quiet():
        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_many_processes_ask_a_sick_source_a_few_times(server: Server) -> None:
    """Four processes with three threads each ask it at most ten times more than at the start."""
    redis.Redis(port=server.port).flushall()
    context = multiprocessing.get_context("spawn")
    asked, barrier = context.Queue(), context.Barrier(12)
    processes = [
        context.Process(target=work, args=(server.port, 4, asked, barrier)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    spans = sorted(asked.get() for _ in range(asked.qsize()))
    probes = [span for span in spans if span[0] > spans[0][0] + 0.3]
    assert len(spans) - len(probes) <= 12  # each thread at once, before the third failure
    assert len(probes) <= 10
    assert all(before[1] <= after[0] for before, after in pairwise(probes))
