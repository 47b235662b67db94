"""Leaving a stream early closes the provider's stream in every SDK, without garbage collection."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest

from failover_iter.llm import achat_stream, chat_stream
from llm.cases import cases
from llm.faults import STALL_FAULTS
from llm.harness import Harness
from llm.sdks import SDK

WITHIN = 1.0  # seconds
FAULT = "stall-after-3"


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    """Turn garbage collection off during the test."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _break_off(source: Any) -> str:
    async with aclosing(achat_stream([source])) as stream:
        async for chunk in stream:
            return chunk.text
    raise AssertionError("the stream is empty")


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_breaking_off_closes(harness: Harness, sdk: SDK, flavour: str) -> None:
    """After a `break` mid-stream the provider's stream is closed within a second."""
    model = harness.model(FAULT)
    source = harness.source(sdk, flavour, model)
    if flavour == "async":
        first = harness.run(_break_off, source)
        kept = None
    else:
        with closing(chat_stream([source])) as kept:
            first = next(kept).text
    assert first == "Because "
    assert harness.server.wait_closed(model, WITHIN)
    del kept


async def _cancel(source: Any) -> bool:
    chunks: asyncio.Queue[Any] = asyncio.Queue()

    async def read() -> None:
        async for chunk in achat_stream([source]):
            chunks.put_nowait(chunk)

    task = asyncio.ensure_future(read())
    for _ in range(3):
        await chunks.get()
    for _ in range(5):  # until the task waits for the next chunk
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    return task.cancelled()


@pytest.mark.parametrize(("sdk", "flavour"), [each for each in cases() if "async" in each.id])
def test_cancelling_closes(harness: Harness, sdk: SDK, flavour: str) -> None:
    """A task that is cancelled while it waits for a chunk closes the stream."""
    model = harness.model(FAULT)
    assert harness.run(_cancel, harness.source(sdk, flavour, model))
    assert harness.server.wait_closed(model, WITHIN)


@pytest.mark.parametrize(("sdk", "flavour", "fault"), cases(STALL_FAULTS))
def test_a_stream_that_timed_out_is_closed(
    harness: Harness, sdk: SDK, flavour: str, fault: str
) -> None:
    """The stream leaves a provider that stalls, and closes its stream within a second.

    The exception is a blocking read that pings keep alive: it is abandoned, and closed when it
    returns.
    """
    assert harness.outcome(sdk, flavour, fault).closed
