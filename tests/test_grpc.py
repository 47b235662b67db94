"""Real gRPC, sync and aio: no RPC runs after a stream was left, no thread stays after a stall."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from typing import Any

import pytest

from drivers.threads import wait_until
from failover_iter import Failed, Source, afailover_stream, failover_stream, in_thread
from support.needs import needs, unless_installed

pytestmark = unless_installed("grpc")
if not pytestmark:
    grpc: Any = needs("grpc")

STALL = 0.2  # seconds: a real server stalls in real time


class Feed:
    """A server whose one method yields 3 items and stalls, until the client cancels the call."""

    def __init__(self) -> None:
        self.running = set[Any]()
        self.calls = 0
        self.server = grpc.server(ThreadPoolExecutor(4))
        method = grpc.unary_stream_rpc_method_handler(self.watch)
        handlers = grpc.method_handlers_generic_handler("feed", {"Watch": method})
        self.server.add_generic_rpc_handlers((handlers,))
        self.target = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def watch(self, request: bytes, context: Any) -> Iterator[bytes]:
        ended = threading.Event()
        self.running.add(context)
        self.calls += 1
        context.add_callback(lambda: (self.running.discard(context), ended.set()))
        yield from (b"1", b"2", b"3")
        if request == b"stalls":
            ended.wait()


@pytest.fixture(scope="module")
def feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.server.stop(None).wait()


@pytest.fixture
def channel(feed: Feed) -> Iterator[Any]:
    with grpc.insecure_channel(feed.target) as channel:
        yield channel


def cancel(call: Any, *_: object) -> None:
    """Cancel a call: for `close`, and for `abort`."""
    call.cancel()


def watching(channel: Any, request: bytes = b"stalls", **options: Any) -> Source[Any]:
    method = channel.unary_stream("/feed/Watch")
    return Source(lambda: method(request), name="feed", **{"close": cancel, **options})


def our_threads() -> list[str]:
    """The names of the threads of sources."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("failover_iter: ")]


@pytest.mark.parametrize("timeout", [None, 60])
def test_sync_no_call_runs_after_leaving(feed: Feed, channel: Any, timeout: float | None) -> None:
    """`close` cancels the call of a consumer who leaves early."""
    stream = failover_stream([watching(channel)], retry_on=OSError, idle_timeout=timeout)
    with closing(stream):
        assert next(stream) == b"1"
        assert len(feed.running) == 1
    wait_until(lambda: not (feed.running or our_threads()))


def test_sync_no_thread_stays_after_a_stall(feed: Feed, channel: Any) -> None:
    """`abort` cancels the call that blocks, so the thread returns; the next source goes on."""
    events: list[Any] = []
    stream = failover_stream(
        [watching(channel, abort=cancel), watching(channel, b"ends")],
        retry_on=grpc.RpcError,
        mid_stream="skip",
        idle_timeout=STALL,
        on_event=events.append,
    )
    assert list(stream) == [b"1", b"2", b"3"]
    assert [event.abandoned for event in events if isinstance(event, Failed)] == [True]
    wait_until(lambda: not (feed.running or our_threads()))


def test_sync_a_handle_in_the_memo(feed: Feed, channel: Any) -> None:
    """The twin of the test above for a generator, which `abort` cannot cancel itself."""
    calls: dict[str, Any] = {}

    def generator() -> Iterator[bytes]:
        calls["call"] = call = channel.unary_stream("/feed/Watch")(b"stalls")
        yield from call

    source = Source(generator, abort=lambda opened, memo: cancel(calls["call"]))
    stream = failover_stream(
        [source, lambda: [b"4"]], retry_on=grpc.RpcError, mid_stream="restart", idle_timeout=STALL
    )
    assert list(stream) == [b"1", b"2", b"3", b"4"]
    wait_until(lambda: not (feed.running or our_threads()))


@pytest.mark.parametrize("leave", ["close", "cancel", "stall"])
def test_blocking_stub_in_a_task(feed: Feed, channel: Any, leave: str) -> None:
    """`in_thread` brings the blocking stub into asyncio; the loop goes on, and nothing stays."""

    async def main() -> list[bytes]:
        source = watching(channel)
        options = Source(in_thread(source.factory), close=cancel, abort=cancel)
        stream = afailover_stream(
            [options], retry_on=OSError, idle_timeout=STALL if leave == "stall" else None
        )
        items = []
        async with aclosing(stream):
            async for item in stream:
                items.append(item)
                if leave == "close":
                    break
                if leave == "cancel" and len(items) == 3:
                    task: Any = asyncio.current_task()
                    asyncio.get_running_loop().call_soon(task.cancel)
        return items

    if leave == "close":
        assert asyncio.run(main()) == [b"1"]
    else:
        ends_with = asyncio.CancelledError if leave == "cancel" else TimeoutError
        with pytest.raises(ends_with):
            asyncio.run(main())
    wait_until(lambda: not (feed.running or our_threads()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="grpc.aio needs a selector loop there")
@pytest.mark.parametrize("leave", ["close", "cancel", "stall"])
def test_aio_no_call_runs_after_leaving(feed: Feed, leave: str) -> None:
    """The async stub needs no thread: `close` cancels the call, however the stream is left."""

    async def consume(channel: Any) -> None:
        stream = afailover_stream(
            [watching(channel)],
            retry_on=grpc.RpcError,
            idle_timeout=STALL if leave == "stall" else None,
        )
        count = 0
        async with aclosing(stream):
            async for _ in stream:
                count += 1
                if leave == "close":
                    break
                if leave == "cancel" and count == 3:
                    task: Any = asyncio.current_task()
                    asyncio.get_running_loop().call_soon(task.cancel)

    async def main() -> None:
        async with grpc.aio.insecure_channel(feed.target) as channel:
            task = asyncio.ensure_future(consume(channel))
            (error,) = await asyncio.gather(task, return_exceptions=True)
            expected = {"close": None, "cancel": asyncio.CancelledError, "stall": TimeoutError}
            kind = expected[leave]
            assert error is None if kind is None else isinstance(error, kind)
            while feed.running:  # noqa: ASYNC110 (the server hears of it in its threads)
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 10))
    assert our_threads() == []
