"""Cursors and sized skips without I/O: wrong values, seeds, and what a progress shows."""

from __future__ import annotations

import pickle
import re
import threading
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from failover_iter import (
    Bookmark,
    Decide,
    DivergedStream,
    Policy,
    Progress,
    Resume,
    Skip,
    Source,
    failover,
    failover_stream,
)
from support.play import Play, named, show, started

A, B = named("a"), named("b")


def count(cursor: int, _: object) -> int:
    return cursor + 1


STRATEGY = Resume(start=0, advance=count)

# The strategies.


@pytest.mark.parametrize(
    ("strategy", "shown"),
    [
        (Resume(), "Resume()"),
        (Resume(keep=3), "Resume(keep=3)"),
        (Resume(start=None), "Resume(start=None)"),
        (Resume(start="token"), "Resume(start=a str)"),
        (Skip(), "Skip()"),
        (Skip(size=len, key=bytes), f"Skip(key={bytes!r}, size={len!r})"),
        (Decide(len, start=0), f"Decide({len!r}, start=0)"),  # type: ignore[arg-type]
    ],
)
def test_a_strategy_shows_what_it_was_given(strategy: Any, shown: str) -> None:
    """Messages name the strategy, without its defaults; it is a value like any other."""
    assert repr(strategy) == shown
    assert pickle.loads(pickle.dumps(strategy)) == strategy
    assert hash(strategy) == hash(deepcopy(strategy))


def test_a_start_need_not_be_hashable() -> None:
    """A policy is a value, also where its cursor starts with a dict."""
    assert hash(Policy(retry_on=OSError, mid_stream=Resume(start={})))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Resume(advance=3), "Resume(advance=...) must be a function (cursor, item) -> cur"),
        (lambda: Decide(len, advance="x"), "Decide(advance=...) must be a function (cursor, item"),
        (lambda: Skip(size=3), "Skip(size=...) must be a function item -> int, or None, got 3"),
        (
            lambda: Resume(start=threading.Lock()),
            "Resume(start=...) must be a value that copy.deepcopy can copy",
        ),
    ],
)
def test_wrong_arguments_are_refused(build: Any, message: str) -> None:
    """The message names the argument and what is allowed."""
    with pytest.raises(TypeError, match="^" + re.escape(message)):
        build()


def test_a_bookmark_is_a_plain_value() -> None:
    """It can be compared, copied and pickled; without a cursor, it is not one with `None`."""
    assert Bookmark(1) == pickle.loads(pickle.dumps(Bookmark(1))) != Bookmark()
    assert pickle.loads(pickle.dumps(Bookmark())) == Bookmark() != Bookmark(None)


def test_an_empty_progress_has_its_own_memo() -> None:
    """Two of them are equal, and share nothing."""
    one, other = Progress[int](), Progress[int]()
    assert one == other
    assert hash(one) == hash(other)
    assert one.memo is not other.memo
    assert (one.cursor, one.to_replay, one.mode) == (None, 0, None)


# Where an opening begins.


def test_nothing_is_folded_without_an_advance() -> None:
    """A stream without a cursor calls nothing per item, and one by bookmarks keeps the last."""
    assert Play([A], mid_stream="skip").run.delivered.on_item is None
    delivered = Play([A], mid_stream=Resume(start=0)).run.delivered
    assert delivered.on_item == delivered.items.append
    assert not delivered.calls_back


def test_a_restart_goes_back_when_the_fresh_attempt_commits() -> None:
    """Until then, the cursor of the stream stays; the factory sees `start`."""
    play = started([A, B, A], mid_stream=Decide(lambda _: "restart", start=0, advance=count))
    play.deliver("x", "y")
    play.fail()
    assert play.attempt.args[0].cursor == 0
    delivered = play.run.delivered
    assert delivered.cursor is not None
    assert delivered.cursor.value == 2
    play.deliver("z")
    assert delivered.cursor.value == 1
    play.run.release()


def test_a_group_that_takes_over_by_the_outer_restart() -> None:
    """Its resumable sources start over, and the cursor of the stream goes back with them."""
    inner = Policy(retry_on=OSError, mid_stream=STRATEGY).source([A, B])
    play = started([named("first"), inner])
    play.deliver("x", "y")
    play.fail()
    [progress] = play.attempt.args
    assert (progress.cursor, progress.mode, progress.delivered) == (0, "restart", 0)
    play.deliver("x")
    play.fail()
    [progress] = play.attempt.args
    assert (progress.cursor, progress.mode, progress.delivered) == (1, "resume", 1)


# Seeds.


def numbers(size: int, *, progress: Progress[int] = Progress()) -> Iterator[int]:
    yield from range(progress.cursor or 0, size)


def breaks(size: int, *, progress: Progress[int] = Progress()) -> Iterator[int]:
    for number in numbers(size, progress=progress):
        yield number
        raise ConnectionError("reset")


def test_a_decorated_function_has_a_cursor() -> None:
    """It starts where the caller says, and its fallbacks go on from there."""
    read = failover(breaks, numbers, retry_on=OSError, mid_stream=STRATEGY)(breaks)
    assert list(read(5)) == [0, 1, 2, 3, 4]
    assert list(read(5, progress=Progress(delivered=2, cursor=2, total=2))) == [2, 3, 4]
    assert list(read(5, progress=Progress(cursor=3))) == [3, 4]
    assert list(read(3, progress=Progress())) == [0, 1, 2]


def test_a_seed_without_a_cursor_is_refused() -> None:
    """After delivered items, nobody knows where to go on."""
    read = failover(retry_on=OSError, mid_stream=STRATEGY)(numbers)
    with pytest.raises(ValueError, match="must say where to continue after 2 delivered items"):
        read(5, progress=Progress(delivered=2, last=1, total=2))
    unknown = failover(retry_on=OSError, mid_stream=Resume(start=None))(numbers)
    assert list(unknown(2, progress=Progress(delivered=2))) == [0, 1]


def test_a_decorated_function_inside_a_stream() -> None:
    """It goes on from the outer cursor, yields again what is to be dropped, and keeps the memo."""
    inside: list[Progress[int]] = []

    def reads(*, progress: Progress[int] = Progress()) -> Iterator[Any]:
        inside.append(progress)
        for number in range(progress.cursor, 6):
            yield number
            if not progress.failures:
                raise ConnectionError("reset")

    strategy = Resume(start=0, keep=9)
    inner = failover(reads, retry_on=OSError, mid_stream=strategy)(reads)
    seen: list[Progress[int]] = []

    def outer(progress: Progress[int]) -> Any:
        seen.append(progress)
        if len(seen) == 1:
            return iter([0, Bookmark(1), 1, 2])
        return inner(progress=progress)

    got = list(
        failover_stream([outer], retry_on=OSError, attempts=2, mid_stream=strategy, expect_items=6)
    )
    assert got == [0, 1, 2, 3, 4, 5]
    assert (seen[1].cursor, seen[1].delivered, seen[1].to_replay) == (1, 3, 2)
    assert [(each.delivered, each.total, each.to_replay) for each in inside] == [
        (1, 3, 0),  # what the outer stream is still to drop was not delivered by this one
        (2, 4, 1),
    ]
    assert all(each.memo is seen[0].memo for each in inside)


# Skipping by size.


def after(*delivered: Any, **options: Any) -> Play:
    """A stream whose second source replays what the first has delivered."""
    play = started([A, Source(B, name="b")], **options)
    play.deliver(*delivered)
    play.fail()
    return play


@pytest.mark.parametrize(
    ("delivered", "replayed", "rest"),
    [
        ((b"abc", b"de"), (b"a", b"bcdef", b"g"), [b"f", b"g"]),
        ((b"abc",), (b"abc", b"d"), [b"d"]),
        ((b"abc", b""), (b"", b"abcd"), [b"d"]),
        ((b"",), (b"", b"a"), [b"", b"a"]),
        (("añb",), ("a", "ñbc"), ["c"]),
    ],
)
def test_the_item_across_the_seam_is_sliced(
    delivered: tuple[Any, ...], replayed: tuple[Any, ...], rest: list[Any]
) -> None:
    """Only its new part is delivered, whatever the sizes of the pieces are."""
    for key in (None, lambda piece: piece):
        play = after(*delivered, mid_stream=Skip(size=len, key=key))
        before = len(play.delivered)
        play.deliver(*replayed)
        assert play.delivered[before:] == rest


def test_other_content_of_the_same_size_diverges() -> None:
    """The digest covers the content up to the seam, and no more."""
    skip = Skip(size=len, key=bytes)
    play = after(b"abc", b"de", mid_stream=skip)
    assert [play.attempt.receive(item) for item in (b"ab", b"cxe", b"f")][1]
    assert str(play.attempt.diverged) == (
        "b replayed other items than the 5 (in size) that were delivered: their keys differ"
    )
    sliced = after(b"abc", b"de", mid_stream=skip)
    assert sliced.attempt.receive(b"abcdx...")
    assert sliced.attempt.diverged is not None
    assert not sliced.attempt.held


def test_a_sized_replay_that_is_too_short() -> None:
    """The message counts in size."""
    play = after(b"abc", b"de", mid_stream=Skip(size=len))
    play.attempt.receive(b"abcd")
    error = play.attempt.ended_short()
    assert isinstance(error, DivergedStream)
    assert str(error) == "b ended after 4 of the 5 (in size) items that were delivered"
    assert show(play.end()) == "raise DivergedStream"


def test_sizes_in_groups_and_after_a_restart() -> None:
    """The size is the stream's, whatever the level; a restart begins at 0."""
    skip = Skip(size=len)
    inner = Policy(retry_on=OSError, mid_stream=skip).source([B, A])
    play = started([Source(A, mid_stream="restart", attempts=2), inner], mid_stream=skip)
    play.deliver("abc")
    play.fail()
    play.sleep()
    play.deliver("ab")
    play.fail()
    assert play.attempt.to_replay == 2
    play.deliver("abcd")
    play.fail()
    assert play.attempt.to_replay == 4
    assert play.delivered == ["abc", "ab", "cd"]


@pytest.mark.parametrize("size", [-1, 1.5, None, True])
def test_sizes_that_are_none(size: Any) -> None:
    """The function of `size` returns an int of at least 0."""
    with pytest.raises(TypeError, match="the function of size must return an int of at least 0"):
        list(
            failover_stream(
                [lambda: iter("ab")], retry_on=Exception, mid_stream=Skip(size=lambda _: size)
            )
        )


def test_a_size_that_raises_stop_iteration() -> None:
    """It is PEP 479's `RuntimeError`, not the end of the source."""
    skip = Skip(size=lambda item: next(iter(())) if item == "b" else 1)
    stream = failover_stream([lambda: iter("ab")], retry_on=Exception, mid_stream=skip)
    assert next(stream) == "a"
    with pytest.raises(RuntimeError, match="the function of size raised StopIteration"):
        next(stream)


def test_a_key_that_is_not_the_content() -> None:
    """With `size`, a key that depends on the cuts would differ for the same content."""
    play = started([A], mid_stream=Skip(size=len, key=len))
    with pytest.raises(TypeError, match=r"content of a piece, a str or bytes, .* got int$"):
        play.deliver(b"abc")


def test_an_item_that_cannot_be_sliced() -> None:
    """The message says what items may be."""
    play = after({1, 2, 3}, mid_stream=Skip(size=len))
    with pytest.raises(TypeError, match="slices the item across the seam, .* got set$"):
        play.attempt.receive({1, 2, 3, 4})
