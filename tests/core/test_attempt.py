"""One attempt without I/O: which items it holds, drops and delivers, and when it commits."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import Committed, Opening, Skip, Source, Takeover
from failover_iter._core.attempt import Attempt
from support.play import Play, named, show, started

A, B = named("a"), named("b")


def first(**options: Any) -> Attempt:
    """The first attempt of a stream."""
    return started([A, B], **options).attempt


def second(*delivered: Any, **options: Any) -> Play:
    """A stream with an attempt that takes over after these items."""
    play = started([Source(A, commit_when=1), B], **options)
    play.deliver(*delivered)
    play.fail()
    return play


def take(attempt: Attempt, *items: Any) -> list[bool]:
    """Receive items; for each, whether the driver stops pulling with it."""
    return [attempt.receive(item) for item in items]


def pop_all(attempt: Attempt) -> list[Any]:
    """All that is held, in the order in which the consumer gets it."""
    items = []
    while attempt.held:
        items.append(attempt.pop_held())
    return items


# Commit.


@pytest.mark.parametrize(
    ("commit_when", "commits"),
    [
        (1, [True]),
        (2, [False, True]),
        (3, [False, False, True]),
        (lambda item: item == "b", [False, True]),
    ],
)
def test_it_commits_with_the_first_item_that_meets_commit_when(
    commit_when: Any, commits: list[bool]
) -> None:
    """A number of items, or a predicate on one, decides when the attempt starts to deliver."""
    assert take(first(commit_when=commit_when), *"abc"[: len(commits)]) == commits


def test_a_predicate_must_return_a_bool() -> None:
    """`commit_when` may not return an awaitable, which would always be true."""

    async def later(item: object) -> bool:
        return False

    with pytest.raises(TypeError, match="^the function of commit_when must return a bool, got an"):
        first(commit_when=lambda item: later(item)).receive("a")


def test_held_items_come_in_their_order() -> None:
    """The marker first, then the items before the commit, then the one that met it."""
    play = second("1", mark_takeovers=True, commit_when=3)
    assert take(play.attempt, "a", "b", "c") == [False, False, True]
    play.run.committed()
    marker, *items = pop_all(play.attempt)
    assert (marker.source, marker.mode, marker.delivered) == ("b", "restart", 1)
    assert items == ["a", "b", "c"]
    assert play.run.delivered.count == 3


def test_a_commit_is_reported_once() -> None:
    """The listener gets `Committed`, and the stream has delivered from then on."""
    events: list[Any] = []
    play = started([A], on_event=events.append)
    assert not play.run.delivered.has_delivered
    play.deliver("a", "b")
    assert [type(event) for event in events] == [Opening, Committed]
    assert play.run.delivered.has_delivered


def test_a_restart_begins_with_the_commit() -> None:
    """The items before a restart count until the attempt that starts over commits."""
    play = second("1", "2", complete_when=bool)
    delivered = play.run.delivered
    take(play.attempt, "a")
    assert (list(delivered.items), delivered.count) == (["2"], 2)
    play.run.committed()
    assert (list(delivered.items), delivered.count) == ([], 0)
    assert pop_all(play.attempt) == ["a"]
    assert (list(delivered.items), delivered.count) == (["a"], 1)


def test_a_takeover_object_of_a_source_is_an_item() -> None:
    """Only the stream itself makes markers: a `Takeover` from a factory commits and counts."""
    item = Takeover("restart", "elsewhere", OSError(), 1)
    play = started([A], commit_when=2)
    play.deliver(item, "a")
    assert (play.delivered, play.run.delivered.count) == ([item, "a"], 2)


# Replay.


def test_as_many_items_are_dropped_as_were_delivered() -> None:
    """Under "skip" the first items are dropped, but they count for `commit_when`."""
    attempt = second("1", "2", mid_stream="skip", commit_when=2).attempt
    assert take(attempt, "1", "2", "3") == [False, False, True]
    assert (attempt.held, attempt.received) == (["3"], 3)


def test_items_with_the_same_keys_are_dropped() -> None:
    """With a key, items that have the keys of what was delivered are a replay of it."""
    attempt = second("1", "2", mid_stream=Skip(key=int)).attempt
    assert take(attempt, "01", "02", "3") == [False, False, True]
    assert attempt.diverged is None


def test_items_with_other_keys_diverge() -> None:
    """A source that replays something else has diverged, once the replay is complete."""
    play = second("1", "2", mid_stream=Skip(key=str))
    attempt = play.attempt
    assert take(attempt, "1", "x") == [False, True]
    assert str(attempt.diverged) == (
        "b replayed other items than the 2 that were delivered: their keys differ"
    )
    assert attempt.held == []


def test_a_replay_that_is_too_short_diverges() -> None:
    """A source that ends before it has replayed all items has diverged, and is not just empty."""
    play = second("1", "2", mid_stream="skip")
    take(play.attempt, "1")
    assert str(play.attempt.ended_short()) == "b ended after 1 of the 2 items that were delivered"
    assert show(play.end()) == "raise DivergedStream"


# The end before the commit.


def test_an_end_delivers_the_held_items() -> None:
    """A clean end commits what is held, and the stream returns the value of the source."""
    play = started([A], commit_when=9)
    play.deliver("a", "b")
    assert play.delivered == []
    assert show(play.end("value")) == "return value"
    assert play.delivered == ["a", "b"]


def test_an_empty_end_commits_nothing() -> None:
    """A source without an item ends without having delivered."""
    play = started([A])
    assert not play.run.source_ended()
    assert not play.run.delivered.has_delivered


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        ((), {}, "a ended without an item"),
        (("a",), {"commit_when": 2}, "a ended before commit_when was met"),
    ],
)
def test_an_end_that_is_a_failure(
    items: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    """With `allow_empty=False`, an attempt that never commits is empty: it discards its items."""
    play = started([A], allow_empty=False, **options)
    play.deliver(*items)
    attempt = play.attempt
    command = play.end()
    assert (show(command), str(command.error)) == ("raise EmptyStream", message)  # type: ignore[union-attr]
    assert attempt.held == []


def test_replayed_items_are_items() -> None:
    """A source that only replays what was delivered is not empty."""
    play = second("1", mid_stream="skip", allow_empty=False)
    take(play.attempt, "1")
    assert show(play.end()) == "return None"


# Values that are sent.


def test_a_value_that_is_sent() -> None:
    """It is refused while items are held, with their number; the marker ignores it."""
    play = second("1", mark_takeovers=True, commit_when=3)
    attempt = play.attempt
    take(attempt, "a", "b", "c")
    play.run.committed()
    attempt.pop_held()
    assert attempt.at_marker
    attempt.pop_held()
    assert not attempt.at_marker
    message = r"^cannot send a str while held items are delivered \(commit_when\): b is ahead by 2$"
    with pytest.raises(TypeError, match=message):
        attempt.check_sent("value")
    pop_all(attempt)
    attempt.check_sent("value")


# Callbacks that look at items.


def raises(*_: object) -> Any:
    raise ConnectionError("callback")


def test_an_error_of_a_callback_passes_through() -> None:
    """Whatever `commit_when` or a key raises leaves `receive` unchanged."""
    with pytest.raises(ConnectionError, match="callback"):
        first(commit_when=raises).receive("a")
    keys = iter(["1"])
    attempt = second("1", mid_stream=Skip(key=lambda item: next(keys, None) or raises())).attempt
    with pytest.raises(ConnectionError, match="callback"):
        attempt.receive("1")
