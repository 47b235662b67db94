"""The cost of a switch from a failed source to the next one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from .streams import SWITCHES, quiet_logger
from .switch import STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("way", ["naive", "ours", "ours, logger off"])
@pytest.mark.parametrize("kind", STREAMS)
def test_switch(
    benchmark: Any,
    inside_asyncio: Callable[[Callable[[], Any]], None],
    kind: str,
    way: str,
) -> None:
    """Measures a stream of 50 failing sources and one that works, with and without logging."""
    case = STREAMS[kind]
    benchmark.group = f"{SWITCHES} switches: {kind}"
    function = case.naive if way == "naive" else case.ours
    if way == "ours, logger off":
        quiet_logger().setLevel(logging.CRITICAL)
    inside_asyncio(lambda: benchmark.pedantic(function, rounds=100, warmup_rounds=3))
