"""The core step by step: what it is told beside the failures, and what it owes then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import (
    Closed,
    Decide,
    Failed,
    NoSources,
    Progress,
    Resume,
    ReusedIterator,
    Skip,
    Source,
    Takeover,
)
from failover_iter._core.commands import Open, Raise
from failover_iter.errors import is_usage_error
from support.play import lost, named, run_of, show, started

A, B, C = (named(name) for name in "abc")


def is_three(item: object) -> bool:
    return item == "3"


def test_no_more_is_read_than_is_needed() -> None:
    """A lazy iterable is pulled once at the start, and once at each failure after it."""
    pulled: list[str] = []

    def factories() -> Iterator[Any]:
        for factory in (A, B, C):
            pulled.append(factory.__name__)
            yield factory

    run = run_of(factories())
    assert pulled == []
    run.start(lambda: 0.0)
    assert pulled == ["a"]
    run.failed(lost(), None, received=False)
    assert pulled == ["a", "b"]


def test_no_source_at_all() -> None:
    """A lazy iterable with nothing in it is `NoSources` when the first item is asked for."""
    with pytest.raises(NoSources, match="^factories gave no source at all$"):
        run_of(iter([])).start(lambda: 0.0)


def test_a_generator_that_has_ended() -> None:
    """Taken for empty at the first opening, and for the same one again after a failure."""
    run = started([A, B])
    run.opened_ended()
    run.failed(lost(), None, received=False)
    with pytest.raises(ReusedIterator, match="^source 'b' gave back a generator that has already"):
        run.opened_ended()


def test_a_progress_tells_how_far_it_is() -> None:
    """Under "resume" an opening gets the count, the last items, the failures and the attempt."""
    run = started([A], mid_stream=Resume(keep=2), attempts=2)
    run.any = run.record.any = True
    for item in "abc":
        run.record.deliver(item)
    error = lost()
    assert show(run.failed(error, None, received=True)) == "sleep 0"
    command = run.slept()
    assert isinstance(command, Open)
    [progress] = command.args
    assert (progress.delivered, progress.last, progress.items) == (3, "c", ("b", "c"))
    assert (progress.total, progress.attempt) == (3, 2)
    assert [failed.error for failed in progress.failures] == [error]


@pytest.mark.parametrize("mark_takeovers", [False, True])
@pytest.mark.parametrize("mode", ["restart", "skip"])
def test_a_takeover_is_announced(mark_takeovers: bool, mode: Any) -> None:
    """With `mark_takeovers`, an opening that takes over has its marker; the first one has none."""
    run = run_of([A, B, C], mid_stream=mode, mark_takeovers=mark_takeovers)
    first = run.start(lambda: 0.0)
    second = run.failed(lost(), None, received=False)
    assert isinstance(first, Open)
    assert isinstance(second, Open)
    assert (first.marker, second.marker) == (None, None)
    run.any = run.record.any = True
    run.record.deliver("1")
    error = lost()
    third = run.failed(error, None, received=True)
    assert isinstance(third, Open)
    count = 1 if mark_takeovers or mode == "skip" else 0
    assert third.marker == (Takeover(mode, "c", error, count) if mark_takeovers else None)


def test_a_seed_is_where_it_starts() -> None:
    """A stream that a caller starts midway takes over from there at once."""
    seed = Progress(delivered=2, last="b", total=2)
    run = run_of([A], mid_stream="resume", seed=seed)
    command = run.start(lambda: 0.0)
    assert isinstance(command, Open)
    assert (command.args[0].delivered, command.args[0].last) == (2, "b")


def test_what_skip_has_to_compare() -> None:
    """An opening that skips gets the key, of `Skip` or of `Decide`; one that does not has none."""
    for mid_stream in (Skip(key=str), Decide(lambda progress: "skip", key=str)):
        run = run_of([A, B], mid_stream=mid_stream)
        first = run.start(lambda: 0.0)
        run.any = run.record.any = True
        run.record.deliver("1")
        second = run.failed(lost(), None, received=True)
        assert isinstance(first, Open)
        assert isinstance(second, Open)
        assert (first.skip, first.key, second.skip, second.key) == (0, None, 1, str)


# Errors on the way.


def test_an_error_of_closing_after_the_end() -> None:
    """It is the consumer's, with the failures before it in its notes, and `Closed` is told."""
    events: list[Any] = []
    run = started([A, B], on_event=events.append)
    run.failed(lost(), None, received=False)
    error = OSError("closing")
    answer = run.ended("value", error, received=True, judged=True)
    assert isinstance(answer, Raise)
    assert answer.error is error
    assert error.__notes__ == ["failure 1 before it: a (attempt 1): ConnectionError: lost"]
    assert events[-1] == Closed("b", 1, 0, 0.0, error)


def test_an_error_of_closing_a_failed_source() -> None:
    """It is told in the event and in the notes of the failure, and changes nothing else."""
    events: list[Any] = []
    run = started([A, B], on_event=events.append)
    error, closing = lost(), OSError("closing")
    assert isinstance(run.failed(error, closing, received=False), Open)
    failed = next(event for event in events if isinstance(event, Failed))
    assert (failed.error, failed.close_error) == (error, closing)
    assert error.__notes__ == ["closing a raised OSError: closing"]


def test_an_end_that_is_not_judged() -> None:
    """What ended because the consumer threw into it is complete, whatever `complete_when` says."""
    run = started([A], complete_when=is_three)
    assert show(run.ended("value", None, received=True, judged=False)) == "return value"


@pytest.mark.parametrize("theirs", [True, False])
def test_what_ends_an_attempt_from_outside(theirs: bool) -> None:
    """An error on its way gets the failures as notes, unless the consumer threw it; and is told."""
    events: list[Any] = []
    run = started([A, B], on_event=events.append)
    run.failed(lost(), None, received=False)
    error = KeyError("mine")
    run.closed(error, OSError("closing"), theirs=theirs)
    assert error.__notes__ == ["closing b raised OSError: closing"] + [
        "failure 1 before it: a (attempt 1): ConnectionError: lost"
    ] * (not theirs)
    assert events[-1] == Closed("b", 1, 0, 0.0, error)


def test_a_plain_close_is_told_without_notes() -> None:
    """`GeneratorExit` is shared by nobody, and takes no notes; without a listener none is asked."""
    for options in ({}, {"on_event": lambda event: None}):
        run = started([A], **options)
        leaving = GeneratorExit()
        run.closed(leaving, OSError("closing"), theirs=True)
        assert not hasattr(leaving, "__notes__")


def test_a_listener_that_raises_at_the_end_from_outside() -> None:
    """Its error is the consumer's, but never in the place of Ctrl-C: then it is a note of that."""

    def listens(event: object) -> None:
        if isinstance(event, Closed):
            raise LookupError("listener")

    for error in (KeyError("mine"), GeneratorExit()):
        with pytest.raises(LookupError, match="^'?listener'?$"):
            started([A], on_event=listens).closed(error, None, theirs=True)
    interrupt = KeyboardInterrupt()
    started([A], on_event=listens).closed(interrupt, None, theirs=False)
    assert interrupt.__notes__ == ["on_event raised LookupError: listener"]


def raises(*_: object) -> Any:
    raise LookupError("callback")


def lazily() -> Iterator[Any]:
    yield from (A, B)
    raises()


@pytest.mark.parametrize(
    ("factories", "options"),
    [
        ([A, B], {"retry_on": lambda error: "first" in str(error) or raises()}),
        ([A, Source(B, attempts=2, wait=raises)], {}),
        ([A, B, C], {"mid_stream": Decide(raises)}),
        (lazily, {}),
    ],
)
def test_a_callback_that_raises(factories: Any, options: dict[str, Any]) -> None:
    """What it raises goes on with each failure before it in its notes."""
    run = started(factories() if callable(factories) else factories, **options)
    run.failed(ConnectionError("first"), None, received=False)
    run.any = run.record.any = True
    with pytest.raises(LookupError, match="callback") as caught:
        run.failed(ConnectionError("second"), None, received=True)
    notes = caught.value.__notes__
    assert notes[0] == "failure 1 before it: a (attempt 1): ConnectionError: first"
    assert notes[1:] in ([], ["failure 2 before it: b (attempt 1): ConnectionError: second"])


def test_a_predicate_on_the_last_item_that_raises() -> None:
    """What `complete_when` raises carries the failures before it, and `Closed` is told of it."""
    events: list[Any] = []
    run = started([A, B], complete_when=raises, on_event=events.append)
    run.failed(lost(), None, received=False)
    run.record.deliver("1")
    with pytest.raises(LookupError, match="callback") as caught:
        run.ended("value", OSError("closing"), received=True, judged=True)
    assert caught.value.__notes__ == [
        "closing b raised OSError: closing",
        "failure 1 before it: a (attempt 1): ConnectionError: lost",
    ]
    assert events[-1] == Closed("b", 1, 1, 0.0, caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"mid_stream": Decide(lambda progress: "again")},  # type: ignore[arg-type, return-value]
            ValueError,
            "^the function of Decide must give 'restart', 'raise', 'skip' or 'resume', got 'again'",
        ),
        (
            {"wait": lambda failed: "soon", "attempts": 2},
            TypeError,
            "^what the function of wait gives must be seconds .* or a timedelta, got 'soon'",
        ),
        (
            {"wait": lambda failed: -1, "attempts": 2},
            ValueError,
            "^what the function of wait gives must be finite and not negative, got -1",
        ),
        (
            {"retry_on": lambda error: Later()},
            TypeError,
            "^the function of retry_on must return a bool, got an awaitable",
        ),
    ],
)
def test_a_callback_that_gives_what_is_no_answer(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """A wrong answer of a callback is a wrong use that names it, and ends the stream."""
    run = started([A, B], **options)
    run.any = run.record.any = True
    with pytest.raises(error, match=message) as caught:
        run.failed(lost(), None, received=True)
    assert is_usage_error(caught.value)


class Later:
    """Something to await, that is no coroutine."""

    def __await__(self) -> Iterator[Any]:
        yield


def test_what_is_read_too_late() -> None:
    """A lazy source that needs what was not recorded is a wrong use that says what to do."""
    run = started(iter([A, Source(B, name="late", mid_stream=Skip(key=str))]))
    run.any = run.record.any = True
    message = (
        r"^source 'late' has mid_stream=Skip\(.*\) \(or another option that looks at each item\), "
        "but the items before it were not recorded: give the sources as a list, or set the option"
    )
    with pytest.raises(ValueError, match=message) as caught:
        run.failed(lost(), None, received=True)
    assert is_usage_error(caught.value)


def test_an_error_holds_nothing_of_the_stream() -> None:
    """When the stream is over, its core has let go of sources, failures and items."""
    run = started([A, B], mid_stream=Resume(keep=None))
    run.failed(lost(), None, received=False)
    run.finish()
    for name in ("_options", "_sources", "record"):
        assert not hasattr(run, name)
    assert (run._error, run._handover, run._failures.count) == (None, None, 0)


def test_an_interrupted_pause_tells_of_the_failures() -> None:
    """What breaks off a pause goes on with the failures before it in its notes."""
    run = started([A], attempts=2, wait=1)
    assert show(run.failed(lost(), None, received=False)) == "sleep 1"
    interrupt = KeyboardInterrupt()
    run.interrupted(interrupt)
    assert interrupt.__notes__ == ["failure 1 before it: a (attempt 1): ConnectionError: lost"]


def test_what_a_callback_raises_has_the_failure_as_its_context() -> None:
    """Where Python knows of none, the failure that was being handled is the context."""
    run = started([A, B], retry_on=raises)
    error = lost()
    with pytest.raises(LookupError, match="callback") as caught:
        run.failed(error, None, received=False)
    assert caught.value.__context__ is error
    run = started([A, B], retry_on=raises)
    with pytest.raises(LookupError, match="callback") as caught:
        try:
            raise KeyError("handled")
        except KeyError:
            run.failed(error, None, received=False)
    assert isinstance(caught.value.__context__, KeyError)


def test_what_a_listener_raises_at_the_end_keeps_what_ended_it() -> None:
    """The error that ended the attempt is its context, and an error of closing is in its notes."""

    def listens(event: object) -> None:
        if isinstance(event, Closed):
            raise failing

    error, failing = KeyError("mine"), LookupError("listener")
    with pytest.raises(LookupError):
        started([A], on_event=listens).closed(error, OSError("closing"), theirs=True)
    assert failing.__context__ is error
    assert failing.__notes__ == ["closing a raised OSError: closing"]
    with pytest.raises(LookupError):
        started([A], on_event=listens).closed(failing, None, theirs=True)
    assert failing.__context__ is error


def test_an_error_of_closing_for_a_closing_consumer() -> None:
    """With a plain close the error of closing is what arrives: it tells of the failures."""
    run = started([A, B])
    run.failed(lost(), None, received=False)
    closing = OSError("closing")
    run.closed(GeneratorExit(), closing, theirs=False)
    assert closing.__notes__ == ["failure 1 before it: a (attempt 1): ConnectionError: lost"]


def test_keys_of_what_a_caller_delivered_are_not_known() -> None:
    """A stream that a caller starts midway replays by count alone, until it starts over."""
    way = Decide(lambda progress: "skip", key=str)
    run = run_of([A, B], mid_stream=way, seed=Progress(delivered=1, last="1", total=1))
    run.start(lambda: 0.0)
    run.any = True
    command = run.failed(lost(), None, received=False)
    assert isinstance(command, Open)
    assert (command.skip, command.key) == (1, None)
