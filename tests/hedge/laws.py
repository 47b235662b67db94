"""Laws H1 to H8 of a hedge.

Each law is a scenario (`support.worlds`), so it is played by blocking streams, asyncio and trio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import strategies as st

from failover_iter import (
    Budget,
    Committed,
    Failed,
    Health,
    Opening,
    Percentile,
    Policy,
    Source,
    Superseded,
)
from failover_iter._percentile import read_after
from support.laws import table
from support.worlds import World

DELAYS = st.sampled_from([0.0, 0.1, 0.25, 0.35, 0.5, 1.0, 5.0])
AFTERS = st.sampled_from([0.0, 0.1, 0.3, 0.31, 1.0])
variable: ContextVar[str] = ContextVar("variable", default="of the consumer")


class Track:
    """Sources that yield (name, number), and what became of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.open: set[str] = set()
        self.trouble: list[str] = []

    def source(
        self, name: str, delay: float, *, items: int = 2, error: Exception | None = None
    ) -> Any:
        async def body(*_: object) -> AsyncIterator[tuple[str, int]]:
            place, token = self.world.place(), variable.set(name)
            self.open.add(name)
            try:
                await self.world.sleep(delay)
                if error is not None:
                    raise error
                for number in range(items):
                    if variable.get() != name:
                        self.trouble.append(f"{name} was pulled in another context")
                    yield name, number
                    await self.world.sleep(0.01)
            finally:
                if self.world.place() != place:
                    self.trouble.append(f"{name} was closed elsewhere")
                else:
                    variable.reset(token)
                self.open.discard(name)

        return self.world.source(name, body)

    def response(self, name: str, delay: float) -> Any:
        """A factory of an object that stays open until it is closed, whatever a pull raised."""
        track, world = self, self.world

        class Response:
            def __init__(self) -> None:
                track.open.add(name)

            def __iter__(self) -> Any:
                return self

            def __next__(self) -> Any:
                world.clock.sleep(delay)
                return name, 0

            def close(self) -> None:
                track.open.discard(name)

        class AsyncResponse(Response):
            __iter__ = __next__ = close = None

            def __aiter__(self) -> Any:
                return self

            async def __anext__(self) -> Any:
                await world.sleep(delay)
                return name, 0

            async def aclose(self) -> None:
                track.open.discard(name)

        made: Any = Response if world.flavour == "sync" else AsyncResponse
        factory: Any = lambda: made()  # noqa: E731 (the name is set on it)
        factory.__name__ = name
        return factory

    def policy(self, **options: Any) -> Policy:
        return Policy(**{"retry_on": OSError, "on_event": self.world.events.append, **options})

    async def drain(self, race: Any, **options: Any) -> list[Any]:
        return await self.world.drain(Policy(retry_on=OSError, **options), [race])

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.world.events if isinstance(event, kind)]


def close_to(seconds: float) -> Any:
    return pytest.approx(seconds, abs=1e-6)


async def h1_one_winner(world: World, data: Any) -> None:
    """H1: all items are those of one source, whatever the others have yielded before."""
    track = Track(world)
    delays = data.draw(st.lists(DELAYS, min_size=2, max_size=4), "delays")
    sources = [
        track.source(name, delay, items=4) for name, delay in zip("abcd", delays, strict=False)
    ]
    policy = track.policy(commit_when=data.draw(st.integers(1, 3), "commit_when"))
    got = await track.drain(policy.hedge(sources, after=data.draw(AFTERS, "after")))
    (winner,) = {name for name, _ in got}
    assert got == [(winner, number) for number in range(4)]
    assert [event.source for event in track.told(Committed)] == [winner]


async def h2_losers_are_closed_first(world: World, data: Any) -> None:
    """H2: at the first item no other source is open, or it was blocked and is abandoned."""
    track = Track(world)
    delays = data.draw(st.lists(DELAYS, min_size=2, max_size=4), "delays")
    sources = [track.response(name, delay) for name, delay in zip("abcd", delays, strict=False)]
    race = track.policy().hedge(sources, after=data.draw(AFTERS, "after"))
    stream = world.stream(Policy(retry_on=OSError), [race])
    winner, _ = await world.next(stream)
    left = {event.source: event.abandoned for event in track.told(Superseded)}
    assert {event.by for event in track.told(Superseded)} <= {winner}
    if world.flavour == "sync":
        assert track.open - {name for name, is_left in left.items() if is_left} == {winner}
    else:
        assert track.open == {winner}
        assert not any(left.values())
    await world.close(stream)


async def h3_when_the_next_is_opened(world: World, data: Any) -> None:
    """H3: `after` past the one before, or at once when one has failed."""
    track = Track(world)
    after = data.draw(AFTERS.filter(bool), "after")
    fails_at = data.draw(st.sampled_from([inf, 0.05, 0.15, 0.45]), "fails at")
    error = ConnectionError("down") if fails_at < inf else None
    first = track.source("a", min(fails_at, 9.0), error=error)
    others = [track.source(name, 9.0) for name in "bcd"]
    race = track.policy().hedge([first, *others], after=after)
    await track.drain(race)
    expected, at = [0.0], 0.0
    failure = fails_at
    while len(expected) < 4:
        at, failure = (failure, inf) if failure <= at + after else (at + after, failure)
        expected.append(at)
    assert [event.elapsed for event in track.told(Opening)] == [close_to(each) for each in expected]


async def h4_what_ends_a_race(world: World, data: Any) -> None:
    """H4: an error that is not listed ends it; of all that are, the last one is raised."""
    track = Track(world)
    is_listed = data.draw(st.booleans(), "listed")
    error = ConnectionError("last") if is_listed else ValueError("a bug")
    delays = data.draw(st.permutations([0.5, 0.77, 0.93]), "delays")
    errors = [ConnectionError("first"), ConnectionError("second"), error]
    order = sorted(range(3), key=lambda index: 0.1 * index + delays[index])
    by_time = {index: errors[rank] for rank, index in enumerate(order)}
    if not is_listed:  # it comes first
        by_time[order[0]], by_time[order[2]] = error, errors[0]
    sources = [
        track.source(name, delays[index], error=by_time[index]) for index, name in enumerate("abc")
    ]
    with pytest.raises(type(error)) as raised:
        await track.drain(track.policy().hedge(sources, after=0.1))
    assert raised.value is error
    notes = getattr(error, "__notes__", [])
    assert sum("ConnectionError" in note for note in notes) >= (2 if is_listed else 0)
    assert len(track.told(Failed)) == (3 if is_listed else 1)
    assert len(track.told(Superseded)) == (0 if is_listed else 2)


async def h5_without_a_limit_it_is_a_group(world: World, data: Any) -> None:
    """H5: with `after=inf` a hedge does what a `Policy.source` does, until the commit."""
    options = {
        "attempts": data.draw(st.integers(1, 3), "attempts"),
        "wait": data.draw(st.sampled_from([0, 0.5]), "wait"),
        "on_exhausted": data.draw(st.sampled_from(["last", "group"])),
    }
    fails = data.draw(st.lists(st.booleans(), min_size=1, max_size=3), "fails")
    outcomes = []
    for is_hedge in (True, False):
        world.events.clear()
        track = Track(world)
        policy = track.policy(**options)
        sources = [
            track.source(name, 1.0, error=ConnectionError(name) if is_down else None)
            for name, is_down in zip("abc", fails, strict=False)
        ]
        entry = policy.hedge(sources, after=inf) if is_hedge else policy.source(sources)
        try:
            end: Any = await track.drain(entry)
        except (OSError, ExceptionGroup) as error:
            end = repr(error), getattr(error, "__notes__", [])
        told = [(type(event), event.source, round(event.elapsed, 3)) for event in world.events]
        outcomes.append((end, told))
    assert outcomes[0] == outcomes[1]


async def h6_one_task_and_one_context(world: World, data: Any) -> None:
    """H6: a source is opened, pulled and closed in one task or thread, and in one context."""
    track = Track(world)
    delays = data.draw(st.lists(DELAYS, min_size=2, max_size=3), "delays")
    sources = [
        track.source(name, delay, items=3) for name, delay in zip("abc", delays, strict=False)
    ]
    race = track.policy().hedge(sources, after=data.draw(AFTERS, "after"))
    pulls = data.draw(st.integers(1, 3), "pulls")
    throws = data.draw(st.booleans(), "throws")
    stream = world.stream(Policy(retry_on=OSError), [race])
    for _ in range(pulls):
        await world.next(stream)
    if throws:
        with pytest.raises(KeyError):
            await world.throw(stream, KeyError("mine"))
    await world.close(stream)
    world.clock.wake_all()
    assert track.trouble == []


async def h7_extra_openings_have_a_budget(world: World, data: Any) -> None:
    """H7: no more than the budget allows; an empty one means to wait, never an error."""
    reserve = data.draw(st.integers(1, 4), "reserve")
    ratio = data.draw(st.sampled_from([0.0, 0.1, 0.5]), "ratio")
    budget = Budget(ratio=ratio, reserve=reserve, per_second=0, clock=world.time)
    track = Track(world)
    policy = track.policy(budget=budget)
    sources = [track.source(name, 1.0, items=1) for name in "abc"]
    streams = 12
    for _ in range(streams):
        race = policy.hedge(sources, after=0.1)
        assert await world.drain(policy, [race]) == [("a", 0)]
    extra = len(world.asked) - streams
    assert extra <= reserve + ratio * streams
    assert extra >= min(reserve, 2 * streams)


async def h8_what_losing_means(world: World, data: Any) -> None:
    """H8: to the health it is nothing; to a `Percentile` it is a lower bound."""
    health = Health(failures=1, clock=world.time)
    percentile = Percentile(0.7, floor=0.001)

    def known(name: str) -> tuple[int, str]:
        each = health.snapshot().get(name)
        return (0, "ok") if each is None else (each.failures, each.state)

    policy = Track(world).policy(health=health)
    state = data.draw(st.sampled_from(["new", "failed"]), "state")
    if state == "failed":
        health = Health(failures=2, clock=world.time)
        policy = replace(policy, health=health)
        health.report(health.admit("a"), "failed", ConnectionError())
    before = known("a")
    track = Track(world)
    race = policy.hedge([track.source("a", 1.0), track.source("b", 0.1)], after=0.3)
    await track.drain(race)
    assert known("a") == before
    # With a quantile of 0.7, about three of ten streams are hedged, and not more and more of them.
    extra, streams = 0, 200
    for number in range(streams):
        sources = [track.source("x", (number * 7 % 10 + 1) / 10), track.source("y", 0.05)]
        hedged = track.policy().hedge(sources, after=percentile)
        world.asked.clear()
        await track.drain(hedged)
        extra += len(world.asked) - 1
    assert 0 < extra <= streams * 0.45


async def b1_the_sick_are_hedged_last(world: World, data: Any) -> None:
    """B1 in a hedge: sources that are out are opened after the others, at the times of H3."""
    track, after = Track(world), data.draw(AFTERS.filter(bool), "after")
    health = Health(failures=1, cooldown=60, clock=world.time)
    out = data.draw(st.lists(st.sampled_from("abcd"), unique=True), "out")
    for name in out:  # the first one is the soonest
        health.report(health.admit(name), "failed", ConnectionError("refused"))
        await world.sleep(1)
    sources = [track.source(name, 9.0) for name in "abcd"]
    await track.drain(track.policy(health=health).hedge(sources, after=after))
    order = [name for name in "abcd" if name not in out] + out
    opened = [(event.source, event.elapsed) for event in track.told(Opening)]
    assert opened == [(name, close_to(index * after)) for index, name in enumerate(order)]


async def nothing_is_opened_after_the_decision(world: World, data: Any) -> None:
    """A source that failed, and is being closed when another one wins, has no successor."""
    track = Track(world)
    closing = data.draw(st.sampled_from([0.0, 0.5, 5.0]), "closing")
    budget = Budget(ratio=0, reserve=9, per_second=0, clock=world.time)
    lost: list[float] = []
    policy = track.policy(attempts=data.draw(st.integers(1, 3)), wait=0, budget=budget)

    async def aclose(_: object) -> None:
        await world.sleep(closing)

    def drawn(name: str) -> Any:
        is_down, delay = data.draw(st.booleans(), f"{name} is down"), data.draw(DELAYS, name)
        error = ConnectionError(name) if is_down else None
        source = track.source(name, delay, error=error)
        return Source(source, close=(lambda _: None) if world.flavour == "sync" else aclose)

    delay = read_after(data.draw(AFTERS, "after"))
    delay.lost = lost.append  # type: ignore[method-assign]
    race = policy.hedge([*map(drawn, "abc"), track.source("d", 0.1)], after=delay)
    await track.drain(race)
    opened = track.told(Opening)
    (committed,) = track.told(Committed)
    assert all(event.elapsed <= committed.elapsed for event in opened)
    assert all(seconds >= 0 for seconds in lost)
    assert len(world.asked) <= len(opened)  # not at all, if another one wins at that moment
    assert 9 - budget.tokens <= len(opened) - 1


LAWS = table(
    h1_one_winner,
    h2_losers_are_closed_first,
    h3_when_the_next_is_opened,
    h4_what_ends_a_race,
    h5_without_a_limit_it_is_a_group,
    h6_one_task_and_one_context,
    h7_extra_openings_have_a_budget,
    h8_what_losing_means,
    b1_the_sick_are_hedged_last,
    nothing_is_opened_after_the_decision,
)
