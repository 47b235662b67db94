"""What one stream costs a process, and what the shared health of sources costs Redis.

`docs/scale.md` computes from these figures what holds for many streams and many processes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from failover_iter import Health, Policy, in_thread

from .outage import redis_server
from .report import Part, Table
from .streams import quiet_logger

#: How many streams are open at the same time; fewer of those that have a thread each.
MANY, MANY_THREADS = 10_000, 1_000
#: How many items are pulled from each stream after the first.
ITEMS = 20
#: How many questions Redis is asked, and how many keys it holds.
QUESTIONS, KEYS = 5_000, 1_000


def numbers() -> Iterator[int]:
    """Yield without end."""
    yield from count()


async def anumbers() -> AsyncIterator[int]:
    """Yield without end."""
    for number in count():
        yield number


def policy(**options: Any) -> Policy:
    """Return a policy with these options."""
    return Policy(retry_on=OSError, **options)


#: What makes a stream, whether it is async, and how many are opened.
KINDS: dict[str, tuple[Callable[[], Callable[[], Any]], bool, int]] = {
    "a bare generator": (lambda: numbers, False, MANY),
    "stream": (lambda: _opener(policy(), "stream", numbers), False, MANY),
    "stream, health": (lambda: _opener(policy(health=Health()), "stream", numbers), False, MANY),
    "stream, idle_timeout": (
        lambda: _opener(policy(idle_timeout=60), "stream", numbers), False, MANY_THREADS,
    ),
    "a bare async generator": (lambda: anumbers, True, MANY),
    "astream": (lambda: _opener(policy(), "astream", anumbers), True, MANY),
    "astream, idle_timeout": (
        lambda: _opener(policy(idle_timeout=60), "astream", anumbers), True, MANY,
    ),
    "astream, in_thread": (
        lambda: _opener(policy(), "astream", in_thread(numbers)), True, MANY_THREADS,
    ),
}  # fmt: skip


def _opener(policy: Policy, flavour: str, factory: Any) -> Callable[[], Any]:
    return lambda: getattr(policy, flavour)([factory])


def everything() -> dict[str, Any]:
    """Measure each kind of stream in a fresh process."""
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        streams = {kind: pool.submit(_measure, kind).result() for kind in KINDS}
        redis = pool.submit(_redis).result() if shutil.which("redis-server") else {}
    return {"streams": streams, "redis": redis}


class Usage(NamedTuple):
    """The resources that a process uses."""

    memory: int
    threads: int
    files: int

    @classmethod
    def now(cls) -> Usage:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        files = len(list(Path("/proc/self/fd").iterdir()))
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), threading.active_count(), files)


def _measure(kind: str) -> dict[str, float]:
    """Per stream: memory, threads, files; CPU to open and close it, and for each item."""
    quiet_logger().disabled = True
    make, is_async, many = KINDS[kind]
    opener = make()
    _round(opener, 100, is_async=is_async)  # imports and caches
    before = Usage.now()
    cpu, per_item, during = _round(opener, many, is_async=is_async)
    return {
        "memory": (during.memory - before.memory) / many,
        "threads": (during.threads - before.threads) / many,
        "files": (during.files - before.files) / many,
        "open": cpu,
        "item": per_item,
    }


def _round(opener: Callable[[], Any], many: int, *, is_async: bool) -> tuple[float, float, Usage]:
    return asyncio.run(_around(opener, many)) if is_async else _rounds(opener, many)


def _rounds(opener: Callable[[], Any], many: int) -> tuple[float, float, Usage]:
    start = time.process_time()
    opened = [opener() for _ in range(many)]
    for stream in opened:
        next(stream)
    pulled = time.process_time()
    during = Usage.now()
    began = time.process_time()
    for stream in opened:
        for _ in range(ITEMS):
            next(stream)
    ended = time.process_time()
    for stream in opened:
        stream.close()
    return _each(pulled - start + time.process_time() - ended, ended - began, many, during)


async def _around(opener: Callable[[], Any], many: int) -> tuple[float, float, Usage]:
    start = time.process_time()
    opened = [opener() for _ in range(many)]
    for stream in opened:
        await anext(stream)
    pulled = time.process_time()
    during = Usage.now()
    began = time.process_time()
    for stream in opened:
        for _ in range(ITEMS):
            await anext(stream)
    ended = time.process_time()
    for stream in opened:
        await stream.aclose()
    return _each(pulled - start + time.process_time() - ended, ended - began, many, during)


def _each(opening: float, items: float, many: int, during: Usage) -> tuple[float, float, Usage]:
    return opening / many * 1e6, items / many / ITEMS * 1e6, during


def _redis() -> dict[str, float]:
    """Measure a question to Redis, and the memory of a key."""
    import redis

    from failover_iter.redis import RedisStore

    quiet_logger().disabled = True
    with redis_server() as port:
        client = redis.Redis(port=port)
        store = RedisStore(client, fresh=0)
        health = Health(failures=1, cooldown=300, store=store)
        health.admit("warm")
        before, start = client.info(), time.process_time()
        for _ in range(QUESTIONS):
            health.admit("a source that is well")
        cpu, after = time.process_time() - start, client.info()
        empty = client.info("memory")["used_memory"]
        for number in range(KEYS):
            health.report(health.admit(f"source {number}"), "failed", ConnectionError())
        store.send()
        full = client.info("memory")["used_memory"]
        connections = len(client.client_list()) - 1
        store.close()
        return {
            "process": cpu / QUESTIONS * 1e6,
            "redis": _between(before, after, "used_cpu_user", "used_cpu_sys") * 1e6,
            "bytes": _between(before, after, "total_net_input_bytes", "total_net_output_bytes"),
            "key": (full - empty) / client.dbsize(),
            "connections": connections,
        }


def _between(before: Any, after: Any, *fields: str) -> float:
    return float(sum(after[field] - before[field] for field in fields)) / QUESTIONS


def tables(runs: list[Any]) -> Part:
    """Make the tables of this part."""
    (run,) = runs
    streams = [
        (
            kind,
            f"{each['memory'] / 1024:.1f}",
            f"{each['threads']:.0f}",
            f"{each['files']:.0f}",
            f"{each['open']:.1f}",
            f"{each['item']:.2f}",
        )
        for kind, each in run["streams"].items()
    ]
    parts = [
        Table(
            "What one stream costs a process",
            f"while {MANY:,} streams are open ({MANY_THREADS:,} of those with threads), the source "
            "included: resident memory in KB, threads, open files, microseconds of CPU to open, "
            "pull one item and close, and for each further item",
            ("KB", "threads", "files", "CPU µs a stream", "CPU µs an item"),
            streams,
        )
    ]
    if redis := run["redis"]:
        rows = [
            ("CPU of the process, µs a question", f"{redis['process']:.0f}"),
            ("CPU of Redis, µs a question", f"{redis['redis']:.1f}"),
            ("network, bytes a question", f"{redis['bytes']:.0f}"),
            ("memory of Redis, bytes a source that failed lately", f"{redis['key']:.0f}"),
            ("connections of a process with one thread", f"{redis['connections']:.0f}"),
        ]
        what = "a question of a process to Redis whether a source is well, and what Redis keeps"
        parts.append(Table("What shared health costs Redis", what, ("",), rows))
    return Part(parts)
