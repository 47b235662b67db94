"""Errors of closing and errors from outside, and how the core reports them."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import Closed, Failed, Resume
from failover_iter._core.commands import Raise
from support.play import FIRST_NOTE, A, B, lost, show, started


def is_three(item: str) -> bool:
    return item == "3"


def test_a_closing_error_after_the_end() -> None:
    """It is raised, with the failures before it in its notes, and reported as `Closed`."""
    events: list[Any] = []
    play = started([A, B], on_event=events.append)
    play.fail()
    error = OSError("closing")
    assert play.end("value", error) == Raise(error)
    assert error.__notes__ == [FIRST_NOTE]
    assert events[-1] == Closed("b", 1, 0, 0.0, error)


def test_a_closing_error_of_a_failed_source() -> None:
    """It is in the event and in the notes of the failure, and changes nothing else."""
    events: list[Any] = []
    play = started([A, B], on_event=events.append)
    error, closing = lost(), OSError("closing")
    assert show(play.fail(error, closing)) == "open b"
    failed = next(event for event in events if isinstance(event, Failed))
    assert (failed.error, failed.close_error) == (error, closing)
    assert error.__notes__ == ["closing a raised OSError: closing"]


def test_an_end_that_answers_a_throw_is_complete() -> None:
    """`complete_when` is not asked about a source that ended because of the consumer's throw."""
    play = started([A], complete_when=is_three)
    assert show(play.end("value", check_complete=False)) == "return value"


@pytest.mark.parametrize("by_consumer", [True, False])
def test_an_attempt_that_is_ended_from_outside(by_consumer: bool) -> None:
    """The error has the failures in its notes, unless the consumer threw it."""
    events: list[Any] = []
    play = started([A, B], on_event=events.append)
    play.fail()
    error = KeyError("mine")
    assert play.leave(error, OSError("closing"), by_consumer=by_consumer) == Raise(error)
    notes = ["closing b raised OSError: closing", FIRST_NOTE]
    assert error.__notes__ == notes[: 1 if by_consumer else 2]
    assert events[-1] == Closed("b", 1, 0, 0.0, error)


@pytest.mark.parametrize("options", [{}, {"on_event": lambda event: None}])
def test_a_plain_close(options: dict[str, Any]) -> None:
    """`GeneratorExit` gets no notes. A closing error is raised instead, with the failures."""
    leaving, closing = GeneratorExit(), OSError("closing")
    assert started([A], **options).leave(leaving) == Raise(leaving)
    play = started([A, B], **options)
    play.fail()
    assert play.leave(leaving, closing) == Raise(closing)
    assert not hasattr(leaving, "__notes__")
    assert closing.__notes__ == [FIRST_NOTE]


def test_a_released_run_holds_nothing() -> None:
    """When the stream ends, its core lets go of sources, failures and items."""
    play = started([A, B], mid_stream=Resume(keep=None))
    play.fail()
    play.run.release()
    for name in ("_options", "_queue", "_takeovers", "_openings", "delivered", "attempt"):
        assert not hasattr(play.run, name)
    assert play.run._levels == []
