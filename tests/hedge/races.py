"""Random races, in virtual time: sources that are slow, fail, or hold on to their task.

A race is drawn from a seed, run by a blocking stream, under asyncio or under trio, and checked
against the laws of a hedge.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import inf
from random import Random
from typing import Any

import trio
import trio.testing

from failover_iter import (
    Budget,
    Closed,
    Completed,
    Failed,
    FailoverError,
    Health,
    Opening,
    Policy,
    Superseded,
    failover_stream,
)
from failover_iter import afailover_stream as astream
from failover_iter._drivers import mailbox
from failover_iter._drivers.clock import clock
from failover_iter.testing import VirtualClock
from support.runners import quiet
from support.worlds import at_once, blocking, place_of


def _slow_health(clock: Callable[[], float]) -> Health:
    """A health that takes a while to answer."""
    return SlowHealth(failures=1, clock=clock)


#: Changes to the policy of the hedge, and to the outer stream.
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "attempts": ({"attempts": 2, "wait": 0.1}, {}),
    "commit_when": ({"commit_when": 2}, {}),
    "outer commit_when": ({}, {"commit_when": 3}),
    "allow_empty": ({"allow_empty": False}, {}),
    "complete_when": ({"complete_when": lambda item: item == LAST}, {"mid_stream": "skip"}),
    "skip": ({}, {"mid_stream": "skip"}),
    "resume": ({"mid_stream": "resume"}, {"mid_stream": "resume"}),
    "first_item_timeout": ({"first_item_timeout": 0.6}, {}),
    "idle_timeout": ({"idle_timeout": 0.7}, {"idle_timeout": 3}),
    "total_timeout": ({"total_timeout": 1.5}, {"mid_stream": "skip"}),
    "outer total_timeout": ({}, {"total_timeout": 1.5}),
    "switch_on": ({"switch_on": TimeoutError, "attempts": 2}, {"switch_on": KeyError}),
    "health": ({"health": Health}, {}),
    "a health that is slow": ({"health": _slow_health, "attempts": 2}, {}),
    "budget": ({"budget": Budget}, {}),
    "health and budget": (
        {"health": Health, "budget": partial(Budget, reserve=1, per_second=0), "attempts": 3},
        {"mid_stream": "skip"},
    ),
    "outer attempts": ({}, {"attempts": 2, "wait": 0.1, "mid_stream": "skip"}),
}
LAST = 3  # the last item of a source that comes to its end
_var: ContextVar[int | None] = ContextVar("of a source", default=None)


class Delay:
    """A delay that is told no time before its source was opened."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def seconds(self) -> float:
        return self._seconds

    def won(self, seconds: float) -> None:
        assert seconds >= 0

    def lost(self, seconds: float) -> None:
        assert seconds >= 0


class SlowHealth(Health):
    """A health that takes a while to answer an async stream."""

    async def aadmit(self, key: str) -> Any:
        if trio.lowlevel.in_trio_task():
            await trio.sleep(0.2)
        else:
            await asyncio.sleep(0.2)
        return await super().aadmit(key)


@dataclass
class Script:
    """The behaviour of a source."""

    delay: float
    items: int
    pause: float
    fails_at: int | None
    error: type[Exception]
    closing: float
    close_raises: bool
    sets_context: bool
    swallows: bool
    #: Whether it returns an object around the generator, which is closed whatever it raised.
    is_object: bool


@dataclass
class Plan:
    """A race, and what the consumer does."""

    scripts: list[Script]
    after: float
    consumer: str
    pulls: int
    leaves_at: float
    in_group: bool
    has_last_resort: bool


def draw(seed: int) -> Plan:
    """A plan of this seed."""
    rng = Random(seed)

    def script() -> Script:
        usual = rng.choice([0, 0.1, 0.25, 0.5, 1, 2])
        return Script(
            delay=usual if rng.random() < 0.8 else rng.randrange(300) / 100,
            items=rng.choice([0, 2, 4, 4, 4]),
            pause=rng.choice([0, 0, 0.2]),
            fails_at=rng.choice([None, None, None, 0, 0, 1, 2]),
            error=rng.choice([ConnectionError, ConnectionError, TimeoutError, KeyError]),
            closing=rng.choice([0, 0, 0, 0.3]),
            close_raises=rng.random() < 0.1,
            sets_context=rng.random() < 0.4,
            swallows=rng.random() < 0.1,
            is_object=rng.random() < 0.3,
        )

    return Plan(
        scripts=[script() for _ in range(rng.randint(1, 4))],
        after=rng.choice([0, 0.1, 0.25, 0.3, 1, inf]),
        consumer=rng.choice(["drains", "drains", "drains", "breaks", "leaves", "throws"]),
        pulls=rng.randint(1, 3),
        leaves_at=rng.randrange(1, 250) / 100,
        in_group=rng.random() < 0.2,
        has_last_resort=rng.random() < 0.5,
    )


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


class Library:
    """Time, tasks and sleeping, of one of the three."""

    def __init__(self, flavour: str, virtual: VirtualClock) -> None:
        self.flavour = flavour
        self.clock = virtual

    def now(self) -> float:
        match self.flavour:
            case "sync":
                return self.clock.time()
            case "asyncio":
                return asyncio.get_running_loop().time()
            case _:
                return trio.current_time()

    def place(self) -> object:
        return place_of(self.flavour)

    async def sleep(self, seconds: float) -> None:
        match self.flavour:
            case "sync":
                self.clock.sleep(seconds)
            case "asyncio":
                await asyncio.sleep(seconds)
            case _:
                await trio.sleep(seconds)

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
        opened = Opened(number, library.now(), library.place())
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
                opened.closed_at = library.now()
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
    virtual = VirtualClock()
    library = Library(flavour, virtual)
    with quiet():
        match flavour:
            case "sync":
                token = clock.set(virtual)
                try:
                    at_once(_consume(record, library))
                finally:
                    _join(virtual)
                    clock.reset(token)
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
        name: value(clock=library.now) if name in ("health", "budget") else value
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


# The laws.


def check(record: Record) -> None:
    """Check all that must hold, whatever happens."""
    for opened in record.opened:
        assert opened.closed == 1, ("closed once", opened)
        assert opened.trouble is None, opened
    for left in record.open_at:
        # H2: a loser is closed before the first item, or it was blocked and is abandoned.
        abandoned = [
            event.source
            for event in record.events
            if record.flavour == "sync" and getattr(event, "abandoned", False)
        ]
        resting = [each for each in left if f"s{each.source}" not in abandoned]
        assert len(resting) <= 1, ("a loser is open", left, record.events)
    if record.shape == "resume" or SHAPES[record.shape][1].get("mid_stream") == "skip":
        assert record.got == list(range(len(record.got))), record.got
    else:
        _check_one_winner(record)
    _check_events(record)
    if record.shape == "plain":
        _check_times(record)


def _check_one_winner(record: Record) -> None:
    """H1: the items of one source, from its first; a takeover starts over."""
    last = -1
    for item in record.got:
        assert item in (last + 1, 0), record.got
        last = item


def _check_events(record: Record) -> None:
    """Each opening has one end."""
    running: dict[tuple[int, str, int], object] = {}
    for event in record.events:
        place = event.stream, event.source, event.attempt
        if isinstance(event, Opening):
            assert place not in running, event
            running[place] = event
        elif isinstance(event, Failed | Completed | Closed | Superseded):
            assert running.pop(place, None), (event, record.events)
    assert not running, running


def _check_times(record: Record) -> None:
    """H3: the next source is opened `after` past the one before, or when one has failed."""
    plan = record.plan
    races = [event for event in record.events if isinstance(event, Opening)]
    stream = races[0].stream
    times = [event.elapsed for event in races if event.stream == stream]
    failed = [
        event.elapsed
        for event in record.events
        if isinstance(event, Failed) and event.stream == stream
    ]
    for before, at in pairwise(times):
        due = abs(at - before - plan.after) < 1e-6
        assert due or any(abs(at - each) < 1e-6 for each in failed) or at > before + plan.after, (
            times,
            failed,
        )
