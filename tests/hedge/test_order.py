"""Which contender is opened next: with a health, after a pause, and by options of a source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from failover_iter import Budget, Health, Opening, Policy, Source, StreamTimeout
from support.worlds import FLAVOURS, World, at_once, play

from .laws import Track, close_to

# A health.


def eject(health: Health, *names: str) -> None:
    """Have these sources fail, the one after the other."""
    for name in names:
        health.report(health.admit(name), "failed", ConnectionError("refused"))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("out", ["", "a", "b", "c", "ab", "ba", "cab", "bca"])
def test_a_source_that_failed_lately_is_hedged_last(flavour: str, out: str) -> None:
    """B1 and H3: it is opened after the others, the soonest first, and each after the delay."""

    async def scenario(world: World) -> None:
        track = Track(world)
        health = Health(failures=1, cooldown=60, clock=world.time)
        for name in out:
            eject(health, name)
            await world.sleep(1)
        policy = track.policy(health=health)
        sources = [track.source(name, 9.0) for name in "abc"]
        await track.drain(policy.hedge(sources, after=0.5))
        opened = track.told(Opening)
        assert "".join(event.source for event in opened) == "".join(
            [name for name in "abc" if name not in out] + list(out)
        )
        assert [event.elapsed for event in opened] == [close_to(each) for each in (0, 0.5, 1)]

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_budget_bounds_a_hedge_to_a_source_that_is_out(flavour: str) -> None:
    """If it is empty, that source is not opened, and is asked all the same after a failure."""

    async def scenario(world: World) -> None:
        health = Health(failures=1, cooldown=60, clock=world.time)
        eject(health, "a")
        budget = Budget(ratio=0, reserve=1, per_second=0, clock=world.time)
        assert budget.spend()
        for error in (None, ConnectionError("down")):
            track = Track(world)
            policy = track.policy(health=health, budget=budget)
            sources = [track.source("a", 1.0), track.source("b", 2.0, error=error)]
            world.events.clear()
            await track.drain(policy.hedge(sources, after=0.5))
            opened = [(event.source, event.elapsed) for event in track.told(Opening)]
            assert opened == [("b", 0)] + ([] if error is None else [("a", close_to(2))])

    play(flavour, scenario)


# The time of a stream, or of a hedge.


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("level", ["hedge", "stream"])
@pytest.mark.parametrize("others", [0, 1])
def test_the_time_is_up_in_the_pause_of_a_contender(flavour: str, level: str, others: int) -> None:
    """No source is opened after it; the other contenders are superseded, and closed."""

    async def scenario(world: World) -> None:
        track = Track(world)
        limit = {"total_timeout": 2}
        policy = track.policy(attempts=3, wait=5, **(limit if level == "hedge" else {}))
        sources = [track.source("a", 0.5, error=ConnectionError("down"))]
        sources += [track.source("b", 9.0)] * others
        sources += [track.source("c", 9.0)] * (1 - others)
        race = policy.hedge(sources, after=0.1 if others else 60)
        with pytest.raises(StreamTimeout):
            await track.drain(race, **(limit if level == "stream" else {}))
        assert (
            world.asked
            == [event.source for event in track.told(Opening)]
            == ["a", "b"][: 1 + others]
        )
        assert track.open == set() or world.flavour == "sync"

    play(flavour, scenario)


# Options of a source in a hedge.


class Gone(Exception):
    """Not found, for example."""


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_source_leaves_for_its_own_reasons_before_the_commit(flavour: str) -> None:
    """`switch_on` and `retry_on` of a contender hold for it."""

    async def scenario(world: World) -> None:
        for option, error in (("switch_on", Gone("a")), ("retry_on", Gone("a"))):
            track = Track(world)
            options: dict[str, Any] = {option: Gone}
            first = Source(track.source("a", 0.1, error=error), **options)
            race = track.policy(attempts=3).hedge([first, track.source("b", 0.1)], after=9)
            assert await track.drain(race) == [("b", 0), ("b", 1)]

    play(flavour, scenario)


def resumes(world: World, name: str, *errors: Exception | None) -> Any:
    """A source that yields one more item at each opening, and then fails."""
    left = list(errors)

    async def body(progress: Any) -> AsyncIterator[int]:
        yield progress.delivered
        error = left.pop(0)
        if error is not None:
            raise error

    return world.source(name, body)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("is_hedge", [True, False])
@pytest.mark.parametrize("delay", ["first", "backup"])
def test_the_winner_fails_as_its_own_options_say(flavour: str, is_hedge: bool, delay: str) -> None:
    """A source that brings its options has them in a hedge as it has them in a list."""

    async def scenario(world: World) -> None:
        lost, gone, odd = ConnectionError("lost"), Gone("gone"), KeyError("odd")
        own: dict[str, Any] = {"mid_stream": "resume"}
        cases: list[tuple[dict[str, Any], list[Exception | None], Any]] = [
            # Each attempt makes progress, so they never run out.
            ({"reset_on_progress": True}, [lost, lost, lost, lost, None], [0, 1, 2, 3, 4]),
            ({}, [lost, lost, lost, lost, None], [0, 1, "last", 3]),
            # It is left at once, though another attempt is left.
            ({"switch_on": Gone}, [gone, None], [0, "last", 2]),
            ({"switch_on": ConnectionError}, [lost, None], [0, "last", 2]),
            # Its own failures.
            ({"retry_on": KeyError}, [odd, None], [0, 1]),
        ]
        for options, errors, expected in cases:
            policy = Policy(retry_on=ConnectionError, attempts=2)
            source = Source(resumes(world, "a", *errors), **own, **options)
            asleep = world.source("asleep", lambda *_: sleeps(world))
            sources = [Source(asleep, **own), source] if delay == "backup" else [source, asleep]
            entry: Any = policy.hedge(sources, after=0.1) if is_hedge else source

            async def last(progress: Any) -> AsyncIterator[Any]:
                yield "last"
                yield progress.delivered + 1

            outer = Policy(retry_on=ConnectionError, attempts=2, mid_stream="resume")
            assert await world.drain(outer, [entry, world.source("last", last)]) == expected

    play(flavour, scenario)


def test_a_winner_that_is_opened_again_after_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """A watch that ends now and then is logged as without a hedge, and not as a failure."""

    async def scenario(world: World) -> None:
        def source() -> Any:
            watch = resumes(world, "watch", None, None, None)
            own: dict[str, Any] = {"reset_on_progress": True, "mid_stream": "resume"}
            return Source(watch, complete_when=lambda item: item == 2, **own)

        policy = Policy(retry_on=ConnectionError, attempts=2)
        outer = Policy(retry_on=ConnectionError, attempts=2, mid_stream="resume")
        levels = []
        for entry in (source(), policy.hedge([source(), source()], after=9)):
            caplog.clear()
            assert await world.drain(outer, [entry]) == [0, 1, 2]
            levels.append([record.levelname for record in caplog.records])
        assert levels == [["INFO", "INFO"]] * 2

    with caplog.at_level("INFO", "failover_iter"):
        at_once(scenario(World("sync")))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_options_of_a_winner_hold_for_no_other_source(flavour: str) -> None:
    """Nor does what the hedge itself sets give way to them."""

    async def scenario(world: World) -> None:
        own: dict[str, Any] = {"mid_stream": "resume", "switch_on": Gone}
        policy = Policy(retry_on=ConnectionError, mid_stream="resume")
        race = policy.hedge([Source(resumes(world, "a", Gone("a"), Gone("a")), **own)], after=1)
        last = resumes(world, "last", None)
        with pytest.raises(Gone, match="b"):
            await world.drain(policy, [race, resumes(world, "b", Gone("b")), last])
        race = replace(race, switch_on=KeyError)
        with pytest.raises(Gone, match="a"):
            await world.drain(policy, [race, last])
        assert world.asked == ["a", "b", "a"]

    play(flavour, scenario)


async def sleeps(world: World) -> AsyncIterator[Any]:
    await world.sleep(9)
    yield "never"
