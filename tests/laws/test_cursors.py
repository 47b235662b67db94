"""The cursor of a stream agrees with a naive fold beside it; mutants with one bug each are killed.

One table runs on the blocking driver, on asyncio and on trio.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
