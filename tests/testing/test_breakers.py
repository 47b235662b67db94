"""The oracles for breakers and races find their known bugs, in small imitations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from failover_iter import Health, Policy, afailover_stream
from failover_iter.testing import (
    BrokenLaw,
    Oracle,
    Plan,
    VirtualClock,
    verify,
)


class Breaker:
    """A breaker around one source: after a failure it is open, after 10 s one stream probes it."""

    #: When the last failure was, and whether a stream probes.
    failed_at: float | None = None
    is_probed = False

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock

    def stream(self, factory: Any, fallback: Any) -> Iterator[Any]:
        if self.failed_at is not None:
            if self.is_probed or self.clock.time() < self.failed_at + 10:
                yield from fallback()
                return
            self.is_probed = True
        yield from self.guarded(factory, fallback)

    def guarded(self, factory: Any, fallback: Any) -> Iterator[Any]:
        """Without a bug."""
        try:
            yield from factory()
        except ConnectionError:
            self.failed_at = self.clock.time()
        except GeneratorExit:
            self.failed_at = None
            raise
        else:
            self.failed_at = None
            return
        finally:
            self.is_probed = False
        yield from fallback()


class WedgedByLeaving(Breaker):
    """Neither success nor failure: a consumer who leaves keeps the probe for ever."""

    def guarded(self, factory: Any, fallback: Any) -> Iterator[Any]:
        try:
            yield from factory()
        except ConnectionError:
            self.failed_at, self.is_probed = self.clock.time(), False
            yield from fallback()
        else:
            self.failed_at, self.is_probed = None, False


class SuccessAtTheOpening(Breaker):
    """The call of the factory is guarded, as in most breakers: deaths after that go unseen."""

    def guarded(self, factory: Any, fallback: Any) -> Iterator[Any]:
        stream = factory()
        self.failed_at, self.is_probed = None, False
        try:
            yield from stream
        except ConnectionError:
            yield from fallback()


class KeepsTheProbe(Breaker):
    """The probe is never returned after an error that does not concern the breaker."""

    def guarded(self, factory: Any, fallback: Any) -> Iterator[Any]:
        try:
            yield from factory()
            self.failed_at = None
        except ConnectionError:
            self.failed_at = self.clock.time()
            yield from fallback()
        self.is_probed = False


class OurHealth:
    """The same with `Health`."""

    def __init__(self, clock: VirtualClock) -> None:
        health = Health(failures=1, cooldown=10, clock=clock.time)
        self.policy = Policy(retry_on=ConnectionError, health=health)

    def stream(self, factory: Any, fallback: Any) -> Iterator[Any]:
        return self.policy.stream([factory, fallback])


def dies_mid_stream(make: Callable[[VirtualClock], Any], clock: VirtualClock) -> Any:
    """Five streams, one after the other; the primary dies after an item each time."""

    def pipeline(primary: Any, replica: Any) -> Iterator[Any]:
        breaker = make(clock)
        for _ in range(5):
            yield from breaker.stream(primary, replica)

    return pipeline


def probe_ends(how: str, make: Callable[[VirtualClock], Any], clock: VirtualClock) -> Any:
    """The primary fails; later the probe ends in this way; later it is asked again."""

    def pipeline(primary: Any, replica: Any) -> Iterator[Any]:
        breaker = make(clock)
        list(breaker.stream(primary, replica))
        clock.sleep(10)
        probe = breaker.stream(primary, replica)
        if how == "left":
            next(probe)
            probe.close()
        else:
            with pytest.raises(Exception, match="source 1"):
                list(probe)
        clock.sleep(20)
        yield from breaker.stream(primary, replica)

    return pipeline


def from_the_primary(plan: Plan) -> str:
    """In the end the primary is asked again."""
    return "abc"


CASES = [
    ("dies", SuccessAtTheOpening),
    ("left", WedgedByLeaving),
    ("raises", KeepsTheProbe),
]


def verified(case: str, make: Any) -> None:
    clock = VirtualClock()
    if case == "dies":
        verify(
            dies_mid_stream(make, clock),
            Plan("a#", "xy|"),
            oracles=Oracle.max_openings(1, source=0),
            clock=clock,
        )
        return
    second = "abc|" if case == "left" else "#bug"
    plan = Plan(f"#; {second}; abc|", "xyz|")
    verify(
        probe_ends(case, make, clock), plan, oracles=Oracle.equals(from_the_primary), clock=clock
    )


@pytest.mark.parametrize(("case", "make"), CASES)
def test_a_known_bug_of_breakers_is_found(case: str, make: Any) -> None:
    """A wedged probe, a death after success at the opening, a probe that is never given back."""
    with pytest.raises(BrokenLaw):
        verified(case, make)


@pytest.mark.parametrize("case", ["dies", "left", "raises"])
@pytest.mark.parametrize("make", [Breaker, OurHealth])
def test_a_good_breaker_passes(case: str, make: Any) -> None:
    """The kit has nothing to say against one that counts mid-stream deaths, and frees its probe."""
    verified(case, make)


def test_openings_are_counted_for_all_sources_or_for_one() -> None:
    """The message names what was opened too often."""

    def pipeline(primary: Any, replica: Any) -> Iterator[Any]:
        for factory in (primary, replica, primary):
            yield from factory()

    verify(pipeline, Plan("a|", "b|"), oracles=Oracle.max_openings(3, source="all"))
    verify(pipeline, Plan("a|", "b|"), oracles=Oracle.max_openings(1, source=1))
    with pytest.raises(BrokenLaw, match=r"max_openings\(2, source='all'\): sources were opened 3 "):
        verify(pipeline, Plan("a|", "b|"), oracles=Oracle.max_openings(2, source="all"))
    with pytest.raises(BrokenLaw, match=r"max_openings\(1, source=0\): source 1 was opened 2 "):
        verify(pipeline, Plan("a|", "b|"), oracles=Oracle.max_openings(1, source=0))


# Races.


def hedged(*factories: Any) -> Any:
    policy = Policy(retry_on=ConnectionError)
    return afailover_stream([policy.hedge(factories, after=1)], retry_on=ConnectionError)


async def merged(*factories: Any) -> AsyncIterator[Any]:
    """Both put what they yield into one queue."""
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def put(factory: Any) -> None:
        async with aclosing(factory()) as items:
            async for item in items:
                await queue.put(item)

    tasks = [asyncio.ensure_future(put(factory)) for factory in factories]
    for _ in range(4):
        yield await queue.get()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def closes_at_the_end(*factories: Any) -> AsyncIterator[Any]:
    """The first to answer wins, and the others are closed when it has ended."""
    streams = [factory() for factory in factories]
    pulls = {asyncio.ensure_future(anext(stream)): stream for stream in streams}
    done, _ = await asyncio.wait(pulls, return_when=asyncio.FIRST_COMPLETED)
    won = next(iter(done))
    yield await won
    async for item in pulls[won]:
        yield item
    for pull, stream in pulls.items():
        pull.cancel()
        await asyncio.gather(pull, return_exceptions=True)
        await stream.aclose()


RACE = Plan("--a-b|", "-x-y|")


def test_a_race_has_one_winner() -> None:
    """Two sources in one queue have two."""
    verify(hedged, RACE, flavour="asyncio", oracles=["one_winner", "losers_closed"])
    with pytest.raises(BrokenLaw, match="one_winner: no source has yielded"):
        verify(merged, RACE, flavour="asyncio", oracles="one_winner")


def test_losers_are_closed_before_the_first_item() -> None:
    """One that is closed at the end holds its connection as long as the winner."""
    with pytest.raises(BrokenLaw, match="losers_closed: source 1 and source 2 were open"):
        verify(closes_at_the_end, RACE, flavour="asyncio", oracles="losers_closed")
    verify(closes_at_the_end, RACE, flavour="asyncio", oracles="one_winner")
    verify(hedged, Plan("#", "#"), flavour="asyncio", oracles=["losers_closed", "one_winner"])
