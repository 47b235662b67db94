"""After a race is decided: what the losers still do, how they are closed, who is cancelled."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio

from failover_iter import Budget, Closed, Failed, Health, Opening, Policy, Source, Superseded
from failover_iter.testing import VirtualClock
from support.runners import quiet
from support.virtual import virtual_time
from support.worlds import FLAVOURS, World, play

from .laws import Track

ASYNC = [each for each in FLAVOURS if each != "sync"]


class Learns:
    """A delay that remembers what it is told."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.lost_after: list[float] = []

    def seconds(self) -> float:
        return self._seconds

    def won(self, seconds: float) -> None:
        pass

    def lost(self, seconds: float) -> None:
        self.lost_after.append(seconds)


def closes_after(world: World, seconds: float) -> Any:
    async def close(_: object) -> None:
        await world.sleep(seconds)

    return close


@pytest.mark.parametrize("flavour", ASYNC)
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("has_health", [True, False])
def test_a_failure_before_the_decision(
    flavour: str, is_first: bool, attempts: int, has_health: bool
) -> None:
    """It is told, and known to the health; no token is spent for it, and nothing is opened."""

    async def scenario(world: World) -> None:
        track, delay = Track(world), Learns(0.4)
        health = Health(clock=world.time) if has_health else None
        budget = Budget(ratio=0, reserve=5, per_second=0, clock=world.time)
        policy = track.policy(attempts=attempts, health=health, budget=budget)
        fails = track.source("fails", 0.3, error=ConnectionError("down"))
        sources = [Source(fails, close=closes_after(world, 5)), track.source("wins", 0.2)]
        if not is_first:
            sources = [track.source("wins", 0.8), sources[0]]
        sources.append(track.source("never", 0))
        delay._seconds = 0.4 if is_first else 0.3
        got = await track.drain(policy.hedge(sources[: 2 + is_first], after=delay))
        assert got == [("wins", 0), ("wins", 1)]
        assert sorted(event.source for event in track.told(Opening)) == ["fails", "wins"]
        assert [event.source for event in track.told(Failed)] == ["fails"]
        assert health is None or health.snapshot()["fails"].failures == 1
        assert budget.tokens == 4
        assert delay.lost_after == []

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", ASYNC)
@pytest.mark.parametrize("slow", ["a", "b", "in a group"])
def test_a_health_that_answers_after_the_decision(flavour: str, slow: str) -> None:
    """The source is not opened, no event says that it is, and a probe is given back."""

    async def scenario(world: World) -> None:
        class Slow(Health):
            async def aadmit(self, key: str) -> Any:
                await world.sleep(5 if key == "slow" else 0)
                return await super().aadmit(key)

        health = Slow(failures=1, cooldown=1, lease=1000, clock=world.time)
        health.report(health.admit("slow"), "failed", ConnectionError("refused"))
        await world.sleep(2)
        track, delay = Track(world), Learns(0.1)
        policy = track.policy(health=health)
        late = track.source("slow", 0)
        if slow == "a":
            # The first has failed; a retry of it asks the health, while the other one wins.
            asked: list[str] = []

            class Twice(Slow):
                async def aadmit(self, key: str) -> Any:
                    asked.append(key)
                    await world.sleep(5 if asked.count("a") == 2 else 0)
                    return await Health.aadmit(self, key)

            policy = track.policy(health=Twice(clock=world.time), attempts=2)
            first = track.source("a", 0.2, error=ConnectionError("down"))
            sources = [first, track.source("c", 1.0)]
        elif slow == "b":
            sources = [track.source("c", 1.0), late]
        else:
            sources = [
                track.source("c", 1.0),
                Policy(retry_on=OSError, health=health).source([late]),
            ]
            policy = track.policy()
        assert await track.drain(policy.hedge(sources, after=delay)) == [("c", 0), ("c", 1)]
        opened = {"a": ["a", "c"], "b": ["c"], "in a group": ["c", "slow"]}[slow]
        assert [event.source for event in track.told(Opening)] == opened
        assert "slow" not in world.asked
        assert all(seconds >= 0 for seconds in delay.lost_after)
        if slow != "a":
            assert health.admit("slow").verdict == "probe"

    play(flavour, scenario)


class Wait(VirtualClock):
    """Once a source has committed, the consumer sees what the others have done by then."""

    def __init__(self) -> None:
        super().__init__()
        self.committed = threading.Event()

    def get(self, queue: Any, seconds: float, jobs: Any = None) -> Any:
        item = super().get(queue, seconds, jobs)
        while self.committed.is_set() and not all(job.finished for job in jobs or ()):
            time.sleep(0.0005)
        return item


@pytest.fixture
def waits() -> Iterator[Wait]:
    with virtual_time(Wait()) as fake:
        yield fake


@pytest.mark.parametrize("step", ["factory", "iter", "next"])
@pytest.mark.parametrize("has_failed", [False, True])
def test_a_blocking_loser_at_rest_is_closed_first(waits: Wait, step: str, has_failed: bool) -> None:
    """H2: whatever has just returned when another source commits, by the thread that opened it."""
    opening, opened, log = threading.Event(), threading.Event(), list[Any]()
    events: list[Any] = []

    def first() -> Iterator[int]:
        opening.wait()
        opened.set()
        waits.committed.set()
        yield 1

    def reaches(this: str) -> None:
        if this == step:
            opening.set()
            opened.wait()
            if has_failed:
                raise ConnectionError("too late")

    class Pages:
        def __init__(self) -> None:
            self.place = threading.get_ident()
            reaches("factory")

        def __iter__(self) -> Any:
            reaches("iter")
            return self

        def __next__(self) -> int:
            reaches("next")
            return 2

        def close(self) -> None:
            time.sleep(0.02)
            log.append(("closed", threading.get_ident() == self.place))

    policy = Policy(retry_on=OSError, on_event=events.append)
    with quiet():
        stream = policy.stream([policy.hedge([first, Pages], after=0)])
        assert next(stream) == 1
        assert log == ([] if has_failed and step == "factory" else [("closed", True)])
        assert list(stream) == []
    assert [each.abandoned for each in events if isinstance(each, Superseded)] == [False]


def test_a_source_that_answers_while_another_one_is_closed() -> None:
    """Its answer, which came while the consumer waited for the closing, is not overlooked."""
    closing = threading.Event()

    def first() -> Iterator[str]:
        closing.wait()
        yield "item"

    class Down:
        def __iter__(self) -> Any:
            return self

        def __next__(self) -> str:
            raise ConnectionError("down")

        def close(self) -> None:
            closing.set()
            time.sleep(0.05)  # until the other thread has answered

    events: list[Any] = []
    policy = Policy(retry_on=OSError, first_item_timeout=5, on_event=events.append)
    with quiet():
        assert list(policy.stream([policy.hedge([first, Down], after=0)])) == ["item"]
    assert events[-1].elapsed < 5


def closing(track: Track, name: str, delay: float, seconds: float, log: list[Any]) -> Any:
    """A factory of an object that takes a while to close."""
    world = track.world

    class Response:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> str:
            await world.sleep(delay)
            return name

        async def aclose(self) -> None:
            try:
                if seconds:
                    await world.sleep(seconds)
            except BaseException:
                log.append(f"{name} was interrupted")
                raise
            log.append(f"{name} was closed")

    def factory() -> Response:
        return Response()

    factory.__name__ = name
    return factory


async def cancelled_at(world: World, seconds: float, body: Any) -> bool:
    """Run this, and cancel it at some time; whether it raised the cancellation."""
    if world.flavour == "trio":
        with trio.move_on_after(seconds) as scope:
            await body()
        return scope.cancelled_caught
    task = asyncio.ensure_future(body())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait([task])
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return task.cancelled()


@pytest.mark.parametrize("flavour", ASYNC)
@pytest.mark.parametrize(
    ("delays", "slow"),
    [
        ({"a": 1, "b": 9}, "b"),
        ({"a": 1.2, "b": 9, "c": 9}, "bc"),
        ({"a": 9, "b": 0.5}, "a"),
        ({"a": 9, "b": 0.8, "c": 9}, "ac"),
        ({"a": 9, "b": 9, "c": 0.2}, "b"),
    ],
)
def test_a_cancellation_while_losers_are_closed(
    flavour: str, delays: dict[str, float], slow: str
) -> None:
    """It reaches them, and the consumer at once; the winner is closed, and delivers nothing."""

    async def scenario(world: World) -> None:
        track, log, got = Track(world), list[str](), list[Any]()
        sources = [
            closing(track, name, delay, 5 * (name in slow), log) for name, delay in delays.items()
        ]
        stream = world.stream(track.policy(), [track.policy().hedge(sources, after=0.5)])
        began = world.time()

        async def body() -> None:
            got.append(await world.next(stream))

        assert await cancelled_at(world, 2, body)
        assert world.time() == began + 2
        await world.close(stream)
        assert got == []
        assert {line for line in log if "interrupted" in line} == {
            f"{name} was interrupted" for name in slow
        }
        assert len(log) == len(delays)
        assert len(track.told(Superseded)) == len(delays) - 1

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", ASYNC)
def test_a_cancellation_while_the_first_is_interrupted(flavour: str) -> None:
    """The winner, which has delivered nothing yet, is superseded by nobody, and closed."""

    async def scenario(world: World) -> None:
        track, log = Track(world), list[str]()

        async def first() -> AsyncIterator[str]:
            try:
                await world.sleep(9)
                yield "late"
            finally:
                if flavour == "trio":
                    with trio.CancelScope(shield=True):
                        await trio.sleep(1)
                else:
                    await asyncio.sleep(1)

        sources = [world.source("a", first), closing(track, "b", 0.1, 0, log)]
        stream = world.stream(track.policy(), [track.policy().hedge(sources, after=0.1)])

        async def body() -> None:
            await world.next(stream)

        assert await cancelled_at(world, 0.5, body)
        await world.close(stream)
        assert log == ["b was closed"]
        (left,) = track.told(Superseded)
        assert (left.source, left.by) == ("b", None)
        assert [event.source for event in track.told(Closed)][:1] == ["a"]

    play(flavour, scenario)
