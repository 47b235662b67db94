"""The grammar of events: their order, their fields, and the end of a stream."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from failover_iter import EmptyStream, NoSources, Policy, Skip, Source, SourceError, failover_stream
from failover_iter.events import (
    Committed,
    Completed,
    Ended,
    Event,
    Failed,
    Opening,
    Switched,
    Takeover,
    Waiting,
)
from failover_iter.testing import VirtualClock
from support.virtual import virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator


LOST = ConnectionError("lost")

GRAMMAR = re.compile(
    "Opening (Committed )?"
    "(Failed (PassedOver )*(Waiting |Switched )Opening (Committed )?)*"
    "(Failed (PassedOver )*(Exhausted )?|Completed |Closed )"
)


def gives(*items: int, error: Exception | None = None) -> Callable[[], Iterator[int]]:
    def factory() -> Iterator[int]:
        yield from items
        if error is not None:
            raise error

    return factory


def drain(stream: Generator[Any, Any, Any]) -> None:
    for _ in stream:
        pass


def close_at_first(stream: Generator[Any, Any, Any]) -> None:
    next(stream)
    stream.close()


def throw_at_first(stream: Generator[Any, Any, Any]) -> None:
    next(stream)
    stream.throw(KeyError("consumer"))


def raises(*_: object) -> bool:
    raise KeyError("callback")


A = gives(1, 2)
DEAD = gives(error=LOST)
BROKEN = gives(1, error=LOST)
RUNS: list[tuple[list[Any], dict[str, Any], Callable[..., None], str]] = [
    ([A], {}, drain, "Opening Committed Completed"),
    ([gives()], {}, drain, "Opening Completed"),
    ([A], {}, close_at_first, "Opening Committed Closed"),
    ([A], {}, throw_at_first, "Opening Committed Closed"),
    ([DEAD, A], {}, drain, "Opening Failed Switched Opening Committed Completed"),
    (
        [BROKEN, A],
        {},
        drain,
        "Opening Committed Failed Switched Opening Committed Completed",
    ),
    (
        [DEAD],
        {"attempts": 2},
        drain,
        "Opening Failed Waiting Opening Failed Exhausted",
    ),
    ([BROKEN, A], {"mid_stream": "raise"}, drain, "Opening Committed Failed"),
    ([gives(error=KeyError())], {}, drain, "Opening Failed"),
    ([BROKEN], {"commit_when": 2}, drain, "Opening Failed Exhausted"),
    (
        [gives(), A],
        {"allow_empty": False},
        drain,
        "Opening Failed Switched Opening Committed Completed",
    ),
    ([A], {"complete_when": lambda item: item == 3}, drain, "Opening Committed Failed Exhausted"),
    ([A], {"commit_when": raises}, drain, "Opening Closed"),
    ([A], {"complete_when": raises}, drain, "Opening Committed Closed"),
    ([A], {"mid_stream": Skip(key=raises)}, drain, "Opening Committed Closed"),
    ([DEAD], {"attempts": 2, "wait": raises}, drain, "Opening Failed"),
    ([DEAD], {"retry_on": raises}, drain, "Opening Closed"),
    ([DEAD], {"switch_on": raises}, drain, "Opening Closed"),
    (
        [DEAD, A],
        {"attempts": 2, "switch_on": OSError},
        drain,
        "Opening Failed Switched Opening Committed Completed",
    ),
    (
        [BROKEN, Source(A, mid_stream="raise"), A],
        {},
        drain,
        "Opening Committed Failed PassedOver Switched Opening Committed Completed",
    ),
    (
        [Source(BROKEN, mid_stream="raise", attempts=2)],
        {},
        drain,
        "Opening Committed Failed PassedOver Exhausted",
    ),
]


@pytest.mark.parametrize(("factories", "options", "consume", "expected"), RUNS)
def test_the_grammar(
    factories: list[Any],
    options: dict[str, Any],
    consume: Callable[..., None],
    expected: str,
) -> None:
    """Small runs emit the expected events, and all of them follow the grammar."""
    seen: list[Event] = []
    options = {"retry_on": OSError, "on_event": seen.append, **options}
    stream = failover_stream(factories, **options)
    with suppress(OSError, KeyError, SourceError):
        consume(stream)
    told = " ".join(type(event).__name__ for event in seen)
    assert told == expected
    assert GRAMMAR.fullmatch(told + " ")


def test_the_fields_of_the_events() -> None:
    """Source, attempt, counts, errors and modes of a run with a retry, a switch and an end."""
    seen: list[Event] = []
    other = ConnectionError("refused")
    factories = [
        Source(gives(1, 2, error=LOST), name="a", attempts=2),
        Source(gives(error=other), name="b"),
        Source(gives(1, 2, 3), name="c"),
    ]
    policy = Policy(retry_on=OSError, mid_stream="skip", on_event=seen.append)
    assert list(policy.stream(factories)) == [1, 2, 3]
    assert [replace(event, elapsed=0.0) for event in seen] == [
        Opening("a", 1, 0, 0.0),
        Committed("a", 1, 0, 0.0),
        Failed("a", 1, 2, 0.0, LOST, 1, 1, None),
        Waiting("a", 1, 2, 0.0, LOST, 0.0, "skip"),
        Opening("a", 2, 2, 0.0),
        Failed("a", 2, 2, 0.0, LOST, 2, 1, None),
        Switched("a", 2, 2, 0.0, "b", LOST, 0.0, "skip"),
        Opening("b", 1, 2, 0.0),
        Failed("b", 1, 2, 0.0, other, 3, 2, None),
        Switched("b", 1, 2, 0.0, "c", other, 0.0, "skip"),
        Opening("c", 1, 2, 0.0),
        Committed("c", 1, 2, 0.0),
        Completed("c", 1, 3, 0.0),
    ]
    elapsed = [event.elapsed for event in seen]
    assert elapsed == sorted(elapsed)
    assert elapsed[0] >= 0


def test_events_are_emitted_after_the_source_was_closed() -> None:
    """A failed source is closed first, then `Failed` is emitted, then the next one is opened."""
    log: list[str] = []

    def source(name: str, error: Exception | None) -> Iterator[int]:
        log.append(f"open {name}")
        try:
            yield 1
            if error is not None:
                raise error
        finally:
            log.append(f"close {name}")

    def listen(event: Event) -> None:
        log.append(type(event).__name__)

    first, second = (lambda: source("a", LOST)), (lambda: source("b", None))
    list(failover_stream([first, second], retry_on=OSError, on_event=listen))
    assert log == [
        *("Opening", "open a", "Committed", "close a", "Failed", "Switched"),
        *("Opening", "open b", "Committed", "close b", "Completed"),
    ]
    log.clear()
    stream = failover_stream([second], retry_on=OSError, on_event=listen)
    next(stream)
    stream.close()
    assert log[-2:] == ["close b", "Closed"]


def test_the_marker_is_neither_an_event_nor_an_item() -> None:
    """`mark_takeovers=True` yields a `Takeover` with the items to discard. It is not counted."""
    seen: list[Event] = []
    policy = Policy(retry_on=OSError, on_event=seen.append)
    stream = policy.stream([BROKEN, Source(A, name="b")], mark_takeovers=True)
    assert list(stream) == [1, Takeover("restart", "b", LOST, 1), 1, 2]
    assert seen[-1].delivered == 3
    assert not any(isinstance(event, Takeover) for event in seen)


class Listener:
    """Keeps the events, and the end of each stream."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __call__(self, event: Event) -> None:
        self.told.append(event)

    def stream_ended(self, ended: Ended) -> None:
        self.told.append(ended)


def told_by(consume: Callable[..., None], *factories: Any, **options: Any) -> list[Any]:
    """The records that a listener receives of one stream."""
    listener = Listener()
    stream = Policy(**{"retry_on": OSError, "on_event": listener, **options}).stream(factories)
    with suppress(OSError, KeyError, SourceError):
        consume(stream)
    return listener.told


@pytest.mark.parametrize(("factories", "options", "consume", "expected"), RUNS)
def test_the_end_is_told_where_no_event_says_it(
    factories: list[Any],
    options: dict[str, Any],
    consume: Callable[..., None],
    expected: str,
) -> None:
    """`stream_ended` is called once, after the last event, however the stream ended."""
    told = told_by(consume, *factories, **options)
    assert " ".join(type(event).__name__ for event in told) == f"{expected} Ended"
    assert told[-1].stream == told[0].stream
    assert told[-1].elapsed >= told[-2].elapsed


def test_the_end_of_a_stream_says_why() -> None:
    """`Ended.error` is what the stream raises, what ended it from outside, or None."""
    assert told_by(drain, A)[-1].error is None
    assert told_by(drain, BROKEN, A, mid_stream="raise")[-1].error is LOST
    assert type(told_by(close_at_first, A)[-1].error) is GeneratorExit
    assert type(told_by(throw_at_first, A)[-1].error) is KeyError
    assert type(told_by(drain, DEAD, attempts=2, wait=raises)[-1].error) is KeyError
    assert type(told_by(drain, gives(), allow_empty=False)[-1].error) is EmptyStream


def test_a_pause_that_is_interrupted_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event follows `Waiting` then, but `stream_ended` is called."""

    class Interrupted(VirtualClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    listener = Listener()
    with virtual_time(Interrupted()), pytest.raises(KeyboardInterrupt) as caught:
        drain(failover_stream([DEAD], retry_on=OSError, attempts=2, wait=1, on_event=listener))
    assert [type(event) for event in listener.told[-2:]] == [Waiting, Ended]
    assert listener.told[-1].error is caught.value


def test_a_group_has_its_own_end() -> None:
    """Each stream of a `Policy.source` ends before the attempt of the outer one does."""
    listener = Listener()
    inner = Policy(retry_on=OSError, on_event=listener).source([DEAD], name="inner")
    policy = Policy(retry_on=OSError, on_event=listener)
    assert list(policy.stream([inner, A])) == [1, 2]
    names = [type(event).__name__ for event in listener.told]
    assert names == [
        *("Opening", "Opening", "Failed", "Exhausted", "Ended", "Failed", "Switched"),
        *("Opening", "Committed", "Completed", "Ended"),
    ]
    assert listener.told[4].parent == listener.told[0].stream
    assert listener.told[4].error is LOST


@pytest.mark.parametrize(
    ("factories", "consume", "error"),
    [([A], drain, None), ([gives(error=LOST)], drain, LOST), ([A], close_at_first, GeneratorExit)],
)
def test_what_stream_ended_raises_is_raised(
    factories: list[Any], consume: Callable[..., None], error: Any
) -> None:
    """It reaches the consumer, with the error of the stream as its context."""

    class Broken(Listener):
        def stream_ended(self, ended: Ended) -> None:
            raise RuntimeError("listener")

    with pytest.raises(RuntimeError, match="^listener") as caught:
        consume(failover_stream(factories, retry_on=OSError, on_event=Broken()))
    context = caught.value.__context__
    assert context is error or type(context) is error


def test_a_listener_that_raises_replaces_no_interrupt() -> None:
    """What `stream_ended` raises is a note at a KeyboardInterrupt, which goes on."""

    class Broken(Listener):
        def stream_ended(self, ended: Ended) -> None:
            raise RuntimeError("listener")

    interrupt = KeyboardInterrupt()

    def source() -> Iterator[int]:
        yield 1
        raise interrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        drain(failover_stream([source], retry_on=OSError, on_event=Broken()))
    assert caught.value.__notes__ == ["on_event raised RuntimeError: listener"]


def test_a_stream_that_has_opened_nothing_reports_no_end() -> None:
    """Without a source there is nothing to report."""
    listener = Listener()
    with pytest.raises(NoSources):
        list(failover_stream(iter(()), retry_on=OSError, on_event=listener))
    assert listener.told == []
