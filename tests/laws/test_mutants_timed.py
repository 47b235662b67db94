"""Mutants with time limits: the checks in this file kill each of them."""

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
from support.loops import Asyncio, drained
from support.virtual import virtual_time

IDLE = 1.0
variable: ContextVar[str] = ContextVar("variable", default="unset")


# Async mutants.


async def timer_over_the_yield(factories: list[Any]) -> AsyncIterator[Any]:
    """The limit continues while the consumer has the item, and cancels the consumer (PEP 789)."""
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
    """Each pull runs in a new task, as in `wait_for` before Python 3.12."""
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
    """The time that the consumer takes for an item counts against the next item."""
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
    """Every cancellation of a pull is handled as a timeout."""
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
    """Return the checks that fail for a combinator."""
    failed = []
    for check in ASYNC_CHECKS:
        try:
            Asyncio().run(lambda check=check: check(combinator))
        except BaseException:
            failed.append(check.__name__)
    return failed


def test_the_library_passes() -> None:
    """The library's own stream passes all checks."""
    assert failures_of(right_async) == []


@pytest.mark.parametrize(
    ("mutant", "killed_by"),
    [
        (timer_over_the_yield, a_slow_consumer_times_nothing_out),
        (wait_for_in_another_task, the_source_is_pulled_in_the_task_of_the_consumer),
        (clock_that_charges_the_consumer, a_slow_consumer_times_nothing_out),
        (takes_a_cancellation_for_a_timeout, a_cancellation_opens_nothing),
    ],
)
def test_each_mutant_is_killed(mutant: Any, killed_by: Any) -> None:
    """The check for its bug kills each mutant, although it leaves a stalled source."""
    failed = failures_of(mutant)
    assert killed_by.__name__ in failed
    assert a_stalled_source_is_left.__name__ not in failed


# A sync mutant.


def closed_while_its_thread_runs(factories: list[Any]) -> Iterator[Any]:
    """The consumer closes the source without waiting for its thread."""
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
    """Run a combinator over a source that blocks and a replica; return the items and a log."""
    fake, log = VirtualClock(), list[str]()

    def stalls() -> Iterator[int]:
        try:
            yield 1
            fake.sleep(1e6)
            log.append("returned")
        finally:
            log.append("closed")

    with virtual_time(fake):
        items = list(combinator([stalls, lambda: iter([1, 2])]))
    return items, log


def test_a_source_is_not_closed_while_its_thread_runs() -> None:
    """The library closes the source in its thread when the call returns; the mutant cannot."""
    assert run_blocking(right) == ([1, 2], ["returned", "closed"])
    with pytest.raises(ValueError, match="generator already executing"):
        run_blocking(closed_while_its_thread_runs)


def test_the_last_source_stalls() -> None:
    """A stall of the last source raises an error."""
    with virtual_time(VirtualClock()) as fake, pytest.raises(SourceTimeout):
        list(right([lambda: iter(lambda: fake.sleep(1e6), 0)]))
