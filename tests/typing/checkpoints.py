"""Type checkers must accept this: a checkpoint, its stores, and a store of the user's own."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, assert_type

import redis

from failover_iter import Checkpoint, Policy, Progress, Resume, failover_stream
from failover_iter.checkpoint import FileStore, SQLiteStore, Store
from failover_iter.redis import RedisCheckpointStore
from failover_iter.typing import AnyCheckpoint, StreamOptions


class Own:
    """A store of the user's."""

    def load(self) -> str | None:
        """Return nothing."""
        return None

    def save(self, text: str) -> None:
        """Save nothing."""

    def close(self) -> None:
        """Do nothing."""


def numbers(progress: Progress) -> Iterator[int]:
    """A source with a cursor."""
    yield from range(progress.cursor, 3)


own: Store = Own()
stores: list[Store] = [own, FileStore("a", fsync=True), SQLiteStore(Path("a"), "key")]
stores.append(RedisCheckpointStore(redis.Redis(), "key"))
checkpoint = Checkpoint(Path("a"), every=timedelta(seconds=1), dumps=json.dumps, loads=json.loads)
of_a_store = Checkpoint(store=own, every=0, auto=False)
option: AnyCheckpoint = checkpoint
assert_type(checkpoint.every, float)
assert_type(of_a_store.done(3), None)
options: StreamOptions = {"retry_on": OSError, "checkpoint": checkpoint}
strategy = Resume(start=0, advance=lambda at, item: item)
assert_type(
    failover_stream([numbers], retry_on=OSError, mid_stream=strategy, checkpoint=checkpoint),
    Generator[int, Any, Any],
)
policy = Policy(retry_on=OSError, mid_stream=strategy, checkpoint=of_a_store)

Checkpoint("a", evry=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Checkpoint(store="a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Checkpoint("a", dumps=bytes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Policy(retry_on=OSError, checkpoint="a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
