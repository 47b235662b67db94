"""The tail of many streams with a hedge, in virtual time; and what a hedge costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from math import inf
from random import Random
from statistics import median
from time import process_time
from typing import Any

from failover_iter import Budget, Percentile, Policy, afailover_stream
from failover_iter.testing import VirtualClock

from .measure import MICROSECONDS
from .report import Headline, Part, Table

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


def measure(after: Any, ratio: float | None, slow: float) -> Tail:
    """Run the streams of one line."""
    waited, extra = waits(after, ratio, slow)
    return Tail(waited[STREAMS // 2], waited[STREAMS * 99 // 100], extra)


def waits(after: Any, ratio: float | None, slow: float) -> tuple[list[float], float]:
    """Run the streams: how long each waited, the shortest first; the share of extra openings."""
    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        return runner.run(_run(after, ratio, slow))


async def _run(after: Any, ratio: float | None, slow: float) -> tuple[list[float], float]:
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
    for _ in range(STREAMS):
        began = loop.time()
        async with aclosing(policy.astream([race])) as stream:
            await anext(stream)
        waited.append(loop.time() - began)
    return sorted(waited), opened / STREAMS - 1


# Costs.


ITEMS = 100_000
SHORT = 2_000
#: The goal: the time per item of a stream with a hedge over that of one without.
GOAL = 1.1


async def _many() -> AsyncIterator[int]:
    for number in range(ITEMS):
        yield number


async def _one() -> AsyncIterator[int]:
    yield 1


async def _per_item(entries: list[Any]) -> float:
    began = process_time()
    async for _ in afailover_stream(entries, retry_on=OSError):
        pass
    return (process_time() - began) / ITEMS


async def _per_stream(policy: Policy, entries: list[Any]) -> float:
    began = process_time()
    for _ in range(SHORT):
        async for _ in policy.astream(entries):
            pass
    return (process_time() - began) / SHORT * MICROSECONDS


async def costs() -> dict[str, float]:
    """The median of several rounds, in which each figure is measured in turn with its rival.

    Times are those of the process, which other work on the machine does not lengthen.
    """
    plain = Policy(retry_on=OSError)
    race, short_race = plain.hedge([_many, _many], after=60), plain.hedge([_one, _one], after=60)
    rounds: dict[str, list[float]] = {"item": [], "hedge": []}
    for _ in range(7):
        bare = await _per_item([_many])
        rounds["item"].append(await _per_item([race]) / bare)
        group = await _per_stream(plain, [plain.source([_one, _one])])
        rounds["hedge"].append(await _per_stream(plain, [short_race]) - group)
    return {name: median(figures) for name, figures in rounds.items()}


def everything() -> dict[str, Any]:
    """Measure everything in this module."""
    tails = {
        name: asdict(measure(after(), ratio, slow)) for name, (after, ratio, slow) in CASES.items()
    }
    return {"tails": tails, "costs": asyncio.run(costs())}


def part(runs: list[Any]) -> Part:
    """The tables of these measurements."""
    tails, costs = runs[0]["tails"], runs[0]["costs"]
    rows = [
        (name, f"{tail['median']:.2f}", f"{tail['p99']:.2f}", f"{tail['extra']:.1%}")
        for name, tail in tails.items()
    ]
    tail = Table(
        "Hedge, the tail",
        f"{STREAMS:,} streams one after the other, in virtual time: seconds until the first item",
        ("median", "p99", "extra openings"),
        rows,
    )
    item, hedge = costs["item"], costs["hedge"]
    paid = Table(
        "Hedge, the costs",
        "async streams while the first source is well, in CPU time",
        ("figure", "goal"),
        [
            ("per item: with a hedge / without", f"{item:.2f}", f"{GOAL:.2f}"),
            ("per stream: hedge beyond Policy.source, µs", f"{hedge:.1f}", ""),
        ],
    )
    p99 = tails["after=Percentile(0.95), 3 % slow"]["p99"]
    return Part(
        [tail, paid],
        [
            Headline("p99 until the first item with a hedge, s", f"{p99:.2f}", "< 0.70"),
            Headline("time per item, with a hedge / without", f"{item:.2f}", f"<= {GOAL:.2f}"),
        ],
    )
