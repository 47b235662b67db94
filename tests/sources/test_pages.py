"""`pages`: each item once, whichever request fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_iter import Bookmark, DivergedStream, Resume, Source
from failover_iter.sources import pages
from sources.listings import CASES, FLAVOURS, Listing, check_pages

listings = st.builds(
    Listing,
    sizes=st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple),
    failures=st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), max_size=4).map(tuple),
    commit_when=st.integers(1, 3),
)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", CASES)
def test_cases(name: str, flavour: str) -> None:
    """Each case has each item once."""
    check_pages(CASES[name], flavour)


@pytest.mark.parametrize("flavour", FLAVOURS)
@given(listing=listings)
def test_each_item_once(flavour: str, listing: Listing) -> None:
    """Never an item twice, never one lost, wherever requests and pages break."""
    check_pages(listing, flavour)


MUTANT = {"mid_stream": Resume(start=[None, 0], advance=lambda at, _: [at[0], at[1] + 1])}


def follows_early(fetch: Any) -> Source[Any]:
    """Moves on to the next page before the items of this one are delivered."""

    def items(progress: Any) -> Any:
        token, _ = progress.cursor
        while True:
            page, token = fetch(token)
            if token is not None:
                yield Bookmark([token, 0])
            yield from page
            if token is None:
                return

    return Source(items, **MUTANT)  # type: ignore[arg-type]


def starts_over(fetch: Any) -> Source[Any]:
    """Delivers a page again from its first item."""

    def items(progress: Any) -> Any:
        token, _ = progress.cursor
        while True:
            page, token = fetch(token)
            yield from page
            if token is None:
                return
            yield Bookmark([token, 0])

    return Source(items, **MUTANT)  # type: ignore[arg-type]


def stops_at_falsy(fetch: Any) -> Source[Any]:
    """Takes the token 0 for the end."""

    def without_zero(token: Any) -> Any:
        page, following = fetch(token)
        return page, following or None

    return pages(without_zero)


def fetches_ahead(fetch: Any) -> Source[Any]:
    """Requests the next page before it is needed."""

    def ahead(token: Any) -> Any:
        page, following = fetch(token)
        if following is not None:
            fetch(following)
        return page, following

    return pages(ahead)


class CountsYielded:
    """Counts the items that it yields, whether or not they are delivered."""

    def __init__(self, fetch: Any) -> None:
        self.fetch, self.token, self.done, self.over = fetch, None, 0, False

    def items(self, progress: Any) -> Any:
        while not self.over:
            page, following = self.fetch(self.token)
            for number, item in enumerate(page):
                if number >= self.done:
                    self.done += 1
                    yield item
            self.token, self.done, self.over = following, 0, following is None


def counts_yielded(fetch: Any) -> Source[Any]:
    return Source(CountsYielded(fetch).items, mid_stream="resume")


@pytest.mark.parametrize(
    ("mutant", "killer"),
    [
        (follows_early, "broken in a page"),
        (starts_over, "broken in a page"),
        (stops_at_falsy, "no failure"),
        (fetches_ahead, "no failure"),
        (counts_yielded, "held and discarded"),
    ],
)
def test_mutants_are_killed(mutant: Any, killer: str) -> None:
    """Each naive source is found by the case that is there for it."""
    with pytest.raises((AssertionError, ConnectionError, DivergedStream)):
        check_pages(CASES[killer], "sync", mutant)
