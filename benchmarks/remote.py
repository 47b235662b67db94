"""Sources on a Ray cluster: the cost of an item, and the gap when a worker or a node is killed.

It starts a cluster of two nodes on this machine, on the loopback device.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from failover_iter import Policy, Progress

from .report import Part, Table
from .streams import quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCAL = "127.0.0.1"
#: How many items each size of batch is measured with.
COUNTS = {1: 1_000, 10: 10_000, 100: 50_000}
ROUNDS = 5
GAPS = 5


class Item(NamedTuple):
    """A number, and where it comes from."""

    number: int
    pid: int
    node: str


@contextmanager
def _two_nodes() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "node_ip_address": LOCAL, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1, node_ip_address=LOCAL)
    options = {"log_to_driver": False, "logging_level": "CRITICAL", "_node_ip_address": LOCAL}
    ray.init(cluster.address, **options)
    cluster.wait_for_nodes()
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def everything() -> dict[str, Any]:
    """Measure on one cluster."""
    import ray

    quiet_logger().disabled = True
    policy = Policy(retry_on=ray.exceptions.RayError, mid_stream="resume", attempts=9, wait=0.05)
    with _two_nodes() as cluster:
        return {
            "items": {
                name: {batch: _item(timer, batch) for batch in COUNTS}
                for name, timer in _timers(policy).items()
            },
            "gaps": {
                "the worker is killed": _worker_gaps(policy),
                "its node is killed": _node_gaps(policy, cluster),
            },
        }


def _timers(policy: Policy) -> dict[str, Callable[[int, int], float]]:
    import ray

    from failover_iter.ray import aremote, remote

    # What `remote` is compared with: the same batches, and a loop over Ray's own generator.
    @ray.remote(num_returns="streaming", max_retries=0, _generator_backpressure_num_objects=2)
    def lists(count: int, batch: int) -> Iterator[list[int]]:
        for start in range(0, count, batch):
            yield list(range(start, start + batch))

    def plain(count: int, batch: int) -> float:
        start, found = perf_counter(), 0
        for ref in lists.remote(count, batch):
            for _ in ray.get(ref):
                found += 1
        assert found == count
        return perf_counter() - start

    def numbers(count: int) -> Callable[[Progress[int]], Iterator[int]]:
        return lambda progress: iter(range(progress.delivered, count))

    def ours(count: int, batch: int) -> float:
        start = perf_counter()
        assert sum(1 for _ in policy.stream([remote(numbers(count), batch=batch)])) == count
        return perf_counter() - start

    async def pull(stream: Any) -> int:
        found = 0
        async for _ in stream:
            found += 1
        return found

    def async_ours(count: int, batch: int) -> float:
        start = perf_counter()
        assert asyncio.run(pull(policy.astream([aremote(numbers(count), batch=batch)]))) == count
        return perf_counter() - start

    return {"a plain loop over Ray": plain, "remote": ours, "aremote": async_ours}


def _item(timer: Callable[[int, int], float], batch: int) -> float:
    """Microseconds for each item, the start of the task included."""
    count = COUNTS[batch]
    return median(timer(count, batch) for _ in range(ROUNDS)) / count * 1e6


def _worker_gaps(policy: Policy) -> list[float]:
    return [_gap(policy, lambda item: os.kill(item.pid, signal.SIGKILL)) for _ in range(GAPS)]


def _gap(policy: Policy, kill: Callable[[Item], object]) -> float:
    """Seconds from the kill until an item comes from another worker."""
    from failover_iter.ray import remote

    def source(progress: Progress[Item]) -> Iterator[Item]:
        import ray

        node = ray.get_runtime_context().get_node_id()
        for number in range(progress.delivered, 10**6):
            time.sleep(0.005)
            yield Item(number, os.getpid(), node)

    pid, killed = 0, 0.0
    stream = policy.stream([remote(source)])
    for expected, item in enumerate(stream):
        assert item.number == expected
        if item.number == 50:
            pid = item.pid
            killed = perf_counter()
            kill(item)
        elif pid and item.pid != pid:
            break
    gap = perf_counter() - killed
    stream.close()
    return gap


def _kill_node(cluster: Any, item: Item) -> None:
    """Kill the raylet of a node, which takes its workers with it."""
    (node,) = [each for each in cluster.worker_nodes if each.node_id == item.node]
    for process in node.all_processes["raylet"]:
        os.kill(process.process.pid, signal.SIGKILL)


def _node_gaps(policy: Policy, cluster: Any) -> list[float]:
    gaps = []
    for _ in range(GAPS):
        gaps.append(_gap(policy, lambda item: _kill_node(cluster, item)))
        for node in [each for each in cluster.worker_nodes if not each.live_processes()]:
            cluster.worker_nodes.discard(node)
        cluster.add_node(num_cpus=1, node_ip_address=LOCAL)
    return gaps


def tables(runs: list[Any]) -> Part:
    """Make the tables of this part."""
    (run,) = runs
    items = [
        (name, *(f"{each:.1f}" for each in figures.values()))
        for name, figures in run["items"].items()
    ]
    gaps = [
        (name, f"{median(figures):.2f}", f"{min(figures):.2f} to {max(figures):.2f}")
        for name, figures in run["gaps"].items()
    ]
    return Part([
        Table("A source on a Ray cluster", "microseconds per item, by the size of a batch",
              list(map(str, COUNTS)), items),
        Table("A worker or a node of a Ray cluster is killed",
              "seconds from the kill until the next item of another worker", ("median", "range"),
              gaps),
    ])  # fmt: skip
