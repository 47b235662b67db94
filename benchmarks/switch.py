"""The cost of a switch from a failed source to the next one.

`STREAMS` compares this library with the naive loop, over 50 failures. `compare` measures a stream
with one failed source against the fallbacks of langchain-core.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Any

from failover_iter import Policy, afailover_stream, failover_stream

from .measure import MICROSECONDS, fastest, rounds, with_logger_off
from .streams import (
    POLICY,
    SWITCHES,
    async_drain,
    async_naive,
    async_one_item,
    drain,
    drain_async,
    naive,
    one_item,
    quiet_logger,
    run,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

#: The goal for a switch in addition to the naive loop, in microseconds.
GOAL = 20.0


# The sources that fail.


def refusing() -> Any:
    """Fail in the factory."""
    raise ConnectionError("refused")


def failing() -> Iterator[int]:
    """Fail before the first item."""
    raise ConnectionError("reset")
    yield


def cut() -> Iterator[int]:
    """Fail after an item."""
    yield 1
    raise ConnectionError("reset")


async def async_failing() -> AsyncIterator[int]:
    """Fail before the first item."""
    raise ConnectionError("reset")
    yield


async def async_cut() -> AsyncIterator[int]:
    """Fail after an item."""
    yield 1
    raise ConnectionError("reset")


def as_new_function(source: Callable[[], Any]) -> Callable[[], Any]:
    """Return a factory that is another object each time, as different sources are."""
    return type(source)(source.__code__, source.__globals__)  # type: ignore[attr-defined]


# A stream of `SWITCHES` failing sources and one that works, compared with the naive loop.


@dataclass(frozen=True)
class Case:
    """The same streams, consumed to their end."""

    naive: Callable[[], None]
    ours: Callable[[], None]
    is_async: bool = False


def _switching(source: Callable[[], Any]) -> Case:
    factories = [*(as_new_function(source) for _ in range(SWITCHES)), one_item]
    return Case(lambda: drain(naive(factories)), lambda: drain(POLICY.stream(factories)))


def _async_switching(source: Callable[[], Any]) -> Case:
    factories = [*(as_new_function(source) for _ in range(SWITCHES)), async_one_item]
    return Case(
        lambda: drain_async(async_naive(factories)),
        lambda: drain_async(POLICY.astream(factories)),
        is_async=True,
    )


def _retrying() -> Case:
    policy = Policy(retry_on=OSError, attempts=SWITCHES)
    return Case(
        lambda: drain(naive([*[failing] * SWITCHES, one_item])),
        lambda: drain(policy.stream([failing, one_item])),
    )


STREAMS = {
    "the factory raises": _switching(refusing),
    "the generator raises immediately": _switching(failing),
    "the generator raises after an item": _switching(cut),
    "retry of the same source (attempts)": _retrying(),
    "async, the factory raises": _async_switching(refusing),
    "async, the generator raises immediately": _async_switching(async_failing),
    "async, the generator raises after an item": _async_switching(async_cut),
}


def everything(seconds: float) -> dict[str, Any]:
    """Measure `STREAMS` with and without logging: microseconds per failure."""
    quiet_logger()
    gc.collect()
    gc.disable()
    try:
        return {name: _switch(case, seconds) for name, case in STREAMS.items()}
    finally:
        gc.enable()


def _switch(case: Case, seconds: float) -> dict[str, float]:
    timers = {
        "naive": partial(_seconds_of, case.naive),
        "logged": partial(_seconds_of, case.ours),
        "logger off": with_logger_off(partial(_seconds_of, case.ours)),
    }
    times = rounds(timers, seconds)
    loop = fastest(times.pop("naive"))
    return {name: (fastest(each) - loop) / SWITCHES * MICROSECONDS for name, each in times.items()}


def _seconds_of(function: Callable[[], None]) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start


# One failed source, compared with langchain-core.

#: Minimum number of repetitions of a comparison, and the streams of each repetition.
REPETITIONS, BATCH = 20, 20

LANGCHAIN = "langchain-core RunnableGenerator"
MINIMAL = "langchain-core, minimal Runnable"


@dataclass(frozen=True)
class Contender:
    """Two streams of two sources: in `switching` the first one fails, in `plain` none does."""

    switching: Callable[[], Any]
    plain: Callable[[], Any]
    logger_off: bool = False


def sync_contenders() -> dict[str, Contender]:
    """This library, and langchain-core if it is installed."""
    skip = Policy(retry_on=OSError, mid_stream="skip")
    calls = (
        lambda: failover_stream([failing, one_item], retry_on=OSError),
        lambda: failover_stream([one_item, one_item], retry_on=OSError),
    )
    policies = (lambda: POLICY.stream([failing, one_item]), lambda: POLICY.stream([one_item] * 2))
    skipping = (lambda: skip.stream([cut, one_item]), lambda: skip.stream([one_item] * 2))
    found = {
        "failover_stream": Contender(*calls),
        "failover_stream, logger off": Contender(*calls, logger_off=True),
        "Policy.stream": Contender(*policies),
        "Policy.stream, logger off": Contender(*policies, logger_off=True),
        "Policy.stream, after an item, mid_stream=skip": Contender(*skipping),
        "Policy.stream, after an item, mid_stream=skip, logger off": Contender(
            *skipping, logger_off=True
        ),
    }
    if find_spec("langchain_core"):
        from . import langchain

        for name, chain in ((LANGCHAIN, langchain.generators), (MINIMAL, langchain.minimal)):
            both, good = chain([failing, one_item]), chain([one_item, one_item])
            found[name] = Contender(partial(both.stream, None), partial(good.stream, None))
    return found


def async_contenders() -> dict[str, Contender]:
    """The async twins of `sync_contenders`."""
    calls = (
        lambda: afailover_stream([async_failing, async_one_item], retry_on=OSError),
        lambda: afailover_stream([async_one_item, async_one_item], retry_on=OSError),
    )
    found = {
        "afailover_stream": Contender(*calls),
        "afailover_stream, logger off": Contender(*calls, logger_off=True),
    }
    if find_spec("langchain_core"):
        from . import langchain

        both = langchain.generators([async_failing, async_one_item], is_async=True)
        good = langchain.generators([async_one_item, async_one_item], is_async=True)
        found[LANGCHAIN] = Contender(partial(both.astream, None), partial(good.astream, None))
    return found


def compare(seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """Compare one switch: for each contender, the microseconds per stream with and without it."""
    quiet_logger()
    logging.getLogger("langchain_core").addHandler(logging.NullHandler())
    gc.collect()
    gc.disable()
    try:
        return {
            "sync": run(_compared(sync_contenders(), _batch, seconds)),
            "async": asyncio.run(_compared(async_contenders(), _async_batch, seconds)),
        }
    finally:
        gc.enable()


async def _compared(
    contenders: dict[str, Contender],
    batch: Callable[[Callable[[], Any]], Awaitable[None]],
    seconds: float,
) -> dict[str, dict[str, float]]:
    times: dict[str, dict[str, list[float]]] = {
        name: {"switching": [], "plain": []} for name in contenders
    }
    done, end = 0, perf_counter() + seconds * len(contenders)
    while done <= REPETITIONS or perf_counter() < end:
        for name, contender in contenders.items():  # in turn, under the same conditions
            quiet_logger().setLevel(logging.CRITICAL if contender.logger_off else logging.NOTSET)
            await batch(contender.switching)  # the first one after another contender is slower
            for kind, found in times[name].items():
                start = perf_counter()
                await batch(getattr(contender, kind))
                if done:  # the first repetition warms up
                    found.append((perf_counter() - start) / BATCH * MICROSECONDS)
        gc.collect(0)
        done += 1
    quiet_logger().setLevel(logging.NOTSET)
    return {
        name: {kind: fastest(found) for kind, found in both.items()} for name, both in times.items()
    }


async def _batch(make: Callable[[], Any]) -> None:
    for _ in range(BATCH):
        drain(make())


async def _async_batch(make: Callable[[], Any]) -> None:
    for _ in range(BATCH):
        await async_drain(make())
