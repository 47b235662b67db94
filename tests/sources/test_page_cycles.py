"""A listing that returns to an earlier page would never end: it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_iter import DivergedStream, afailover_stream, failover_stream
from failover_iter.sources import pages
from failover_iter.sources._page_trail import RECENT, Trail
from sources.readers import Result, aread_all, read_all

Fetch = Callable[[int], tuple[list[int], Any]]
MESSAGE = "the token of the next page is that of an earlier page, so the listing would never end"


def read(fetch: Fetch, **options: Any) -> Result:
    source = replace(pages(fetch, start=0, name="letters"), wait=0)
    return read_all(failover_stream([source], retry_on=ConnectionError, **options))


def aread(fetch: Fetch, **options: Any) -> Result:
    async def afetch(token: int) -> Any:
        return fetch(token)

    source = replace(pages(afetch, start=0, name="letters"), wait=0)
    stream = afailover_stream([source], retry_on=ConnectionError, **options)
    return asyncio.run(aread_all(stream))


each_flavour = pytest.mark.parametrize("read", [read, aread])


def cycle_of(tail: int, length: int) -> Fetch:
    """Pages that go round after the first `tail` of them; each has one item."""
    end = tail + length

    def fetch(token: int) -> tuple[list[int], Any]:
        return [token], token + 1 if token + 1 < end else tail

    return fetch


@each_flavour
@pytest.mark.parametrize(("tail", "length"), [(0, 2), (1, 2), (3, 7), (250, RECENT)])
def test_a_cycle(read: Any, tail: int, length: int) -> None:
    """No item comes twice."""
    items, error = read(cycle_of(tail, length))
    assert items == [*range(tail + length - 1)]
    assert isinstance(error, DivergedStream)
    assert str(error) == f"letters: {MESSAGE}"


@each_flavour
@pytest.mark.parametrize(("tail", "length"), [(0, RECENT + 1), (300, 500), (5, 1000)])
def test_a_long_cycle(read: Any, tail: int, length: int) -> None:
    """It is found after a few rounds."""
    items, error = read(cycle_of(tail, length))
    assert isinstance(error, DivergedStream)
    assert len(items) <= 2 * max(tail, length) + length + 1
    assert {*items} == {*range(tail + length)}


@each_flavour
def test_a_cycle_of_pages_that_each_fail_once(read: Any) -> None:
    """The tokens are remembered beyond the attempt."""
    failed: set[int] = set()
    good = cycle_of(2, 3)

    def fetch(token: int) -> tuple[list[int], Any]:
        if token not in failed:
            failed.add(token)
            raise ConnectionError(token)
        failed.discard(token)
        return good(token)

    items, error = read(fetch, attempts=3)
    assert (items, type(error)) == ([0, 1, 2, 3], DivergedStream)


@each_flavour
@given(fails=st.lists(st.integers(0, 300), max_size=20), held=st.integers(1, 150))
def test_pages_that_are_requested_again(read: Any, fails: list[int], held: int) -> None:
    """Pages that were requested and not delivered make no cycle, in a listing that ends."""
    left = sorted(fails)

    def fetch(token: int) -> tuple[list[int], Any]:
        if left and left[0] <= token:
            left.pop(0)
            raise ConnectionError(token)
        return [token], token + 1 if token < 300 else None

    assert read(fetch, commit_when=held, attempts=99) == ([*range(301)], None)


def test_constant_memory() -> None:
    """However long a listing is, few tokens are kept."""
    trail = Trail.begin(0)
    for token in range(1, 5000):
        assert token not in trail
        trail = trail.to(token)
    assert trail == Trail((*range(4900, 5000),), 4095, 904, 4096)
