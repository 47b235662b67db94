"""One opening without its I/O: what is held, dropped and judged, and who is to blame."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import (
    Closed,
    Committed,
    DivergedStream,
    EmptyStream,
    Opening,
    Policy,
    ReusedIterator,
    Skip,
    Takeover,
)
from failover_iter._core.attempt import Attempt
from failover_iter._core.commands import Open
from failover_iter.errors import is_usage_error
from support.play import lost, named, run_of

A, B = named("a"), named("b")
MARK = Takeover("restart", "inside", OSError(), 1)


def first(factory: Any = A, **options: Any) -> Attempt:
    """The first attempt of a stream."""
    run = run_of([factory, B], **options)
    command = run.start(lambda: 0.0)
    assert isinstance(command, Open)
    return Attempt(run, command)


def second(*delivered: Any, after: Any = B, **options: Any) -> Attempt:
    """The attempt that takes over once so much was delivered."""
    run = run_of([A, after], **options)
    run.start(lambda: 0.0)
    run.any = run.record.any = True
    for item in delivered:
        run.record.deliver(item)
    command = run.failed(lost(), None, received=True)
    assert isinstance(command, Open)
    return Attempt(run, command)


def take(attempt: Attempt, *items: Any) -> list[bool]:
    """Receive items; for each, whether the attempt commits with it."""
    return [attempt.receive(item) for item in items]


def hand_out(attempt: Attempt) -> list[Any]:
    """All that is held, in the order in which the consumer gets it."""
    items = []
    while attempt.held:
        items.append(attempt.hand_out())
    return items


# From when on it delivers.


@pytest.mark.parametrize(
    ("commit_when", "commits"),
    [
        (1, [True, True, True]),
        (2, [False, True, True]),
        (3, [False, False, True]),
        (lambda item: item == "b", [False, True, False]),
    ],
)
def test_it_commits_with_the_first_item_that_shows_it(commit_when: Any, commits: Any) -> None:
    """A number of items, or a predicate on one, decides from when on the attempt delivers."""
    for count in (1, 2, 3):
        attempt = first(commit_when=commit_when)
        answers = take(attempt, *"abc"[:count])
        assert answers[0] == commits[0]
        assert any(answers) == any(commits[:count])


def test_what_is_held_comes_in_its_order() -> None:
    """The marker first, then what came before the commit, then the item that made it."""
    attempt = second("1", mark_takeovers=True, commit_when=3)
    assert take(attempt, "a", "b", "c") == [False, False, True]
    attempt.commit()
    marker, *items = hand_out(attempt)
    assert (marker.source, marker.mode, marker.delivered) == ("b", "restart", 1)
    assert items == ["a", "b", "c"]


def test_a_commit_is_told_and_remembered() -> None:
    """The core hears of it once, and knows from then on that something was delivered."""
    events: list[Any] = []
    attempt = first(on_event=events.append)
    attempt.opening()
    take(attempt, "a")
    attempt.commit()
    assert [type(event) for event in events] == [Opening, Committed]
    assert attempt.run.any
    assert attempt.run.record.any


def test_a_restart_begins_with_the_commit() -> None:
    """What was delivered counts until the attempt that starts over delivers itself."""
    attempt = second("1", "2", complete_when=bool)
    record = attempt.run.record
    assert list(record.items) == ["2"]
    take(attempt, "a")
    attempt.commit()
    assert list(record.items) == []
    assert hand_out(attempt) == ["a"]
    assert list(record.items) == ["a"]


def test_markers_are_held_with_the_items_and_count_as_none() -> None:
    """A marker from inside commits nothing, is no item of the record, and keeps its place."""
    attempt = first(commit_when=2, on_event=lambda event: None)
    assert take(attempt, MARK, "a", MARK, "b") == [False, False, False, True]
    attempt.commit()
    assert hand_out(attempt) == [MARK, "a", MARK, "b"]
    assert attempt.run.record.count == 2


def test_nothing_is_noted_where_nobody_asks() -> None:
    """Without an option that needs it, an item is handed out and not looked at."""
    attempt = first()
    assert attempt.watch is None
    take(attempt, "a")
    attempt.commit()
    assert hand_out(attempt) == ["a"]
    assert attempt.run.record.count == 0


# What is dropped.


def test_as_many_are_dropped_as_were_delivered() -> None:
    """Under "skip" the first items are dropped, and judged all the same: they are received."""
    attempt = second("1", "2", mid_stream="skip", commit_when=2)
    assert take(attempt, "1", MARK, "2", "3") == [False, False, False, True]
    assert list(attempt.held) == ["3"]
    assert attempt.received == 3


def test_the_same_keys_are_the_same_items() -> None:
    """With a key, what has the keys of what was delivered is dropped in silence."""
    attempt = second("1", "2", mid_stream=Skip(key=int))
    assert take(attempt, "01", "02", "3") == [False, False, True]


def test_other_keys_are_another_sequence() -> None:
    """With a key, a source that replays something else has diverged, when all was replayed."""
    attempt = second("1", "2", mid_stream=Skip(key=str))
    take(attempt, "1")
    message = "^b replayed other items than the 2 that were delivered: their keys differ$"
    with pytest.raises(DivergedStream, match=message) as caught:
        attempt.receive("x")
    assert attempt.is_outage(caught.value)


def test_too_short_for_what_was_delivered() -> None:
    """A source that ends before it has replayed all has diverged, and is not just empty."""
    attempt = second("1", "2", mid_stream="skip")
    take(attempt, "1")
    message = "^b ended after 1 of the 2 items that were delivered$"
    with pytest.raises(DivergedStream, match=message) as caught:
        attempt.finish(None)
    assert attempt.is_outage(caught.value)


# The end before the commit.


def test_the_end_delivers_what_is_held() -> None:
    """A clean end commits what is held, and keeps the value that the source returned."""
    attempt = first(commit_when=9)
    take(attempt, "a", "b")
    attempt.finish("value")
    assert (attempt.ended, attempt.value) == (True, "value")
    assert hand_out(attempt) == ["a", "b"]


@pytest.mark.parametrize("items", [(), (MARK,)])
def test_an_empty_end_commits_nothing(items: tuple[Any, ...]) -> None:
    """A source without an item, or with markers alone, ends without having delivered."""
    attempt = first()
    take(attempt, *items)
    attempt.finish(None)
    assert (attempt.ended, attempt.run.any) == (True, False)


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        ((), {}, "^a ended without an item$"),
        ((MARK,), {}, "^a ended without an item$"),
        (("a",), {"commit_when": 2}, "^a ended before commit_when was met$"),
    ],
)
def test_an_end_that_is_a_failure(
    items: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    """With `allow_empty=False` an attempt that never committed was empty, and has failed."""
    attempt = first(allow_empty=False, **options)
    take(attempt, *items)
    with pytest.raises(EmptyStream, match=message) as caught:
        attempt.finish(None)
    assert attempt.is_outage(caught.value)


def test_replayed_items_are_items() -> None:
    """A source that only replays what was delivered, and commits with that, was not empty."""
    attempt = second("1", mid_stream="skip", allow_empty=False)
    take(attempt, "1")
    attempt.finish(None)
    assert attempt.ended


# Values that are sent.


def test_what_a_sent_value_answers() -> None:
    """It is ignored at a marker and behind the end, and refused while items are held."""
    attempt = second("1", mark_takeovers=True, commit_when=3)
    take(attempt, "a", "b", "c")
    attempt.commit()
    attempt.hand_out()
    assert attempt.takes_no_value()
    attempt.hand_out()
    assert not attempt.takes_no_value()
    message = (
        r"^cannot send 'value' while held items are handed out \(commit_when\): b is ahead by 2$"
    )
    with pytest.raises(TypeError, match=message) as caught:
        attempt.refuse_if_held("value")
    assert not attempt.is_outage(caught.value)
    attempt.held.clear()
    attempt.refuse_if_held("value")
    assert not attempt.takes_no_value()
    attempt.ended = True
    assert attempt.takes_no_value()


# Who is to blame.


def test_what_is_no_exception_is_no_outage() -> None:
    """An error is the source's; what is no `Exception` is nobody's."""
    attempt = first()
    assert attempt.is_outage(lost())
    assert not attempt.is_outage(KeyboardInterrupt())
    assert not attempt.is_outage(GeneratorExit())


def raises(*_: object) -> Any:
    raise ConnectionError("callback")


@pytest.mark.parametrize(
    "step",
    [
        lambda: (first(commit_when=raises), lambda attempt: attempt.receive("a")),
        lambda: (first(mid_stream=Skip(key=raises)), lambda attempt: attempt.watch("a")),
        lambda: (first(on_event=raises), lambda attempt: attempt.opening()),
        lambda: (first(on_event=raises), lambda attempt: attempt.commit()),
    ],
)
def test_the_error_of_a_callback_is_no_outage(step: Any) -> None:
    """What a callback raises is never taken for a failure of the source."""
    attempt, act = step()
    with pytest.raises(ConnectionError, match="callback") as caught:
        act(attempt)
    assert not attempt.is_outage(caught.value)


def test_the_key_of_what_is_dropped_is_no_outage() -> None:
    """A key that raises while items are dropped ends the stream, too."""
    calls: list[object] = []

    def key(item: Any) -> str:
        calls.append(item)
        return str(item) if len(calls) < 2 else raises()  # type: ignore[no-any-return]

    attempt = second("1", mid_stream=Skip(key=key))
    with pytest.raises(ConnectionError, match="callback") as caught:
        attempt.receive("1")
    assert not attempt.is_outage(caught.value)


def test_a_key_that_stops_is_no_end() -> None:
    """A `StopIteration` of the function of key is PEP 479's `RuntimeError`, and no outage."""

    def key(item: Any) -> str:
        raise StopIteration

    attempt = first(mid_stream=Skip(key=key))
    with pytest.raises(RuntimeError, match="^the function of key raised StopIteration$") as caught:
        attempt.watch("a")
    assert not attempt.is_outage(caught.value)


def test_a_generator_that_has_ended_is_a_wrong_use() -> None:
    """A generator that was used before is refused after a failure, and is no outage."""
    first().opened_ended()
    attempt = second()
    with pytest.raises(ReusedIterator) as caught:
        attempt.opened_ended()
    assert is_usage_error(caught.value)
    assert not attempt.is_outage(caught.value)


def test_after_a_callback_the_source_is_to_blame_again() -> None:
    """A callback that went well excuses nothing that comes later."""
    options: dict[str, Any] = {"on_event": lambda event: None, "commit_when": bool}
    attempt = second("1", mid_stream=Skip(key=str), **options)
    attempt.opening()
    take(attempt, "1", "2")
    attempt.commit()
    hand_out(attempt)
    assert attempt.is_outage(lost())


# Closing.


def test_one_error_of_closing_is_given() -> None:
    """The first is given, the others are in its notes."""
    error = OSError("iterator")
    assert first().settle([error, ValueError("iterable")]) is error
    assert error.__notes__ == ["closing a raised ValueError: iterable"]


def test_an_interrupt_while_closing_goes_first() -> None:
    """What is no `Exception` is raised at once, with the others in its notes, and is told."""
    events: list[Any] = []
    attempt = first(on_event=events.append)
    interrupt = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        attempt.settle([OSError("iterator"), interrupt])
    assert caught.value is interrupt
    assert interrupt.__notes__ == ["closing a raised OSError: iterator"]
    assert events == [Closed("a", 1, 0, 0.0, interrupt)]


def test_nothing_is_held_on_to() -> None:
    """An attempt that is over has let go of source, items and core."""
    attempt = second("1", mid_stream=Skip(key=str), commit_when=9)
    take(attempt, "1", "a")
    attempt.release()
    assert (attempt.iterable, attempt.iterator, attempt.key, attempt.watch) == (None,) * 4
    assert not attempt.held
    assert not attempt.__dict__.keys() & {"run", "command", "entry"}


# Streams in streams.


def nested(commit_when: Any = 1, **options: Any) -> Any:
    return Policy(retry_on=OSError, commit_when=commit_when, **options).source([B])


def test_a_stream_inside_drops_and_judges_itself() -> None:
    """What is skipped is dropped inside, and the first item that comes is delivered at once."""
    attempt = second("1", "2", after=nested(mid_stream="skip"), mid_stream="skip", commit_when=2)
    assert (attempt.to_skip, attempt.replayed_inside) == (0, 2)
    assert attempt.receive("3")
    assert attempt.received == 1


@pytest.mark.parametrize(("inside", "around", "commits"), [(2, 2, True), (1, 2, False)])
def test_an_item_is_held_once(inside: int, around: int, commits: bool) -> None:
    """Where stream and stream inside hold by the same rule, it is held inside and not again."""
    assert first(nested(inside), commit_when=around).receive("a") is commits


def test_a_stream_inside_says_who_is_to_blame() -> None:
    """An error that its consumer or a callback has caused is no outage around it either."""
    attempt = first(nested())
    assert attempt.is_outage(lost())
    assert attempt.command.handover is not None
    attempt.command.handover.excused = True
    assert not attempt.is_outage(lost())


def test_a_restart_inside_begins_with_the_item_after_it() -> None:
    """The stream around forgets what was delivered with the first item after a restart inside."""
    attempt = first(nested(), complete_when=bool)
    record, handover = attempt.run.record, attempt.command.handover
    assert handover is not None
    attempt.watch("1")
    handover.restarted = True
    assert list(record.items) == ["1"]
    attempt.watch("a")
    assert (list(record.items), handover.restarted) == (["a"], False)
