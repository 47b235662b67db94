"""No span is attached, so none is detached in a wrong context, however a stream is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
import trio

from failover_iter import Policy, in_thread
from support.factories import broken, broken_async, good, good_async
from support.needs import needs
from support.runners import quiet

needs("opentelemetry.sdk")
needs("prometheus_client")

from observe.recorded import Recorded, current


class Program:
    """A program whose spans are current while it consumes streams."""

    def __init__(self) -> None:
        self.recorded = Recorded()
        self.policy = Policy(
            retry_on=ConnectionError, mid_stream="skip", on_event=self.recorded.listener
        )

    def stream(self) -> Any:
        return self.policy.stream([broken, good])

    def astream(self) -> Any:
        return self.policy.astream([broken_async, good_async])


def drained(program: Program) -> None:
    for _ in program.stream():
        pass


def timed(program: Program) -> None:
    """The source runs in a thread, in a copy of the context."""
    policy = Policy(retry_on=OSError, idle_timeout=30, on_event=program.recorded.listener)
    assert list(policy.stream([good])) == [1, 2, 3]


def abandoned(program: Program) -> None:
    """The garbage collector closes the stream, where another span is current."""
    stream = program.stream()
    next(stream)
    with program.recorded.span("other"):
        del stream
        gc.collect()


def interleaved(program: Program) -> None:
    """Two streams are pulled in turn, and end in the order in which they began."""
    first, second = program.stream(), program.stream()
    for _ in zip(first, second, strict=False):
        pass
    first.close()
    second.close()


def threads(program: Program) -> None:
    """A stream begins in one thread, and ends in another one."""
    stream = program.stream()
    next(stream)
    thread = threading.Thread(target=list, args=[stream])
    thread.start()
    thread.join()


async def adrained(program: Program) -> None:
    async for _ in program.astream():
        pass


async def left(program: Program) -> None:
    """The consumer breaks out of its loop."""
    async with aclosing(program.astream()) as stream:
        async for _ in stream:
            break


def under_asyncio(consume: Callable[[Program], Any]) -> Callable[[Program], None]:
    return lambda program: asyncio.run(consume(program))


def under_trio(consume: Callable[[Program], Any]) -> Callable[[Program], None]:
    return lambda program: trio.run(consume, program)


async def abandoned_async(program: Program) -> None:
    """The loop closes an abandoned stream, in another task."""
    stream = program.astream()
    await anext(stream)
    del stream
    gc.collect()
    await asyncio.sleep(0.01)


async def abandoned_trio(program: Program) -> None:
    stream = program.astream()
    await anext(stream)
    del stream
    gc.collect()
    for _ in range(5):
        await trio.lowlevel.checkpoint()


async def another_task(program: Program) -> None:
    """A stream begins in one task, and is closed in another one."""
    stream = program.astream()
    await anext(stream)
    await asyncio.create_task(stream.aclose())


async def cancelled(program: Program) -> None:
    """The task of the consumer is cancelled in the middle of an item."""

    async def stuck() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(3600)

    async def consume() -> None:
        async for _ in program.policy.astream([stuck]):
            pass

    task = asyncio.create_task(consume())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def from_a_thread(program: Program) -> None:
    """A blocking source in an async stream."""
    async for _ in program.policy.astream([in_thread(good)]):
        pass


WAYS: dict[str, Callable[[Program], None]] = {
    **{each.__name__: each for each in (drained, timed, abandoned, interleaved, threads)},
    **{
        f"asyncio {each.__name__}": under_asyncio(each)
        for each in (adrained, left, abandoned_async, another_task, cancelled, from_a_thread)
    },
    **{
        f"trio {each.__name__}": under_trio(each)
        for each in (adrained, left, abandoned_trio, from_a_thread)
    },
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_context_is_left_or_broken(
    way: Callable[[Program], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The current span is the program's before and after, and OpenTelemetry logs no error."""
    program = Program()
    recorded = program.recorded
    with caplog.at_level(logging.WARNING, "opentelemetry"), quiet(), recorded.span() as request:
        way(program)
        assert current() is request
    assert [record.message for record in caplog.records if "opentelemetry" in record.name] == []
    assert len(recorded.started) == len(recorded.spans) > 2
    assert recorded.otel._streams == {}
