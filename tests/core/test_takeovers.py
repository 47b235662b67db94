"""An attempt that takes over: its progress, its marker, its key."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import Decide, Policy, Progress, Resume, Skip, Takeover
from support.play import A, B, C, D, lost, show, started


def test_a_progress_says_how_far_the_stream_is() -> None:
    """Under "resume" a factory gets the count, the last items, the failures and the attempt."""
    play = started([A], mid_stream=Resume(keep=2), attempts=2)
    play.deliver("a", "b", "c")
    error = lost()
    assert show(play.fail(error)) == "sleep 0"
    play.sleep()
    [progress] = play.attempt.args
    assert (progress.delivered, progress.last, progress.items) == (3, "c", ("b", "c"))
    assert (progress.total, progress.attempt) == (3, 2)
    assert [failed.error for failed in progress.failures] == [error]


@pytest.mark.parametrize("on_exhausted", ["last", "group"])
def test_one_error_object_is_as_many_failures(on_exhausted: Any) -> None:
    """Sources may share an error: `Progress.failures` has each failure, in a group too."""
    error = lost()
    policy = Policy(retry_on=Exception, mid_stream="resume", on_exhausted=on_exhausted)
    for sources in ([A, B, C, D], [A, policy.source([B, C]), D]):
        play = started(sources, mid_stream="resume", retry_on=Exception, on_exhausted=on_exhausted)
        for _ in range(3):
            play.fail(error)
        [progress] = play.attempt.args
        assert [failed.source for failed in progress.failures] == ["a", "b", "c"]
        assert [failed.error for failed in progress.failures] == [error] * 3


@pytest.mark.parametrize("mark_takeovers", [False, True])
@pytest.mark.parametrize("mode", ["restart", "skip"])
def test_a_takeover_is_marked(mark_takeovers: bool, mode: Any) -> None:
    """With `mark_takeovers`, an attempt that takes over has a marker; an earlier one has none."""
    play = started([A, B, C], mid_stream=mode, mark_takeovers=mark_takeovers)
    assert play.attempt.marker is None
    play.fail()
    assert play.attempt.marker is None
    play.deliver("1")
    error = lost()
    play.fail(error)
    assert play.attempt.marker == (Takeover(mode, "c", error, 1) if mark_takeovers else None)


def test_a_seed_is_the_start() -> None:
    """A stream with a seed takes over at its first opening, from where the seed says."""
    seed = Progress(delivered=2, last="b", total=2)
    [progress] = started([A], mid_stream="resume", seed=seed).attempt.args
    assert (progress.delivered, progress.last) == (2, "b")


@pytest.mark.parametrize("mode", [Skip(key=str), Decide(lambda progress: "skip", key=str)])
def test_an_attempt_that_skips_has_the_key(mode: Any) -> None:
    """The key of `Skip` or `Decide` is that of the attempt that skips, and of no other."""
    play = started([A, B], mid_stream=mode)
    assert (play.attempt.to_replay, play.key) == (0, None)
    play.deliver("1")
    play.fail()
    assert (play.attempt.to_replay, play.key) == (1, str)


def test_no_key_is_compared_for_the_items_of_a_seed() -> None:
    """A stream with a seed replays by count alone, until it starts over."""
    mode = Decide(lambda progress: "skip", key=str)
    play = started([A, B], mid_stream=mode, seed=Progress(delivered=1, last="1", total=1))
    play.fail()
    assert (play.attempt.to_replay, play.key) == (1, None)
