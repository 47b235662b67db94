"""Random races, in virtual time: sources that are slow, fail, or hold on to their task.

A race is drawn from a seed (`race_plans`), run by a blocking stream, under asyncio or under trio,
and checked against the laws of a hedge (`race_laws`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf
from typing import Any

import trio
import trio.testing

from failover_iter import FailoverError, Policy, failover_stream
from failover_iter import afailover_stream as astream
from failover_iter._drivers import mailbox
from failover_iter.testing import VirtualClock
from hedge.race_plans import SHAPES, Delay, Plan, Script, draw
from support.runners import quiet
from support.virtual import virtual_time
from support.worlds import World, at_once, blocking

_var: ContextVar[int | None] = ContextVar("of a source", default=None)


@dataclass
class Opened:
    """One opening of a source."""

    source: int
    at: float
    place: object
    closed: int = 0
    closed_at: float = inf
    trouble: object = None


@dataclass
class Record:
    """What happened."""

    plan: Plan
    shape: str
    flavour: str
    opened: list[Opened] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    got: list[int] = field(default_factory=list)
    by: list[int] = field(default_factory=list)
    #: The openings that were not closed at each item, without those of blocked threads.
    open_at: list[list[Opened]] = field(default_factory=list)
    end: object = None


class Library(World):
    """Time, tasks and sleeping, of one of the three."""

    async def shielded(self, seconds: float) -> None:
        """Sleep, and put a cancellation off."""
        match self.flavour:
            case "sync":
                self.clock.sleep(seconds)
            case "asyncio":
                done = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(seconds, done.set_result, None)
                cancelled = None
                while not done.done():
                    try:
                        await asyncio.shield(done)
                    except asyncio.CancelledError as error:
                        cancelled = error
                if cancelled is not None:
                    raise cancelled
            case _:
                with trio.CancelScope(shield=True):
                    await trio.sleep(seconds)


def factories(record: Record, library: Library) -> list[Any]:
    """The sources of the plan."""
    return [_factory(record, library, number) for number in range(len(record.plan.scripts))]


def _factory(record: Record, library: Library, number: int) -> Any:
    script = record.plan.scripts[number]

    async def source(*args: Any) -> AsyncIterator[int]:
        start = args[0].delivered if args else 0
        opened = Opened(number, library.time(), library.place())
        record.opened.append(opened)
        token = _var.set(number) if script.sets_context else None
        try:
            async with aclosing(_items(record, library, opened, script, start)) as items:
                async for item in items:
                    yield item
        finally:
            try:
                if token is not None:
                    _var.reset(token)
            except ValueError as error:
                opened.trouble = error
            if library.place() != opened.place:
                opened.trouble = "closed in another task"
            try:
                if script.closing:
                    await library.shielded(script.closing)
            finally:
                opened.closed += 1
                opened.closed_at = library.time()
        if script.close_raises:
            raise OSError("closing")

    def sync(*args: Any) -> Any:
        yield from blocking(source(*args))

    made: Any = sync if library.flavour == "sync" else source
    if script.is_object:
        kind, generator = Items if library.flavour == "sync" else AsyncItems, made
        made = lambda *args: kind(generator(*args))  # noqa: E731 (its name is set below)
    if record.shape != "resume":
        plain = made

        def without() -> Any:
            return plain()

        made = without
    made.__name__ = f"s{number}"
    return made


class Items:
    """An object around a generator."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return next(self.items)

    def close(self) -> None:
        self.items.close()


class AsyncItems:
    """An object around an async generator."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return await anext(self.items)

    async def aclose(self) -> None:
        await self.items.aclose()


async def _items(
    record: Record, library: Library, opened: Opened, script: Script, start: int
) -> AsyncIterator[int]:
    async def pause(seconds: float) -> None:
        try:
            await library.sleep(seconds)
        except BaseException:
            if script.swallows:
                await library.shielded(0.2)
            raise

    if script.delay:
        await pause(script.delay)
    for item in range(start, script.items):
        if script.fails_at == item:
            raise script.error(f"s{opened.source}")
        record.by.append(opened.source)
        yield item
        if script.pause:
            await pause(script.pause)
    if script.fails_at is not None and script.fails_at >= script.items:
        raise script.error(f"s{opened.source}")


def run(seed: int, shape: str, flavour: str) -> Record:
    """Run the race of a seed."""
    plan = draw(seed)
    record = Record(plan, shape, flavour)
    library = Library(flavour)
    with quiet():
        match flavour:
            case "sync":
                with virtual_time(library.clock):
                    try:
                        at_once(_consume(record, library))
                    finally:
                        _join(library.clock)
            case "asyncio":
                with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
                    runner.run(_and_no_task_is_left(record, library))
            case _:
                trio.run(
                    _consume,
                    record,
                    library,
                    clock=trio.testing.MockClock(autojump_threshold=0),
                )
    return record


def _join(virtual: VirtualClock) -> None:
    """Wake the sources that were abandoned, and wait for their threads, which close them."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        virtual.wake_all()
        names = [thread.name for thread in threading.enumerate()]
        if not any(name.startswith("failover_iter: ") for name in names) and not mailbox._served:
            return
        time.sleep(0.0005)  # a thread that is being started cannot be joined
    raise AssertionError(f"threads are left: {names}")


async def _and_no_task_is_left(record: Record, library: Library) -> None:
    await _consume(record, library)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left


async def _consume(record: Record, library: Library) -> None:
    plan = record.plan
    inner, outer = SHAPES[record.shape]
    inner = {
        name: value(clock=library.time) if name in ("health", "budget") else value
        for name, value in inner.items()
    }
    policy = Policy(
        retry_on=(ConnectionError, TimeoutError), on_event=record.events.append, **inner
    )
    sources = factories(record, library)
    if plan.in_group and len(sources) > 1:
        group = Policy(retry_on=(ConnectionError, TimeoutError), mid_stream=policy.mid_stream)
        sources = [group.source(sources[:1]), *sources[1:]]
    race = policy.hedge(sources, after=Delay(plan.after))
    entries: list[Any] = [race]
    if plan.has_last_resort:
        entries.append(policy.source(factories(record, library)[:1]))
    make: Any = failover_stream if library.flavour == "sync" else astream
    stream = make(entries, retry_on=(ConnectionError, TimeoutError), **outer)

    async def body() -> None:
        await _pull(record, library, stream)

    try:
        if plan.consumer == "leaves" and library.flavour != "sync":
            await (_cancelled if library.flavour == "asyncio" else _moved_on)(body, plan.leaves_at)
        else:
            await body()
    except (OSError, KeyError, ValueError, FailoverError) as error:
        record.end = error


async def _pull(record: Record, library: Library, stream: Any) -> None:
    plan, is_sync = record.plan, library.flavour == "sync"
    pulled = 0

    async def step() -> Any:
        if plan.consumer == "throws" and pulled == plan.pulls:
            error = ValueError("mine")
            return stream.throw(error) if is_sync else await stream.athrow(error)
        return next(stream, None) if is_sync else await anext(stream, None)

    try:
        while (item := await step()) is not None:
            record.got.append(item)
            record.open_at.append([each for each in record.opened if not each.closed])
            pulled += 1
            if plan.consumer == "breaks" and pulled == plan.pulls:
                break
    finally:
        if is_sync:
            stream.close()
        else:
            await stream.aclose()


async def _cancelled(body: Callable[[], Awaitable[None]], at: float) -> None:
    task = asyncio.ensure_future(body())
    await asyncio.sleep(at)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return


async def _moved_on(body: Callable[[], Awaitable[None]], at: float) -> None:
    with trio.move_on_after(at):
        await body()
