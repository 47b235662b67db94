"""Callbacks that raise or return something wrong, and how the core reports that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import Closed, Committed, Decide, Opening, Skip, Source
from failover_iter._core.commands import Raise
from failover_iter._core.usage import is_usage_error
from support.play import FIRST_NOTE, A, B, C, lost, started


def raises(*_: object) -> Any:
    raise LookupError("callback")


def raises_at(kind: type, error: Exception) -> Any:
    """A listener that raises this error at the events of a kind."""

    def listens(event: object) -> None:
        if isinstance(event, kind):
            raise error

    return listens


def test_a_listener_that_raises_at_closed() -> None:
    """Its error is raised instead of the consumer's; Ctrl-C is raised, with the error as a note."""
    listens = raises_at(Closed, LookupError("listener"))
    for error in (KeyError("mine"), GeneratorExit()):
        with pytest.raises(LookupError, match="^'?listener'?$"):
            started([A], on_event=listens).leave(error, by_consumer=True)
    interrupt = KeyboardInterrupt()
    started([A], on_event=listens).leave(interrupt)
    assert interrupt.__notes__ == ["on_event raised LookupError: listener"]


def test_an_error_at_closed_keeps_the_error_before_it() -> None:
    """The error that ended the attempt is its context; a closing error is in its notes."""
    error, failing = KeyError("mine"), LookupError("listener")
    listens = raises_at(Closed, failing)
    with pytest.raises(LookupError):
        started([A], on_event=listens).leave(error, OSError("closing"), by_consumer=True)
    assert failing.__context__ is error
    assert failing.__notes__ == ["closing a raised OSError: closing"]
    with pytest.raises(LookupError):
        started([A], on_event=listens).leave(failing, by_consumer=True)
    assert failing.__context__ is error


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
    """Its error is raised, with each failure before it in the notes."""
    play = started(factories() if callable(factories) else factories, **options)
    play.fail(ConnectionError("first"))
    play.deliver("1")
    with pytest.raises(LookupError, match="callback") as caught:
        play.fail(ConnectionError("second"))
    notes = caught.value.__notes__
    assert notes[0] == "failure 1 before it: a (attempt 1): ConnectionError: first"
    assert notes[1:] in ([], ["failure 2 before it: b (attempt 1): ConnectionError: second"])


def test_complete_when_raises() -> None:
    """Its error carries the failures and the closing error; the attempt is reported as `Closed`."""
    events: list[Any] = []
    play = started([A, B], complete_when=raises, on_event=events.append)
    play.fail()
    play.deliver("1")
    with pytest.raises(LookupError, match="callback") as caught:
        play.end("value", OSError("closing"))
    assert caught.value.__notes__ == ["closing b raised OSError: closing", FIRST_NOTE]
    assert events[-1] == Closed("b", 1, 1, 0.0, caught.value)
    assert [type(event) for event in events].count(Closed) == 1


@pytest.mark.parametrize("kind", [Opening, Committed])
def test_a_listener_that_raises_before_the_first_item(kind: type) -> None:
    """The attempt is reported as `Closed`, and its error has the failures in its notes."""
    events: list[Any] = []
    error = LookupError("listener")

    def listens(event: Any) -> None:
        events.append(event)
        if isinstance(event, kind) and event.source == "b":
            raise error

    play = started([A, B], on_event=listens)
    with pytest.raises(LookupError):
        play.fail()
        play.deliver("1")
    if kind is Committed:  # the driver has to close the source, and says so
        assert play.leave(error) == Raise(error)
    assert error.__notes__ == [FIRST_NOTE]
    assert events[-1] == Closed("b", 1, 0, 0.0, error)


class Later:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Iterator[Any]:
        yield


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"mid_stream": Decide(lambda progress: "again")},  # type: ignore[arg-type, return-value]
            ValueError,
            "^the function of Decide must return 'restart', 'raise', 'skip' or 'resume', "
            "got 'again'",
        ),
        (
            {"wait": lambda failed: "soon", "attempts": 2},
            TypeError,
            "^the result of the wait function must be seconds .* or a timedelta, got 'soon'",
        ),
        (
            {"wait": lambda failed: -1, "attempts": 2},
            ValueError,
            "^the result of the wait function must be finite and not negative, got -1",
        ),
        (
            {"retry_on": lambda error: Later()},
            TypeError,
            "^the function of retry_on must return a bool, got an awaitable",
        ),
    ],
)
def test_a_callback_with_a_wrong_result(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """A wrong result of a callback is a wrong use that names the option, and ends the stream."""
    play = started([A, B], **options)
    play.deliver("1")
    with pytest.raises(error, match=message) as caught:
        play.fail()
    assert is_usage_error(caught.value)


def test_a_source_that_is_read_too_late() -> None:
    """A lazy source that needs items which were not kept is a wrong use, and says what to do."""
    play = started(iter([A, Source(B, name="late", mid_stream=Skip(key=str))]))
    play.deliver("1")
    message = (
        r"^source 'late' has mid_stream=Skip\(.*\) \(or another option that looks at each item\), "
        "but the items before it were not kept: pass the sources as a list, or set the option"
    )
    with pytest.raises(ValueError, match=message) as caught:
        play.fail()
    assert is_usage_error(caught.value)


def test_the_error_of_a_callback_has_the_failure_as_its_context() -> None:
    """If Python has set no context, it is the failure that the callback was called for."""
    error = lost()
    with pytest.raises(LookupError, match="callback") as caught:
        started([A, B], retry_on=raises).fail(error)
    assert caught.value.__context__ is error
    with pytest.raises(LookupError, match="callback") as caught:
        try:
            raise KeyError("handled")
        except KeyError:
            started([A, B], retry_on=raises).fail(error)
    assert isinstance(caught.value.__context__, KeyError)
