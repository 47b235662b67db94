"""The async peers, and hand-written loops with a timeout for each item.

They are measured inside a running event loop, because a timeout needs a task and a timer.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import aiostream
import google.api_core.retry
import stamina
import trio

from failover_iter import Policy, afailover_stream

from . import langchain, streams
from .peers import FIRST_ITEM_ONLY, NO_SEND, NOT_CLOSED, RESTART_ONLY, THROW_SWITCHES, Peer
from .streams import async_naive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

#: A timeout that never expires, in seconds: the cases measure the cost of having a timeout.
LIMIT = 3600
#: Whether this version of the library has timeouts.
HAS_TIMEOUTS = "idle_timeout" in inspect.signature(afailover_stream).parameters


def _plain() -> Any:
    return streams.async_generator()


async def _asyncio_timeout() -> AsyncIterator[int]:
    """Pull each item under a separate timeout."""
    source = streams.async_generator()
    while True:
        try:
            async with asyncio.timeout(LIMIT):
                item = await anext(source)
        except StopAsyncIteration:
            return
        yield item


async def _wait_for() -> AsyncIterator[int]:
    source = streams.async_generator()
    while True:
        try:
            item = await asyncio.wait_for(anext(source), LIMIT)
        except StopAsyncIteration:
            return
        yield item


async def _trio_fail_after() -> AsyncIterator[int]:
    source = streams.async_generator()
    while True:
        try:
            with trio.fail_after(LIMIT):
                item = await anext(source)
        except StopAsyncIteration:
            return
        yield item


async def _aiostream() -> Any:
    chain = aiostream.stream.chain(streams.async_generator(), streams.async_no_item())
    streamer = chain.stream()
    return await streamer.__aenter__()  # exited when the stream is drained


_CHAIN = langchain.minimal([streams.async_generator, streams.async_generator])
_google: Any = google.api_core.retry.AsyncStreamingRetry(
    google.api_core.retry.if_exception_type(OSError), initial=0, maximum=0, timeout=None
)


def _ours(**options: Any) -> Callable[[], Any]:
    policy = Policy(retry_on=OSError, **options)
    return lambda: policy.astream([streams.async_generator])


def _resuming(**options: Any) -> Callable[[], Any]:
    policy = Policy(retry_on=OSError, mid_stream="resume", **options)
    return lambda: policy.astream([lambda _: streams.async_generator()])


#: Measured under both asyncio and trio.
BOTH = {
    "bare async generator": Peer(_plain, lacks=("survives no failure",)),
    "naive loop": Peer(
        lambda: async_naive([streams.async_generator]),
        lacks=("an exception thrown in by the consumer causes a switch", NOT_CLOSED, NO_SEND),
    ),
    "afailover_stream": Peer(_ours()),
    "afailover_stream, mid_stream=raise": Peer(_ours(mid_stream="raise")),
    "afailover_stream, mid_stream=skip": Peer(_ours(mid_stream="skip")),
    "afailover_stream, mid_stream=resume": Peer(_resuming()),
    "afailover_stream, commit_when=3, complete_when": Peer(
        _ours(commit_when=3, complete_when=lambda last: last == len(streams.ITEMS) - 1)
    ),
    "afailover_stream, on_event": Peer(_ours(on_event=lambda _: None)),
}
if HAS_TIMEOUTS:
    BOTH |= {
        "afailover_stream, idle_timeout": Peer(_ours(idle_timeout=LIMIT)),
        "afailover_stream, total_timeout": Peer(_ours(total_timeout=LIMIT)),
    }

ASYNCIO = BOTH | {
    "asyncio.timeout per item, hand-written": Peer(
        _asyncio_timeout, lacks=("a timeout, but no failover",)
    ),
    "asyncio.wait_for per item, hand-written": Peer(
        _wait_for, lacks=("a timeout, but no failover", "runs in another task before Python 3.12")
    ),
    "aiostream chain": Peer(_aiostream, lacks=("joins streams, but survives no failure", NO_SEND)),
    "stamina.retry": Peer(
        stamina.retry(on=OSError, timeout=None)(streams.async_generator),
        lacks=(RESTART_ONLY, THROW_SWITCHES),
    ),
    "google-api-core AsyncStreamingRetry": Peer(
        _google(streams.async_generator), lacks=(RESTART_ONLY, THROW_SWITCHES)
    ),
    "langchain-core with_fallbacks": Peer(
        lambda: _CHAIN.astream(None), lacks=(FIRST_ITEM_ONLY, NOT_CLOSED, NO_SEND)
    ),
}
TRIO = BOTH | {
    "trio.fail_after per item, hand-written": Peer(
        _trio_fail_after, lacks=("a timeout, but no failover",)
    ),
}
