"""The failures of a stream: kept in constant memory, added to notes, collected in a group."""

from __future__ import annotations

import gc
import pickle
import re
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from failover_iter import (
    AllSourcesFailed,
    Decide,
    Failed,
    Opening,
    Source,
    Switched,
    failover_stream,
)
from failover_iter._core.failures import Failures, FailuresSoFar, failure_line, line_of
from failover_iter._core.notes import (
    add_note,
    leaked,
    note_close_error,
    raise_unchanged,
    set_context,
)
from failover_iter.errors import describe
from support.play import named, started


def failed(number: int, error: Exception | None = None) -> Failed:
    error = OSError(f"e{number}") if error is None else error
    return Failed("a", number, 0, 0.0, error, number, number, None)


def after(total: int, *, as_text: bool = False) -> Failures:
    failures = Failures()
    for number in range(1, total + 1):
        each = failed(number)
        failures.add(line_of(each) if as_text else each)
    return failures


def line(number: int) -> str:
    return f"failure {number} before it: a (attempt {number}): OSError: e{number}"


def numbers(total: int) -> list[int]:
    """Which of so many failures are kept."""
    return [n for n in range(1, total + 1) if n <= 16 or n > total - 16]


@pytest.mark.parametrize("total", [0, 1, 2, 16, 17, 31, 32, 33, 34, 100])
def test_the_first_and_the_last_16_are_kept(total: int) -> None:
    """Of very many failures both ends are kept in order, and the count of all."""
    failures = after(total)
    assert failures.count == total
    assert [each.failures for _, each in failures.numbered()] == numbers(total)
    assert [number for number, _ in failures.numbered()] == numbers(total)


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("total", [0, 1, 16, 17, 32, 33, 100])
def test_earlier_failures_are_in_the_notes(total: int, as_text: bool) -> None:
    """An error gets a line for each failure before it, in order, and one for those left out."""
    lines = [line(number) for number in numbers(total)]
    if total > 32:
        lines.insert(16, f"({total - 32} more failures, left out here)")
    error = KeyError("last")
    after(total, as_text=as_text).add_notes_to(error)
    assert getattr(error, "__notes__", []) == lines


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("total", [1, 2, 16, 17, 32, 33, 100])
def test_the_last_error_is_not_in_its_own_notes(total: int, as_text: bool) -> None:
    """The last failure gets the notes of all failures before it."""
    error = OSError(f"e{total}")
    after(total, as_text=as_text).add_notes_to(error, but_last=True)
    notes = getattr(error, "__notes__", [])
    lines = [line(number) for number in numbers(total)][:-1]
    assert [note for note in notes if not note.startswith("(")] == lines
    assert (f"({total - 32} more failures, left out here)" in notes) == (total > 32)


@pytest.mark.parametrize("on_exhausted", ["last", "group"])
def test_errors_are_let_go_unless_they_are_asked_for(on_exhausted: Any) -> None:
    """If only their text is needed, no error, and no frame that it holds, is kept alive."""
    error = ConnectionError("gone")
    gone = weakref.ref(Holder.on(error))
    play = started([named(name) for name in "abc"], on_exhausted=on_exhausted)
    play.fail(error)
    del error
    gc.collect()
    assert (gone() is None) == (on_exhausted == "last")


class Holder:
    """Something that lives as long as an error."""

    @classmethod
    def on(cls, error: BaseException) -> Holder:
        holder = error.__dict__["holder"] = cls()
        return holder


@pytest.mark.parametrize(
    ("total", "message"),
    [
        (1, r"all sources failed \(1 attempts?\)"),
        (3, r"all sources failed \(3 attempts\)"),
        (100, r"all sources failed \(100 attempts, .*\b68\b.* left out\)"),
    ],
)
def test_the_group_holds_the_errors_in_order(total: int, message: str) -> None:
    """The group has the kept errors, and its message says how many attempts there were."""
    failures = after(total)
    group = failures.group()
    assert type(group) is AllSourcesFailed
    assert re.fullmatch(message, group.message)
    assert list(group.exceptions) == [each.error for _, each in failures.numbered()]


@pytest.mark.parametrize("total", [0, 1, 32, 33, 100])
def test_the_failures_so_far_are_a_sequence(total: int) -> None:
    """`Progress.failures` shows the failures before an attempt, also after more of them."""
    failures = after(total)
    shown = FailuresSoFar(failures)
    expected = [each for _, each in failures.numbered()]
    assert (list(shown), len(shown), shown[:2]) == (expected, len(expected), expected[:2])
    assert shown == tuple(expected)
    assert shown == expected
    assert shown != 5
    assert (hash(shown), repr(shown)) == (hash(tuple(expected)), repr(tuple(expected)))
    assert len(pickle.loads(pickle.dumps(shown))) == len(expected)
    failures.add(failed(total + 1))
    assert [each.failures for each in shown] == [n for n in numbers(total + 1) if n <= total]


def test_a_failure_as_a_line() -> None:
    """Source, attempt, number and error are in it."""
    assert line_of(failed(2)) == failure_line("a", 2, 2, OSError("e2")) == line(2)


class Refuses(Exception):
    """An error that does not take notes: writing any attribute raises."""

    def add_note(self, note: str) -> None:
        raise RuntimeError("no notes")

    def __setattr__(self, name: str, value: object) -> None:
        raise RuntimeError("read-only")


@dataclass(frozen=True)
class ApiError(Exception):
    """An error that is a frozen dataclass."""

    status: int


class Unreadable(Exception):
    """An error whose message, comparison and truth value raise."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")

    __hash__ = Exception.__hash__


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("wrong"), "ValueError: wrong"),
        (ValueError(), "ValueError"),
        (KeyError("k"), "KeyError: 'k'"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (Unreadable("x"), "Unreadable: (its message cannot be shown)"),
    ],
)
def test_an_error_is_described_by_type_and_message(error: BaseException, text: str) -> None:
    """A description never fails, even if the error's own `__str__` does."""
    assert describe(error) == text


def test_a_note_is_added_once() -> None:
    """An error object that is raised again and again does not get the same note twice."""
    error = OSError("singleton")
    for note in ("one", "two", "one"):
        add_note(error, note)
    assert error.__notes__ == ["one", "two"]


def test_an_error_that_many_streams_share_has_few_notes() -> None:
    """The error of a closed pool, say, ends many streams: its notes are bounded."""
    shared, numbers = ConnectionError("pool is closed"), count()

    def fails() -> Iterator[int]:
        raise ConnectionError(f"request {next(numbers)} failed")
        yield

    def closed() -> Iterator[int]:
        raise shared
        yield

    for _ in range(100):
        with pytest.raises(ConnectionError) as caught:
            list(failover_stream([fails, closed], retry_on=ConnectionError))
        assert caught.value is shared
    assert len(shared.__notes__) == 64


@pytest.mark.parametrize("error", [Refuses("x"), ApiError(503)])
def test_an_error_that_cannot_be_written(error: Exception) -> None:
    """Its notes and context are written all the same, past its own `__setattr__`."""
    context = KeyError()
    add_note(error, "note")
    set_context(error, context)
    assert (error.__notes__, error.__context__) == (["note"], context)
    try:
        raise LookupError("of the consumer")
    except LookupError:
        with pytest.raises(type(error)) as caught:
            raise_unchanged(error)
    assert caught.value.__context__ is context


class NoList:
    """Notes that cannot be read."""

    def __len__(self) -> int:
        raise RuntimeError("no length")


@pytest.mark.parametrize("notes", [5, NoList(), ()])
def test_notes_that_are_not_a_list_are_left_alone(notes: Any) -> None:
    """An error that has something else for notes is still the error."""
    error = OSError("y")
    error.__notes__ = notes
    add_note(error, "note")
    assert error.__notes__ is notes


def test_a_closing_error_becomes_a_note() -> None:
    """If closing the source failed too, the failure has a note of that."""
    error = OSError("lost")
    note_close_error(error, "a", None)
    assert not hasattr(error, "__notes__")
    note_close_error(error, "a", ValueError("bad close"))
    assert error.__notes__ == ["closing a raised ValueError: bad close"]


def test_a_context_never_leads_back_to_its_error() -> None:
    """The context is set unless that closes a circle; an old circle is followed once around."""
    error, one, two = OSError("error"), KeyError("one"), KeyError("two")
    one.__context__ = two
    set_context(error, one)
    assert error.__context__ is one
    set_context(two, error)
    assert two.__context__ is None
    set_context(error, error)
    assert error.__context__ is one
    BaseException.__setattr__(two, "__context__", one)
    BaseException.__setattr__(error, "__context__", None)
    set_context(error, one)
    assert error.__context__ is one


def test_a_leaked_stop_is_pep_479() -> None:
    """It becomes the `RuntimeError` that Python makes of it, with the stop as its cause."""
    stop = StopIteration(5)
    error = leaked(stop, "generator")
    assert str(error) == "generator raised StopIteration"
    assert error.__cause__ is error.__context__ is stop


def test_one_error_object_for_every_failure() -> None:
    """A source may raise the same object each time: each failure is in its notes once."""
    error = OSError("singleton")

    def dead() -> Iterator[int]:
        raise error
        yield

    for _ in range(2):
        with pytest.raises(OSError, match="singleton") as caught:
            list(failover_stream([dead], retry_on=OSError, attempts=3))
        assert caught.value is error
    assert error.__notes__ == [
        "failure 1 before it: dead (attempt 1): OSError: singleton",
        "failure 2 before it: dead (attempt 2): OSError: singleton",
    ]


# Callbacks that raise.


def raises_at(number: int, answer: Any) -> Callable[..., Any]:
    """A callback that fails at the call with this number."""
    calls: list[object] = []

    def callback(*_: object) -> Any:
        calls.append(callback)
        if len(calls) == number:
            raise LookupError("callback")
        return answer

    return callback


def raises_on(kind: type) -> Callable[[object], None]:
    """A listener that fails at the second event of a kind."""
    raises = raises_at(2, None)
    return lambda event: raises() if isinstance(event, kind) else None


def lazily(*factories: Any) -> Iterator[Any]:
    yield from factories
    raise LookupError("factories")


def fails(name: str, *items: int) -> Callable[..., Iterator[int]]:
    def factory(*_: object) -> Iterator[int]:
        yield from items
        raise ConnectionError(name)

    return factory


ONE, TWO = fails("one", 1), fails("two", 2)
CALLBACKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "retry_on": ([ONE, TWO], {"retry_on": raises_at(2, answer=True)}),
    "wait": ([Source(ONE, attempts=2), Source(TWO, attempts=2)], {"wait": raises_at(2, 0)}),
    "Decide": ([ONE, TWO, ONE], {"mid_stream": Decide(raises_at(2, "restart"))}),
    "on_event, Failed": ([ONE, TWO], {"on_event": raises_on(Failed)}),
    "on_event, Switched": ([ONE, TWO, ONE], {"on_event": raises_on(Switched)}),
    "on_event, Opening": ([ONE, TWO], {"on_event": raises_on(Opening)}),
    "commit_when": ([ONE, TWO], {"commit_when": raises_at(2, answer=True)}),
    "complete_when": ([ONE, lambda: [1]], {"complete_when": raises_at(1, answer=True)}),
    "factories": (lazily(ONE, TWO), {}),
}


@pytest.mark.parametrize("callback", CALLBACKS)
def test_the_error_of_a_callback_hides_no_failure(callback: str) -> None:
    """The error of a callback reaches the consumer, with all failures before it in its notes."""
    factories, options = CALLBACKS[callback]
    stream = failover_stream(factories, **{"retry_on": OSError, **options})
    with pytest.raises(LookupError, match="callback|factories") as caught:
        list(stream)
    notes = getattr(caught.value, "__notes__", [])
    assert any(note.endswith("ConnectionError: one") for note in notes)


def test_the_error_of_a_callback_has_the_failure_as_its_context() -> None:
    """The error of a callback has the failure as its context, and the ones before in its notes."""
    stream = failover_stream([ONE, TWO], retry_on=OSError, on_event=raises_on(Failed))
    with pytest.raises(LookupError, match="callback") as caught:
        list(stream)
    assert str(caught.value.__context__) == "two"
    assert caught.value.__notes__ == [
        "failure 1 before it: factory (attempt 1): ConnectionError: one"
    ]


@pytest.mark.parametrize("error", [Unreadable("x"), Refuses("x"), ApiError(503)])
@pytest.mark.parametrize("on_exhausted", ["last", "group"])
def test_odd_errors_lose_no_failure(error: Exception, on_exhausted: str) -> None:
    """Errors that cannot be shown, compared or written are raised like others."""
    lost: list[Exception] = [ConnectionError("first"), error]

    def first() -> Iterator[int]:
        raise lost[0]
        yield

    def second() -> Iterator[int]:
        raise lost[1]
        yield

    options = {"on_exhausted": on_exhausted}
    with pytest.raises(Exception) as caught:
        list(failover_stream([first, second], retry_on=Exception, **options))  # type: ignore[call-overload]
    if on_exhausted == "last":
        assert caught.value is error
    else:
        assert isinstance(caught.value, AllSourcesFailed)
        assert [id(each) for each in caught.value.exceptions] == [id(each) for each in lost]
