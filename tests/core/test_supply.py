"""The core reads its sources one by one, and waits for an endless supply that brings nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import NoSources, ReusedIterator, Source
from support.play import A, B, C, Play, named, show, started


def test_sources_that_are_passed_over_are_not_taken_for_a_cycle() -> None:
    """A lazy iterable of new sources is read to its end, however many of them are passed over."""

    def factories() -> Iterator[Any]:
        yield A
        for name in ("b",) * 5:
            yield Source(named(name), mid_stream="raise")
        yield C

    play = Play(factories(), mid_stream="skip")
    assert play.through("1x 12.") == ["open a", "open c skip 1", "return value"]


def test_an_endless_supply_of_new_sources_waits_too() -> None:
    """After 64 attempts in a row without an item, `wait` holds for a new source as well."""

    def new_sources() -> Iterator[Any]:
        while True:
            yield named("new")

    play = started(new_sources(), wait=3)
    for number in range(63):
        assert show(play.fail()) == f"open new#{number + 2}"
    for _ in range(3):
        assert show(play.fail()) == "sleep 3"
        play.sleep()
    play.deliver("1")
    assert show(play.fail()).startswith("open new#")


def test_factories_are_read_one_by_one() -> None:
    """A lazy iterable is pulled once at the start, and once after each failure."""
    pulled: list[str] = []

    def factories() -> Iterator[Any]:
        for factory in (A, B, C):
            pulled.append(factory.__name__)
            yield factory

    play = Play(factories())
    assert pulled == []
    play.start()
    assert pulled == ["a"]
    play.fail()
    assert pulled == ["a", "b"]


def test_no_source_at_all() -> None:
    """An empty lazy iterable raises `NoSources` when the first item is asked for."""
    with pytest.raises(NoSources, match="^factories yielded no source at all$"):
        Play(iter([])).start()


def test_a_generator_that_has_ended() -> None:
    """The first opening may return one, as an empty source; after a failure it is a wrong use."""
    play = started([A, B])
    play.run.opened_ended()
    play.fail()
    with pytest.raises(ReusedIterator, match="^source 'b' returned a generator that has already"):
        play.run.opened_ended()
