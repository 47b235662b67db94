"""Checkpoints in threads and tasks, and under cancellation: which stream has the lock."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from failover_iter import Checkpoint, CheckpointError
from support.needs import needs

from .memory import Disk
from .streams import astream, stream


class Gate:
    """A store whose calls wait until they may go on."""

    def __init__(self) -> None:
        self.store = Disk().store()
        self.is_reached, self.is_free = threading.Event(), threading.Event()

    def load(self) -> str | None:
        self.is_reached.set()
        assert self.is_free.wait(30)
        return self.store.load()

    def save(self, state: str, /) -> None:
        self.store.save(state)

    def close(self) -> None:
        self.store.close()


async def reached(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.is_reached.wait, 30)


def test_cancelled_while_it_loads() -> None:
    """The lock that the thread has taken meanwhile is given back."""

    async def main() -> list[int]:
        gate = Gate()
        checkpoint = Checkpoint(store=gate)
        first = asyncio.create_task(anext(astream(checkpoint)))
        await reached(gate)
        first.cancel()
        asyncio.get_running_loop().call_soon(gate.is_free.set)
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not gate.store.is_open
        return [item async for item in astream(checkpoint)]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_two_tasks_begin_at_once() -> None:
    """The second one is refused, although the first one is still reading."""

    async def main() -> list[Any]:
        gate = Gate()
        checkpoint = Checkpoint(store=gate)
        tasks = [asyncio.create_task(anext(astream(checkpoint))) for _ in range(2)]
        await reached(gate)
        gate.is_free.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second = sorted(asyncio.run(main()), key=repr, reverse=True)
    assert first == 0 or second == 0
    assert any(isinstance(result, CheckpointError) for result in (first, second))


def test_a_listener_that_raises_twice(tmp_path: Path) -> None:
    """The checkpoint of an async stream is given back all the same."""

    def listener(event: Any) -> None:
        if type(event).__name__ in ("Committed", "Closed"):
            raise RuntimeError(type(event).__name__)

    async def main() -> list[int]:
        checkpoint = Checkpoint(tmp_path / "state")
        with pytest.raises(RuntimeError, match="Closed"):
            await anext(astream(checkpoint, on_event=listener))
        return [item async for item in astream(checkpoint)]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_many_calls_of_adone(tmp_path: Path) -> None:
    """Each writes the file alone."""
    path = tmp_path / "state"

    async def main() -> None:
        checkpoint = Checkpoint(path, every=0, auto=False)
        items = astream(checkpoint)
        await anext(items)
        for size in range(20):
            await asyncio.gather(*(checkpoint.adone("x" * size * each) for each in range(8)))
        await items.aclose()
        checkpoint.close()

    asyncio.run(main())
    assert json.loads(path.read_text("utf-8"))["failover_iter"] == 1


def test_the_last_save_is_interrupted() -> None:
    """Ctrl-C then ends the stream: its listener hears that, and the lock is given back."""
    heard: list[Any] = []
    disk = Disk()
    store = disk.store()
    items = stream(Checkpoint(store=store, every=60), on_event=heard.append)
    next(items)
    disk.error = KeyboardInterrupt()  # type: ignore[assignment]  # not an Exception
    with pytest.raises(KeyboardInterrupt):
        list(items)
    assert heard[-1].error is disk.error
    assert not store.is_open


def test_an_abandoned_async_stream_keeps_no_lock(tmp_path: Path) -> None:
    """Its loop has gone, but it still saves what was processed, and releases the lock."""
    loop = asyncio.new_event_loop()
    items = [astream(Checkpoint(tmp_path / "state"))]
    assert loop.run_until_complete(anext(items[0])) == 0
    loop.close()
    items.clear()
    gc.collect()
    assert list(stream(Checkpoint(tmp_path / "state"))) == [0, 1, 2, 3, 4]


def test_redis_saves_a_text_twice() -> None:
    """The client sends it again after a lost connection."""
    redis = needs("redis")
    from failover_iter.redis import RedisCheckpointStore

    client = redis.Redis(socket_timeout=5)
    try:
        client.ping()
    except redis.ConnectionError:
        pytest.skip("no Redis on 127.0.0.1:6379")
    key = f"failover-iter-test-twice-{os.getpid()}"
    store = RedisCheckpointStore(client, key)
    assert store.load() is None
    store.save("a")
    before = store._state
    store.save("b")
    store._state = before  # the answer was lost
    store.save("b")
    client.set(key, "c")
    with pytest.raises(CheckpointError, match="saved by another"):
        store.save("d")
    client.delete(key)
