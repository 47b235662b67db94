"""The cost of the peers for the same work. `measure_peers` computes the ratios."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio

from .measure_peers import awaited
from .peers import PEERS
from .peers_async import ASYNCIO, TRIO


@pytest.mark.parametrize("work", ["items", "one", "switching"])
@pytest.mark.parametrize("name", PEERS)
def test_peer(benchmark: Any, name: str, work: str) -> None:
    """Measures 5,000 items, one item, or one item after 50 failures, from the call to the end."""
    peer = PEERS[name]
    make = getattr(peer, work)
    if make is None:
        pytest.skip("this peer survives no failure")
    benchmark.group = f"peers: {work}"
    benchmark.pedantic(lambda: peer.drain(make()), rounds=50, warmup_rounds=3)


@pytest.mark.parametrize("name", ASYNCIO)
def test_asyncio_peer(benchmark: Any, name: str) -> None:
    """Measures the ratio to the naive loop under asyncio, in turn with that loop."""
    case = {name: ASYNCIO[name]}
    measured = benchmark.pedantic(lambda: asyncio.run(awaited(case, 0.2)), rounds=1)
    benchmark.extra_info["ratio"] = measured[name]


@pytest.mark.parametrize("name", TRIO)
def test_trio_peer(benchmark: Any, name: str) -> None:
    """Measures the ratio to the naive loop under trio, in turn with that loop."""
    case = {name: TRIO[name]}
    measured = benchmark.pedantic(lambda: trio.run(awaited, case, 0.2), rounds=1)
    benchmark.extra_info["ratio"] = measured[name]
