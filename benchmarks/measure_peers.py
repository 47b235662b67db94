"""Measures the peers in one process, in turn with the naive loop."""

from __future__ import annotations

import gc
import inspect
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from . import peers, peers_async, streams
from .measure import MICROSECONDS, OPENINGS, ROUNDS, fastest, rounds
from .streams import SWITCHES, async_naive, naive, quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .peers import Peer


def blocking(seconds: float) -> dict[str, dict[str, float | None]]:
    """For each sync peer: the ratio per item, and the µs of an opening and of a switch."""
    quiet_logger()
    gc.disable()
    try:
        return {name: _blocking(peer, seconds) for name, peer in peers.PEERS.items()}
    finally:
        gc.enable()


def _blocking(peer: Peer, seconds: float) -> dict[str, float | None]:
    loop = partial(naive, [streams.generator])
    timers = {
        "naive": lambda: _drained(loop, streams.drain, pulls=peer.pulls),
        "peer": lambda: _drained(peer.items, peer.drain, pulls=peer.pulls),
    }
    times = rounds(timers, seconds)
    return {
        "item": fastest(times["peer"]) / fastest(times["naive"]),
        "opening": _micro(peer, peer.one, OPENINGS, OPENINGS, seconds),
        "switch": _micro(peer, peer.switching, 1, SWITCHES, seconds),
    }


def _drained(make: Callable[[], Any], drain: Callable[[Any], None], *, pulls: bool) -> float:
    stream = make()
    if pulls:
        next(stream)  # the rest costs only the time per item
    start = perf_counter()
    drain(stream)
    return perf_counter() - start


def _micro(
    peer: Peer, make: Callable[[], Any] | None, calls: int, per: int, seconds: float
) -> float | None:
    if make is None:
        return None

    def timed() -> float:
        start = perf_counter()
        for _ in range(calls):
            peer.drain(make())
        return (perf_counter() - start) / per * MICROSECONDS

    return fastest(rounds({"peer": timed}, seconds / 2)["peer"])


async def awaited(cases: Mapping[str, Peer], seconds: float) -> dict[str, float]:
    """For each async peer: the ratio per item, in the running event loop."""
    quiet_logger()
    gc.disable()
    try:
        return {name: await _awaited(peer, seconds) for name, peer in cases.items()}
    finally:
        gc.enable()


async def _awaited(peer: Peer, seconds: float) -> float:
    plain: list[float] = []
    ours: list[float] = []
    loop = partial(async_naive, [streams.async_generator])
    end = perf_counter() + seconds
    while len(plain) <= ROUNDS or perf_counter() < end:
        plain.append(await _async_drained(loop))
        ours.append(await _async_drained(peer.items))
        gc.collect(0)
    return fastest(ours) / fastest(plain)


async def _async_drained(make: Callable[[], Any]) -> float:
    stream = make()
    if inspect.iscoroutine(stream):
        stream = await stream
    await anext(stream)
    start = perf_counter()
    async for _ in stream:
        pass
    return perf_counter() - start


def lacks() -> dict[str, dict[str, str]]:
    """The features of `failover_stream` that each peer lacks."""
    everyone = {
        "blocking": peers.PEERS,
        "asyncio": peers_async.ASYNCIO,
        "trio": peers_async.TRIO,
    }
    return {
        kind: {name: "; ".join(peer.lacks) for name, peer in some.items()}
        for kind, some in everyone.items()
    }
