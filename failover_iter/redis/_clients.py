"""How commands reach Redis: in a bounded time, with no retries, blocking and under asyncio."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any, ParamSpec, TypeAlias, TypeVar

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from failover_iter.redis._scripts import DIGEST, TEXT, Call

#: A client of redis-py, for blocking or for asyncio streams.
Client: TypeAlias = redis.Redis | redis.asyncio.Redis
#: Yields pipelines, and is sent what they return.
Steps: TypeAlias = Generator[Any, list[Any], list[Any]]

P = ParamSpec("P")
R = TypeVar("R")
_PLAIN_POOLS = (redis.ConnectionPool, redis.BlockingConnectionPool)
#: Settings that a pool of redis-py adds to those of its connections; a copy adds its own.
_OF_THE_POOL = ("maint_notifications", "orig_", "himport_")


def bounded(client: Any, seconds: float) -> redis.Redis:
    """Return a client with the same settings, but this time limit and no retries."""
    if not isinstance(client, redis.Redis):
        raise TypeError(
            f"client must be a redis.Redis or a redis.asyncio.Redis, got {type(client)!r}"
        )
    pool = client.connection_pool
    if type(pool) not in _PLAIN_POOLS:
        raise ValueError(
            "client must have a redis.ConnectionPool, because RedisStore limits the time of its "
            f"connections, got {type(pool)!r}"
        )
    settings = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if not name.startswith(_OF_THE_POOL)
    }
    settings |= {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    settings |= {"retry": Retry(NoBackoff(), 0), "retry_on_error": []}
    if not issubclass(pool.connection_class, redis.Connection):  # a socket of this machine
        del settings["socket_connect_timeout"]
    copy = redis.ConnectionPool(connection_class=pool.connection_class, **settings)
    return redis.Redis(connection_pool=copy)


def call(client: Any, calls: Sequence[Call]) -> Steps:
    """Call the script. If Redis does not know it (it was restarted), it is sent in full."""
    pipeline = client.pipeline(transaction=False)
    for each in calls:
        pipeline.evalsha(DIGEST, 1, each.key, *each.arguments)
    results = yield pipeline
    if isinstance(results[0], NoScriptError):  # and so are all others
        pipeline = client.pipeline(transaction=False)
        for each in calls:
            pipeline.eval(TEXT, 1, each.key, *each.arguments)
        results = yield pipeline
    return _without_errors(results)


def look(client: Any, keys: Sequence[Any]) -> Steps:
    """Read the time, and these hashes."""
    pipeline = client.pipeline(transaction=False)
    pipeline.time()
    for key in keys:
        pipeline.hgetall(key)
    return _without_errors((yield pipeline))


def _without_errors(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def run(steps: Steps) -> list[Any]:
    """Carry out steps."""
    pipeline = next(steps)
    while True:
        try:
            pipeline = steps.send(pipeline.execute(raise_on_error=False))
        except StopIteration as stop:
            results: list[Any] = stop.value
            return results


async def arun(steps: Steps, seconds: float) -> list[Any]:
    """Carry out steps under asyncio, in this time."""
    pipeline = next(steps)
    async with asyncio.timeout(seconds):
        while True:
            results = await pipeline.execute(raise_on_error=False)
            try:
                pipeline = steps.send(results)
            except StopIteration as stop:
                done: list[Any] = stop.value
                return done


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that blocks, in a thread of the library that runs this task."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        result: R = await trio.to_thread.run_sync(lambda: function(*args, **kwargs))
        return result
    return await asyncio.to_thread(function, *args, **kwargs)
