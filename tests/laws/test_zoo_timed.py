"""The zoo of wrong implementations, with limits of time: the checks of the suite kill each one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import aclosing, suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from failover_iter import SourceTimeout, afailover_stream, failover_stream
from failover_iter._drivers.clock import clock
from failover_iter.testing import VirtualClock
from support.loops import Asyncio

IDLE = 1.0
variable: ContextVar[str] = ContextVar("variable", default="unset")


# Wrong ones, async.


async def timer_over_the_yield(factories: list[Any]) -> AsyncIterator[Any]:
    """The limit runs on while the consumer has the item, and cancels the consumer (PEP 789)."""
    for factory in factories:
        source = factory()
        try:
            async with asyncio.timeout(IDLE) as limit:
                async for item in source:
                    yield item
                    limit.reschedule(asyncio.get_running_loop().time() + IDLE)
        except TimeoutError:
            await source.aclose()
        else:
            return


async def wait_for_in_another_task(factories: list[Any]) -> AsyncIterator[Any]:
    """Each pull runs in a task of its own, as `wait_for` did it until 3.12."""
    for factory in factories:
        source = factory()
        try:
            while True:
                pull = asyncio.ensure_future(anext(source))
                try:
                    done, _ = await asyncio.wait({pull}, timeout=IDLE)
                    if not done:
                        raise TimeoutError
                    item = pull.result()
                finally:
                    pull.cancel()
                yield item
        except StopAsyncIteration:
            return
        except TimeoutError:
            with suppress(asyncio.CancelledError):
                await pull
            await source.aclose()


async def clock_that_charges_the_consumer(factories: list[Any]) -> AsyncIterator[Any]:
    """What the consumer took for the last item is missing for the next one."""
    now = asyncio.get_running_loop().time
    for factory in factories:
        source = factory()
        since = now()
        try:
            while True:
                async with asyncio.timeout_at(since + IDLE):
                    item = await anext(source)
                since = now()
                yield item
        except StopAsyncIteration:
            return
        except TimeoutError:
            await source.aclose()


async def takes_a_cancellation_for_a_timeout(factories: list[Any]) -> AsyncIterator[Any]:
    """Whatever cancels the pull is taken for the limit."""
    for factory in factories:
        source = factory()
        task = asyncio.current_task()
        assert task is not None
        try:
            while True:
                timer = asyncio.get_running_loop().call_later(IDLE, task.cancel)
                try:
                    item = await anext(source)
                finally:
                    timer.cancel()
                yield item
        except StopAsyncIteration:
            return
        except asyncio.CancelledError:
            await source.aclose()


def right_async(factories: list[Any]) -> Any:
    return afailover_stream(factories, retry_on=OSError, idle_timeout=IDLE, mid_stream="skip")


# What they are asked for, async.


async def drained(stream: Any) -> list[Any]:
    async with aclosing(stream):
        return [item async for item in stream]


async def replica() -> AsyncIterator[str]:
    yield "replica"


async def a_slow_consumer_times_nothing_out(combinator: Any) -> None:
    async def source() -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0.4)
            yield number

    items = []
    async with aclosing(combinator([source, replica])) as stream:
        async for item in stream:
            items.append(item)
            await asyncio.sleep(50)
    assert items == [0, 1, 2]


async def the_source_is_pulled_in_the_task_of_the_consumer(combinator: Any) -> None:
    async def source() -> AsyncIterator[Any]:
        token = variable.set("set")
        yield asyncio.current_task()
        variable.reset(token)

    assert await drained(combinator([source])) == [asyncio.current_task()]


async def a_stalled_source_is_left(combinator: Any) -> None:
    async def stalls() -> AsyncIterator[str]:
        await asyncio.sleep(1e6)
        yield "never"

    assert await drained(combinator([stalls, replica])) == ["replica"]


async def a_cancellation_opens_nothing(combinator: Any) -> None:
    opened = []

    async def stalls() -> AsyncIterator[str]:
        opened.append("stalls")
        await asyncio.sleep(1e6)
        yield "never"

    async def second() -> AsyncIterator[str]:
        opened.append("second")
        yield "never"

    await Asyncio().cancel_at(0.5, lambda: drained(combinator([stalls, second])))
    assert opened == ["stalls"]


ASYNC_CHECKS = [
    a_slow_consumer_times_nothing_out,
    the_source_is_pulled_in_the_task_of_the_consumer,
    a_stalled_source_is_left,
    a_cancellation_opens_nothing,
]


def failures_of(combinator: Any) -> list[str]:
    """The checks that a combinator does not pass."""
    failed = []
    for check in ASYNC_CHECKS:
        try:
            Asyncio().run(lambda check=check: check(combinator))
        except BaseException:
            failed.append(check.__name__)
    return failed


def test_the_right_one_passes() -> None:
    """Our own stream passes all of them."""
    assert failures_of(right_async) == []


@pytest.mark.parametrize(
    ("wrong", "killed_by"),
    [
        (timer_over_the_yield, a_slow_consumer_times_nothing_out),
        (wait_for_in_another_task, the_source_is_pulled_in_the_task_of_the_consumer),
        (clock_that_charges_the_consumer, a_slow_consumer_times_nothing_out),
        (takes_a_cancellation_for_a_timeout, a_cancellation_opens_nothing),
    ],
)
def test_each_wrong_one_is_killed(wrong: Any, killed_by: Any) -> None:
    """By the check for what is wrong with it, and it does leave a stalled source."""
    failed = failures_of(wrong)
    assert killed_by.__name__ in failed
    assert a_stalled_source_is_left.__name__ not in failed


# A wrong one, blocking.


def closed_while_its_thread_runs(factories: list[Any]) -> Iterator[Any]:
    """The source is closed by the consumer, who does not wait for its thread."""
    for factory in factories:
        source = factory()
        while True:
            pulled: Future[Any] = Future()
            thread = threading.Thread(
                target=_pull,
                args=(source, pulled),
                name="failover_iter: not",  # for the clock: a source sleeps in it
                daemon=True,
            )
            answered = SimpleQueue[object]()
            pulled.add_done_callback(answered.put)
            thread.start()
            try:
                clock.get().get(answered, IDLE)
            except Empty:
                source.close()
                break
            try:
                item = pulled.result()
            except EOFError:
                return
            yield item


def _pull(source: Iterator[Any], pulled: Future[Any]) -> None:
    try:
        pulled.set_result(next(source))
    except StopIteration:
        pulled.set_exception(EOFError())
    except BaseException as error:
        pulled.set_exception(error)


def right(factories: list[Any]) -> Any:
    return failover_stream(factories, retry_on=OSError, idle_timeout=IDLE, mid_stream="skip")


def run_blocking(combinator: Callable[[list[Any]], Any]) -> tuple[list[Any], list[str]]:
    """A source that blocks, and one that has the rest; what was delivered, what was done to it."""
    fake, log = VirtualClock(), list[str]()
    token = clock.set(fake)

    def stalls() -> Iterator[int]:
        try:
            yield 1
            fake.sleep(1e6)
            log.append("came back")
        finally:
            log.append("closed")

    try:
        items = list(combinator([stalls, lambda: iter([1, 2])]))
    finally:
        fake.wake_all()
        clock.reset(token)
    return items, log


def test_a_source_is_not_closed_while_its_thread_runs() -> None:
    """Ours closes it there when it comes back; the wrong one cannot close what is running."""
    assert run_blocking(right) == ([1, 2], ["came back", "closed"])
    with pytest.raises(ValueError, match="generator already executing"):
        run_blocking(closed_while_its_thread_runs)


def test_nobody_is_left_to_try() -> None:
    """A stall of the last source is an error, and no quiet end."""
    fake = VirtualClock()
    token = clock.set(fake)
    try:
        with pytest.raises(SourceTimeout):
            list(right([lambda: iter(lambda: fake.sleep(1e6), 0)]))
    finally:
        fake.wake_all()
        clock.reset(token)
