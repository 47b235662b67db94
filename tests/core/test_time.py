"""Pauses that are interrupted, and streams whose time is up, in the core."""

from __future__ import annotations

import pytest

from failover_iter._core.commands import Open, Raise, Sleep
from support.play import FIRST_NOTE, A, B, show, started


def test_an_interrupted_pause() -> None:
    """The error that breaks off a pause has the failures before it in its notes."""
    play = started([A], attempts=2, wait=1)
    assert show(play.fail()) == "sleep 1"
    interrupt = KeyboardInterrupt()
    play.run.interrupted(interrupt)
    assert interrupt.__notes__ == [FIRST_NOTE]


def test_the_time_of_the_stream_ends_with_a_failure() -> None:
    """Once `total_timeout` has expired, no other source is opened; the failure is in the notes."""
    play = started([A, B], total_timeout=5)
    play.now = 5.0
    command = play.fail()
    assert isinstance(command, Raise)
    assert str(command.error) == "the stream did not end within 5 s (total_timeout)"
    assert command.error.__notes__ == [FIRST_NOTE]


def test_a_pause_is_cut_to_the_time_of_the_stream() -> None:
    """The driver sleeps for the rest of `total_timeout`, and the stream ends then."""
    play = started([A], total_timeout=5, attempts=9, wait=60)
    play.now = 2.0
    assert show(play.fail()) == "sleep 3"
    assert isinstance(play.sleep(), Raise)


@pytest.mark.parametrize(("pause", "gives_up"), [(0, False), (1, False), (2, True)])
def test_a_pause_longer_than_the_outage_may_last(pause: float, gives_up: bool) -> None:
    """The stream is exhausted at once, without the pause."""
    play = started([A], give_up_after=1.5, attempts=9, wait=pause)
    assert isinstance(play.fail(), Raise) == gives_up


def test_an_outage_is_counted_from_its_first_failure() -> None:
    """It ends when an item is received, however long that took."""
    play = started([A], give_up_after=10, attempts=99)
    outcomes = []
    for when, received in [(50, False), (59, False), (900, True), (910, False), (911, False)]:
        play.now = float(when)
        if received:
            play.deliver("1")
        outcomes.append(type(play.fail()))
        if isinstance(play.command, Sleep):
            play.sleep()
    assert outcomes == [Sleep, Sleep, Sleep, Sleep, Raise]


def test_infinity_is_not_a_limit() -> None:
    """An infinite timeout means none."""
    play = started([A, B], total_timeout=float("inf"), idle_timeout=float("inf"))
    assert isinstance(play.fail(), Open)
