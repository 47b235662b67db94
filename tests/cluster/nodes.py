"""A real Ray cluster of two nodes, and streams whose sources run on it."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from failover_iter import Progress, afailover_stream, failover_stream
from support.needs import needs
from support.runners import quiet

ray = needs("ray")
grpc = needs("grpc")

from ray._private.internal_api import memory_summary  # noqa: E402 (it needs Ray)
from ray.cluster_utils import Cluster  # noqa: E402

from failover_iter.ray import aremote, remote  # noqa: E402

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import it
LIMIT = 60  # seconds, within which all that is left must end
LOCAL = "127.0.0.1"


class Item(NamedTuple):
    """A number, and where it comes from."""

    number: int
    pid: int
    node: str


def numbers(progress: Progress[Item], count: int, pause: float = 0.0) -> Iterator[Item]:
    node = ray.get_runtime_context().get_node_id()
    for number in range(progress.delivered, count):
        time.sleep(pause)
        yield Item(number, os.getpid(), node)


def counted(count: int, pause: float = 0.0) -> partial[Iterator[Item]]:
    return partial(numbers, count=count, pause=pause)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    head = {"num_cpus": 0, "node_ip_address": LOCAL, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
    for _ in range(2):
        add_node(cluster)
    ray.init(cluster.address, log_to_driver=False, logging_level="CRITICAL", _node_ip_address=LOCAL)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def add_node(cluster: Cluster) -> None:
    cluster.add_node(num_cpus=2, node_ip_address=LOCAL, object_store_memory=200 * 2**20)


@pytest.fixture(autouse=True)
def nothing_is_left(cluster: Cluster) -> Iterator[None]:
    """No task runs after a test, and the object stores are empty."""
    with quiet():
        yield
    end = time.monotonic() + LIMIT
    while left := [*tasks(), *objects()]:
        assert time.monotonic() < end, left
        time.sleep(0.1)
        gc.collect()  # an error within Ray's `next(...)` and the reference to its task are a cycle


def tasks() -> list[str]:
    """The processes in which a task of ours runs: Ray puts its name into their titles."""
    titles = [title_of(folder) for folder in Path("/proc").glob("[0-9]*")]
    return [title for title in titles if title.startswith("ray::run")]


def title_of(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it has ended meanwhile


def objects() -> list[str]:
    try:
        summary = memory_summary(stats_only=True)
    except grpc.RpcError:
        return ["a node that Ray does not know to be dead yet"]
    lines = [line for line in summary.splitlines() if line.startswith("Plasma memory usage")]
    return [line for line in lines if not line.startswith("Plasma memory usage 0 MiB, 0 objects")]


def deliver(
    flavour: str,
    functions: list[Any],
    on_item: Callable[[Any], object] = lambda _: None,
    *,
    batch: int = 10,
    ahead: int = 2,
    **options: Any,
) -> list[Any]:
    """All items of a stream whose sources run on the cluster."""
    make = remote if flavour == "sync" else aremote
    sources = [make(each, batch=batch, ahead=ahead, num_cpus=1) for each in functions]
    options = {"retry_on": ray.exceptions.RayError, "mid_stream": "resume", **options}
    items: list[Any] = []

    def take(item: Any) -> None:
        items.append(item)
        on_item(item)

    async def run() -> None:
        async with aclosing(afailover_stream(sources, **options)) as stream:
            async for item in stream:
                take(item)

    if flavour == "async":
        asyncio.run(run())
        return items
    with closing(failover_stream(sources, **options)) as stream:
        for item in stream:
            take(item)
    return items


class Once:
    """Does something to the process that an item comes from, once."""

    def __init__(self, at: int, do: Callable[[Item], object]) -> None:
        self.at, self.do = at, do

    def __call__(self, item: Item) -> None:
        if item.number == self.at:
            self.at = -1
            self.do(item)


def numbers_of(items: list[Item]) -> list[int]:
    return [item.number for item in items]
