"""Read 20 shards on a Ray cluster of two nodes, kill one node midway, and check the sum.

The data set is the source code of Python's standard library. A shard is a twentieth of its files,
and an item is a line. All shards are read at the same time, as far as the cluster has CPUs. This
program starts the cluster on this machine, and ends it. It needs Ray:
`pip install 'failover-iter[ray]'`.
"""

from __future__ import annotations

import asyncio
import sys
import sysconfig
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import ray
from ray.cluster_utils import Cluster

from failover_iter import Policy, Progress, Resume, Source, backoff
from failover_iter.ray import aremote

SHARDS = 20
FILES = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))


class Line(NamedTuple):
    """A line of a file, and the node that has read it."""

    file: int
    start: int
    size: int
    node: str


def lines(shard: int, progress: Progress[Line]) -> Iterator[Line]:
    """Yield the lines of the files of one shard, after the last one that was delivered."""
    node = ray.get_runtime_context().get_node_id()
    file, start = progress.cursor
    for number, path in enumerate(FILES):
        if number % SHARDS == shard and number >= file:
            with path.open("rb") as opened:
                if number == file:
                    opened.seek(start)
                while line := opened.readline():
                    yield Line(number, opened.tell() - len(line), len(line), node)


def end_of(_: tuple[int, int], line: Line) -> tuple[int, int]:
    """Return the cursor after a line was delivered: where the next one starts."""
    return line.file, line.start + line.size


POLICY = Policy(
    retry_on=ray.exceptions.RayError,
    mid_stream=Resume(start=(0, 0), advance=end_of),
    attempts=5,
    reset_on_progress=True,
    wait=backoff(0.1),
)


def read(shard: int) -> AsyncIterator[Line]:
    """Return the stream of one shard."""
    rows = aremote(partial(lines, shard), num_cpus=1)
    return POLICY.astream([Source(rows, name=f"shard {shard}")])


# The cluster.


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    """Start a cluster of two nodes with two CPUs each, beside a head node that has none."""
    here = {"node_ip_address": "127.0.0.1"}
    cluster = Cluster(
        initialize_head=True, head_node_args={**here, "num_cpus": 0, "include_dashboard": False}
    )
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=2, **here)
        with ray.init(cluster.address, log_to_driver=False, logging_level="ERROR"):
            cluster.wait_for_nodes()
            yield cluster
    finally:
        cluster.shutdown()


async def main() -> int:
    """Read all shards, kill a node when half of the bytes have come, and check the sum."""
    expected = sum(path.stat().st_size for path in FILES)
    total, count, nodes = 0, 0, set[str]()
    seen = set[tuple[int, int]]()

    with two_nodes() as cluster:

        async def drain(shard: int) -> None:
            nonlocal total, count
            async with aclosing(read(shard)) as stream:
                async for line in stream:
                    total += line.size
                    count += 1
                    nodes.add(line.node)
                    seen.add((line.file, line.start))
                    if total * 2 > expected and len(cluster.worker_nodes) == 2:
                        (doomed,) = [n for n in cluster.worker_nodes if n.node_id == line.node]
                        print(f"{total:,} bytes: a node is killed")
                        cluster.remove_node(doomed, allow_graceful=False)

        async with asyncio.TaskGroup() as group:
            for shard in range(SHARDS):
                group.create_task(drain(shard))

    once = total == expected and count == len(seen)
    print(f"{count:,} lines, {total:,} of {expected:,} bytes, from {len(nodes)} nodes:", end=" ")
    print("each exactly once" if once else "WRONG")
    return 0 if once else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
