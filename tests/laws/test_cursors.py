"""The cursor of a stream agrees with a naive fold beside it; mutants with one bug each are killed.

One table runs on the blocking driver, on asyncio and on trio.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import DivergedStream, TruncatedStream, failover_stream
from support.cursors import FLAVOURS, Cursors, check_cursors, check_sized, naive, skips_by_count

CASES = {
    "fails at once": Cursors(fails_after=(0, 0)),
    "fails in the middle": Cursors(fails_after=(2, 3)),
    "held and discarded": Cursors(fails_after=(2, 3, 1), commit_when=3),
    "bookmarks": Cursors(fails_after=(2, 3), bookmarks=frozenset({1, 3}), advances=False),
    "no bookmark yet": Cursors(fails_after=(2, 4), advances=False),
    "bookmark among replayed items": Cursors(
        fails_after=(4, 2, 2, 5), bookmarks=frozenset({1}), advances=False
    ),
    "held bookmark": Cursors(
        fails_after=(2, 5), bookmarks=frozenset({1, 2}), advances=False, commit_when=3
    ),
    "bookmarks and a fold": Cursors(fails_after=(2, 3), bookmarks=frozenset({1, 3})),
    "nested": Cursors(fails_after=(2, 3, 1, 2), nested=True, bookmarks=frozenset({3})),
    "restarts": Cursors(fails_after=(3, 0, 1, 2), decisions=("restart", "resume", "resume")),
    "bookmark of a fresh start": Cursors(
        fails_after=(3, 0, 2),
        decisions=("restart", "resume", "resume"),
        bookmarks=frozenset({0, 2}),
        advances=False,
    ),
    "bookmark in a skip": Cursors(
        fails_after=(4, 3, 1), decisions=("skip", "resume", "skip"), bookmarks=frozenset({1, 2})
    ),
}

cases = st.builds(
    Cursors,
    size=st.integers(0, 7),
    fails_after=st.lists(st.integers(0, 5), max_size=5).map(tuple),
    bookmarks=st.frozensets(st.integers(0, 6), max_size=3),
    advances=st.booleans(),
    commit_when=st.integers(1, 3),
    decisions=st.lists(st.sampled_from(["restart", "resume", "skip"]), max_size=4).map(tuple),
    nested=st.booleans(),
    timed=st.booleans(),
)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", CASES)
def test_cases(name: str, flavour: str) -> None:
    """Each case has each item once, and each opening begins where the consumer is."""
    check_cursors(CASES[name], flavour)


@pytest.mark.parametrize("flavour", FLAVOURS)
@settings(max_examples=60)
@given(case=cases)
def test_exactly_once(flavour: str, case: Cursors) -> None:
    """Whatever fails, is held or replayed, and however it takes over: each item arrives once."""
    check_cursors(case, flavour)


cut_at = st.frozensets(st.integers(1, 9), max_size=4)
sized = st.lists(st.tuples(cut_at, st.integers(0, 5)), min_size=1, max_size=4)


@pytest.mark.parametrize("flavour", FLAVOURS)
@given(data=st.sampled_from(["0123456789", b"0123456789"]), sources=sized)
def test_pieces_that_are_cut_elsewhere(flavour: str, data: Any, sources: Any) -> None:
    """Sources that cut the same content differently deliver it once, with the same digest."""
    check_sized(data, sources, flavour)


# The number of items.


def check_expected(size: int, expected: int, commit_when: int, combinator: Any) -> None:
    """Neither fewer items nor more: whatever is delivered was expected."""

    def source() -> Any:
        yield from range(size)

    got: list[int] = []
    outcome: type[Exception] | None = None
    options = {"retry_on": OSError, "expect_items": expected, "commit_when": commit_when}
    try:
        for item in combinator([source], **options):
            got.append(item)
    except (TruncatedStream, DivergedStream) as error:
        outcome = type(error)
    assert outcome is (
        None if size == expected else TruncatedStream if size < expected else DivergedStream
    )
    is_held = commit_when > expected < size
    assert got == ([] if is_held else [*range(min(size, expected))])


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 4))
def test_the_number_of_items_is_that_of_a_complete_stream(
    size: int, expected: int, commit_when: int
) -> None:
    """Fewer items are a cut stream, and the first one too many is not delivered."""
    check_expected(size, expected, commit_when, failover_stream)


def delivers_the_surplus(factories: Any, *, expect_items: int, **_: Any) -> Any:
    """Looks at the number of items when all of them were delivered."""
    number = 0
    for item in factories[0]():
        number += 1
        yield item
    if number > expect_items:
        raise DivergedStream
    if number < expect_items:
        raise TruncatedStream


def stops_at_the_last_item(factories: Any, *, expect_items: int, **_: Any) -> Any:
    """Takes a source that has more items for a complete one."""
    number = 0
    for number, item in enumerate(factories[0](), 1):
        if number > expect_items:
            return
        yield item
    if number < expect_items:
        raise TruncatedStream


@pytest.mark.parametrize("mutant", [delivers_the_surplus, stops_at_the_last_item])
def test_streams_that_count_wrongly_are_killed(mutant: Any) -> None:
    """One item too many finds both bugs."""
    check_expected(2, 2, 1, mutant)
    with pytest.raises(AssertionError):
        check_expected(3, 2, 1, mutant)


# Mutants.


def killers(combinator: Any) -> set[str]:
    """The cases that a stream fails, of those that a naive one can pass."""
    failed = set()
    for name, case in CASES.items():
        if not (case.nested or case.decisions):
            try:
                check_cursors(case, "sync", combinator)
            except AssertionError:
                failed.add(name)
    return failed


@pytest.mark.parametrize(
    ("bug", "killer"),
    [
        ("yielded", "held and discarded"),
        ("held", "held and discarded"),
        ("delivers", "bookmarks"),
        ("forgets", "no bookmark yet"),
        ("whole", "bookmark among replayed items"),
        ("early", "held bookmark"),
        ("memo", "fails at once"),
    ],
)
def test_mutants_are_killed(bug: str, killer: str) -> None:
    """Each bug is found by the case that is there for it; without a bug, none is found."""
    assert killer in killers(partial(naive, bug=bug))
    assert killers(naive) == set()


def test_a_skip_by_chunks_is_killed() -> None:
    """Chunk boundaries are not positions: pieces are lost, or come twice."""
    sources = [(frozenset({5}), 1), (frozenset({2}), 2)]
    assert check_sized(b"0123456789", sources, "sync") == [b"01234", b"56789"]
    with pytest.raises(AssertionError):
        check_sized(b"0123456789", sources, "sync", skips_by_count)
