"""The failures of a stream: kept in constant memory, told in notes, gathered in a group."""

from __future__ import annotations

import gc
import re
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from failover_iter import (
    AllSourcesFailed,
    Closed,
    Decide,
    Event,
    Failed,
    Opening,
    Source,
    Switched,
    failover_stream,
)
from failover_iter._core.failures import Failures, add_note, note_close_error
from failover_iter.errors import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def failed(number: int, error: Exception | None = None) -> Failed:
    error = OSError(f"e{number}") if error is None else error
    return Failed("a", number, None, 0.0, error, number, number, None)


def after(count: int, *, keeps_errors: bool = True) -> Failures:
    failures = Failures(keeps_errors=keeps_errors)
    for number in range(1, count + 1):
        failures.add(failed(number))
    return failures


def line(number: int) -> str:
    return f"failure {number} before it: a (attempt {number}): OSError: e{number}"


def numbers(count: int) -> list[int]:
    """Which of so many failures are kept."""
    return [n for n in range(1, count + 1) if n <= 16 or n > count - 16]


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 31, 32, 33, 34, 100])
def test_the_first_and_the_last_16_are_kept(count: int) -> None:
    """Of very many failures the records of both ends are kept in order, and the count of all."""
    failures = after(count)
    assert failures.count == count
    assert [each.failures for each in failures.kept] == numbers(count)


@pytest.mark.parametrize("keeps_errors", [True, False])
@pytest.mark.parametrize("count", [0, 1, 16, 17, 32, 33, 100])
def test_earlier_failures_are_told_in_notes(count: int, keeps_errors: bool) -> None:
    """An error gets a line for each failure before it, in order, and one for those left out."""
    lines = [line(number) for number in numbers(count)]
    if count > 32:
        lines.insert(16, f"({count - 32} more failures, left out here)")
    error = KeyError("last")
    after(count, keeps_errors=keeps_errors).tell(error)
    assert getattr(error, "__notes__", []) == lines


@pytest.mark.parametrize("keeps_errors", [True, False])
@pytest.mark.parametrize("count", [1, 2, 16, 17, 32, 33, 100])
def test_the_last_error_does_not_tell_of_itself(count: int, keeps_errors: bool) -> None:
    """The last failure itself gets the notes of all that came before it, and none of its own."""
    error = OSError(f"e{count}")
    after(count, keeps_errors=keeps_errors).tell(error, but_last=True)
    notes = getattr(error, "__notes__", [])
    lines = [line(number) for number in numbers(count)][:-1]
    assert [note for note in notes if not note.startswith("(")] == lines
    assert (f"({count - 32} more failures, left out here)" in notes) == (count > 32)


def test_errors_are_let_go_where_nobody_asks_for_them() -> None:
    """Where only their text is wanted, no error (and no frame that it holds) is kept alive."""
    failures = Failures(keeps_errors=False)
    error = Unreadable("gone")
    gone = weakref.ref(error)
    failures.add(failed(1, error))
    del error
    gc.collect()
    assert gone() is None
    assert failures.kept == ()


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (1, r"all sources failed \(1 attempts?\)"),
        (3, r"all sources failed \(3 attempts\)"),
        (100, r"all sources failed \(100 attempts, .*\b68\b.* left out\)"),
    ],
)
def test_the_group_holds_the_errors_in_order(count: int, message: str) -> None:
    """The group has the kept errors, and its message says how many attempts there were."""
    failures = after(count)
    group = failures.group()
    assert type(group) is AllSourcesFailed
    assert re.fullmatch(message, group.message)
    assert list(group.exceptions) == [each.error for each in failures.kept]


class Refuses(Exception):
    """An error that takes no notes."""

    def add_note(self, note: str) -> None:
        raise RuntimeError("no notes")


class Unreadable(Exception):
    """An error whose message, comparison and truth cannot be had."""

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
    """A description never fails, also where the error's own `__str__` does."""
    assert describe(error) == text


def test_a_note_is_added_once() -> None:
    """An error object that is raised again and again does not gather the same note twice."""
    error = OSError("singleton")
    for note in ("one", "two", "one"):
        add_note(error, note)
    assert error.__notes__ == ["one", "two"]


def test_an_error_that_refuses_notes_is_still_the_error() -> None:
    """Notes that cannot be added, or notes that are no list, are left out without a word."""
    refuses, odd = Refuses("x"), OSError("y")
    odd.__notes__ = 5  # type: ignore[assignment]
    for error in (refuses, odd):
        add_note(error, "note")
    assert not hasattr(refuses, "__notes__")
    assert odd.__notes__ == 5


def test_an_error_of_closing_becomes_a_note() -> None:
    """That closing the source failed too is told in a note, where it did."""
    error = OSError("lost")
    note_close_error(error, "a", None)
    assert not hasattr(error, "__notes__")
    note_close_error(error, "a", ValueError("bad close"))
    assert error.__notes__ == ["closing a raised ValueError: bad close"]


def test_one_error_object_for_every_failure() -> None:
    """A source that raises the same object each time: it is raised, with each failure told once."""
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


def raises_at(number: int, answer: Any) -> Callable[..., Any]:
    """A callback that fails when it is asked so often."""
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
    """What a callback raises reaches the consumer, with all failures before it in its notes."""
    factories, options = CALLBACKS[callback]
    stream = failover_stream(factories, **{"retry_on": OSError, **options})
    with pytest.raises(LookupError, match="callback|factories") as caught:
        list(stream)
    notes = getattr(caught.value, "__notes__", [])
    assert any(note.endswith("ConnectionError: one") for note in notes)


def test_the_error_of_a_callback_has_the_failure_as_its_context() -> None:
    """What a callback raises about a failure shows that failure, and keeps the ones before it."""
    stream = failover_stream([ONE, TWO], retry_on=OSError, on_event=raises_on(Failed))
    with pytest.raises(LookupError, match="callback") as caught:
        list(stream)
    assert str(caught.value.__context__) == "two"
    assert caught.value.__notes__ == [
        "failure 1 before it: factory (attempt 1): ConnectionError: one"
    ]


def test_a_judge_that_raises_closes_the_attempt() -> None:
    """When `complete_when` raises, the listener is told `Closed` with its error, as the last."""
    events: list[Event] = []
    stream = failover_stream(
        [ONE, lambda: [1]],
        retry_on=OSError,
        complete_when=raises_at(1, answer=True),
        on_event=events.append,
    )
    with pytest.raises(LookupError, match="callback") as caught:
        list(stream)
    assert isinstance(events[-1], Closed)
    assert events[-1].error is caught.value
    assert [type(event) for event in events].count(Closed) == 1


@pytest.mark.parametrize("error", [Unreadable("x"), Refuses("x")])
@pytest.mark.parametrize("on_exhausted", ["last", "group"])
def test_odd_errors_lose_no_failure(error: Exception, on_exhausted: str) -> None:
    """Errors that cannot be shown, compared or noted are delivered like others."""
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
