"""What a stream hands over to one inside, and what that one gives back: modes, restarts, memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import Decide, Policy, Progress, Source, failover, failover_stream
from support.flavour import AsyncFlavour, SyncFlavour, Thing
from support.runners import quiet


@pytest.fixture(params=[SyncFlavour, AsyncFlavour])
def flavour(request: pytest.FixtureRequest) -> Iterator[SyncFlavour]:
    made: SyncFlavour = request.param()
    with quiet():
        yield made
    made.finish()


def source(flavour: SyncFlavour, *items: int, fails: bool = False) -> Any:
    def source() -> Iterator[int]:
        yield from items
        if fails:
            raise ConnectionError("reset by peer")

    return flavour.generator(source)


def test_a_restart_inside_goes_with_the_item_that_it_begins_with(flavour: SyncFlavour) -> None:
    """Also where the stream around still holds what was given before it."""
    inside = Policy(retry_on=ConnectionError).source(
        [source(flavour, 1, fails=True), source(flavour, 1, 2, fails=True)]
    )
    stream = flavour.stream([inside, source(flavour, 1, 2, 3, 4)], mid_stream="skip", commit_when=2)
    assert flavour.drain(stream) == [1, 1, 2, 3, 4]


@pytest.mark.parametrize("mid_stream", ["restart", "skip"])
def test_the_first_source_inside_may_be_passed_over(flavour: SyncFlavour, mid_stream: Any) -> None:
    """One that says "raise" takes over from nobody, nested or not."""
    policy = Policy(retry_on=ConnectionError, mid_stream=mid_stream)
    first, shy = source(flavour, 1, fails=True), Source(source(flavour, 9), mid_stream="raise")
    last = source(flavour, 1, 2)
    flat = flavour.drain(flavour.of(policy, [first, shy, last]))
    assert flavour.drain(flavour.of(policy, [first, policy.source([shy, last])])) == flat


def test_all_sources_inside_may_be_passed_over(flavour: SyncFlavour) -> None:
    """Then the stream around goes on, or ends with the error that it had."""
    policy = Policy(retry_on=ConnectionError)
    shy = policy.source([Source(source(flavour, 9), mid_stream="raise")])
    first = source(flavour, 1, fails=True)
    assert flavour.drain(flavour.of(policy, [first, shy, source(flavour, 1, 2)])) == [1, 1, 2]
    with pytest.raises(ConnectionError, match="reset by peer"):
        flavour.drain(flavour.of(policy, [first, shy]))


@pytest.mark.parametrize("own", ["skip", "decide"])
def test_the_first_source_inside_takes_over_in_its_own_way(flavour: SyncFlavour, own: str) -> None:
    """Its own mode goes before that of the stream around, nested or not."""
    policy = Policy(retry_on=ConnectionError)
    first, last = source(flavour, 1, fails=True), source(flavour, 1, 2)
    if own == "skip":
        mine = Source(last, mid_stream="skip")
    else:
        taking = flavour.generator(lambda progress: iter_of(1, 2))
        mine = Source(taking, mid_stream=Decide(lambda progress: "skip"))
    assert flavour.drain(flavour.of(policy, [first, mine])) == [1, 2]
    assert flavour.drain(flavour.of(policy, [first, policy.source([mine])])) == [1, 2]


def iter_of(*items: int) -> Iterator[int]:
    yield from items


@pytest.mark.parametrize("how", ["cause", "group"])
def test_what_led_to_a_survived_error_is_let_go_too(flavour: SyncFlavour, how: str) -> None:
    """Under resume each failure would else hold on to the one before, by frames and arguments."""
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    def flaky(progress: Progress[int]) -> Iterator[int]:
        thing = Thing()
        alive.add(thing)
        yield progress.delivered
        try:
            raise KeyError("cause")
        except KeyError as cause:
            if how == "group":
                raise ExceptionGroup(
                    "both", [ConnectionError("x"), ConnectionError("y")]
                ) from cause
            raise ConnectionError("reset by peer") from cause

    gc.collect()
    gc.disable()
    try:
        stream = flavour.stream([flavour.generator(flaky)], mid_stream="resume", attempts=200)
        with pytest.raises((ConnectionError, ExceptionGroup)):
            flavour.drain(stream)
        del stream
        assert len(alive) <= 3
    finally:
        gc.enable()


def test_a_list_of_many_that_may_not_take_over(flavour: SyncFlavour) -> None:
    """However long the list, what is behind them is tried."""
    shy = Source(source(flavour, 9), mid_stream="raise")
    sources = [source(flavour, 1, fails=True), *[shy] * 1500, source(flavour, 1, 2)]
    assert flavour.drain(flavour.stream(sources)) == [1, 1, 2]


def test_arguments_that_a_fallback_would_take_for_its_progress() -> None:
    """The call is refused at once, not when the fallback is needed."""

    def fallback(
        table: str, progress: Progress[int] = Progress(), limit: int = 10
    ) -> Iterator[int]:
        yield from range(progress.delivered, limit)

    @failover(fallback, retry_on=ConnectionError, mid_stream="resume")
    def read(table: str, limit: int = 10, *, progress: Progress[int] = Progress()) -> Iterator[int]:
        yield from range(progress.delivered, limit)

    assert list(read("t", limit=2)) == [0, 1]
    with pytest.raises(TypeError, match=r"fallback\(\) cannot take this call"):
        read("t", 5)


def test_a_progress_that_more_arguments_may_follow() -> None:
    """It could not be told from them, so it has to be a keyword."""
    with pytest.raises(TypeError, match="as a keyword"):

        @failover(retry_on=ConnectionError, mid_stream="resume")
        def read(progress: Progress[int] = Progress(), *more: int) -> Iterator[int]:
            yield from more


def test_an_error_in_a_circle_of_causes() -> None:
    """It is followed once around."""
    error, cause = ConnectionError("one"), KeyError("two")
    error.__cause__, cause.__context__ = cause, error

    def fails(progress: Progress[int]) -> Iterator[int]:
        if progress.attempt == 1:
            raise error
        yield 1

    with quiet():
        stream = failover_stream([fails], retry_on=OSError, mid_stream="resume", attempts=2)
        assert list(stream) == [1]
