"""The tail of many streams with a hedge, in virtual time; the costs of a hedge and a health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from math import inf
from random import Random
from statistics import median
from time import perf_counter
from typing import Any

from failover_iter import Budget, Health, Percentile, Policy, afailover_stream
from failover_iter.testing import JumpingLoop

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


# Costs.


ITEMS = 100_000
SHORT = 2_000
#: The goals: a stream with a hedge over one without, per item; a stream with a health beyond one
#: with a listener, in microseconds.
ITEM_GOAL, HEALTH_GOAL = 1.1, 40.0


async def _many() -> AsyncIterator[int]:
    for number in range(ITEMS):
        yield number


async def _one() -> AsyncIterator[int]:
    yield 1


async def _per_item(entries: list[Any]) -> float:
    began = perf_counter()
    async for _ in afailover_stream(entries, retry_on=OSError):
        pass
    return (perf_counter() - began) / ITEMS


async def _per_stream(policy: Policy, entries: list[Any]) -> float:
    began = perf_counter()
    for _ in range(SHORT):
        async for _ in policy.astream(entries):
            pass
    return (perf_counter() - began) / SHORT * MICROSECONDS


async def costs() -> dict[str, float]:
    """The median of several rounds, in which each figure is measured in turn with its rival."""
    plain = Policy(retry_on=OSError)
    listens = Policy(retry_on=OSError, on_event=lambda _: None)
    healthy = Policy(retry_on=OSError, on_event=lambda _: None, health=Health())
    sources = [_many, _many]
    race, short_race = plain.hedge(sources, after=60), plain.hedge([_one, _one], after=60)
    rounds: dict[str, list[float]] = {"item": [], "health": [], "hedge": []}
    for _ in range(7):
        bare = await _per_item([_many])
        rounds["item"].append(await _per_item([race]) / bare)
        listening = await _per_stream(listens, [_one, _one])
        rounds["health"].append(await _per_stream(healthy, [_one, _one]) - listening)
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
    item, health, hedge = costs["item"], costs["health"], costs["hedge"]
    paid = Table(
        "Hedge and health, the costs",
        "async streams while the first source is well",
        ("figure", "goal"),
        [
            ("per item: with a hedge / without", f"{item:.2f}", f"{ITEM_GOAL:.2f}"),
            ("per stream: health beyond a listener, us", f"{health:.1f}", f"{HEALTH_GOAL:.1f}"),
            ("per stream: hedge beyond Policy.source, us", f"{hedge:.1f}", ""),
        ],
    )
    p99 = tails["after=Percentile(0.95), 3 % slow"]["p99"]
    return Part(
        [tail, paid],
        [
            Headline("p99 until the first item with a hedge, s", f"{p99:.2f}", "< 0.70"),
            Headline("per item with a hedge / without", f"{item:.2f}", f"<= {ITEM_GOAL:.2f}"),
        ],
    )
