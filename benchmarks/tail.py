"""What a hedge does to the tail: 3,000 streams one after the other, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any

from failover_iter import Budget, Percentile, Policy
from failover_iter.testing import JumpingLoop

STREAMS = 3000
#: A delay, a budget and how many sources are slow, of each line.
CASES: dict[str, tuple[Callable[[], Any], float | None, float]] = {
    "no hedge, 3 % slow": (lambda: inf, None, 0.03),
    "after=0.5, 3 % slow": (lambda: 0.5, None, 0.03),
    "after=Percentile(0.95), 3 % slow": (lambda: Percentile(0.95), None, 0.03),
    "the same with a budget of 5 %": (lambda: Percentile(0.95), 0.05, 0.03),
    "no hedge, all slow": (lambda: inf, None, 1.0),
    "after=0.5, all slow": (lambda: 0.5, None, 1.0),
    "after=0.5 with a budget of 5 %, all slow": (lambda: 0.5, 0.05, 1.0),
}


@dataclass(frozen=True)
class Tail:
    """How long the streams waited for the first item, in seconds, and what it cost."""

    median: float
    p99: float
    extra: float
    """Extra openings, as a share of the streams."""


def measure(after: Any, ratio: float | None, slow: float, streams: int = STREAMS) -> Tail:
    """Run the streams of one line."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(_run(after, ratio, slow, streams))


async def _run(after: Any, ratio: float | None, slow: float, streams: int) -> Tail:
    random, opened, waited = Random(1), 0, list[float]()
    loop = asyncio.get_running_loop()

    async def source() -> AsyncIterator[int]:
        nonlocal opened
        opened += 1
        is_slow = random.random() < slow
        await asyncio.sleep(random.uniform(2, 6) if is_slow else random.lognormvariate(-1.6, 0.3))
        yield 1

    budget = None
    if ratio is not None:
        budget = Budget(ratio=ratio, reserve=5, per_second=0, clock=loop.time)
    policy = Policy(retry_on=ConnectionError, budget=budget)
    race = policy.hedge([source, source], after=after)
    for _ in range(streams):
        began = loop.time()
        async with aclosing(policy.astream([race])) as stream:
            await anext(stream)
        waited.append(loop.time() - began)
    waited.sort()
    return Tail(waited[streams // 2], waited[streams * 99 // 100], opened / streams - 1)


def table(streams: int = STREAMS) -> str:
    """The lines, as a table in Markdown."""
    lines = ["| | median | p99 | extra openings |", "|---|---|---|---|"]
    for name, (after, ratio, slow) in CASES.items():
        tail = measure(after(), ratio, slow, streams)
        lines.append(f"| {name} | {tail.median:.2f} s | {tail.p99:.2f} s | {tail.extra:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
