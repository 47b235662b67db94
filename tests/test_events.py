"""The event records, and the grammar of their order."""

from __future__ import annotations

import pickle
import re
from contextlib import suppress
from dataclasses import FrozenInstanceError, fields, replace
from typing import TYPE_CHECKING, Any, get_args

import pytest

from failover_iter import Policy, Skip, Source, SourceError, events, failover_stream
from failover_iter.events import (
    Closed,
    Committed,
    Completed,
    Contending,
    Event,
    Exhausted,
    Failed,
    Opening,
    PassedOver,
    Superseded,
    Switched,
    Takeover,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

LOST = ConnectionError("lost")
EXAMPLES: list[Any] = [
    Opening("a", 1, 0, 0.0),
    Contending("b", 1, 0, 0.5, 0.5),
    Committed("a", 1, None, 0.5),
    Failed("a", 1, 2, 0.5, LOST, 1, 1, None),
    Completed("a", 1, 2, 0.5),
    Closed("a", 1, 2, 0.5, None),
    Superseded("a", 1, 0, 0.5, "b"),
    Waiting("a", 1, 2, 0.5, LOST, 1.5, "skip"),
    Switched("a", 1, 2, 0.5, "b", LOST, 0.0, None),
    PassedOver("a", 1, 2, 0.5, "mid_stream"),
    Exhausted("a", 1, 2, 0.5, LOST, 3),
    Takeover("restart", "b", LOST, 2),
]
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


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_records_are_frozen_slotted_values(record: Any) -> None:
    """A record cannot be changed, has no dict, and can be copied with changes."""
    with pytest.raises(FrozenInstanceError):
        record.source = "other"
    assert not hasattr(record, "__dict__")
    assert replace(record, source=record.source) == record
    assert replace(record, source="other") != record


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_records_travel(record: Any) -> None:
    """A record keeps all its fields between processes."""
    copied = pickle.loads(pickle.dumps(record))
    assert type(copied) is type(record)
    for field in fields(record):
        value, original = getattr(copied, field.name), getattr(record, field.name)
        assert repr(value) == repr(original)


def test_all_records_are_public_and_in_the_union() -> None:
    """`__all__` names each record, and `Event` is the union of all that listeners receive."""
    names = {type(record).__name__ for record in EXAMPLES}
    assert events.__all__ == sorted({*names, "Event"})
    assert set(get_args(Event)) == {type(record) for record in EXAMPLES} - {Takeover}


def test_records_begin_alike() -> None:
    """The first fields of each event are source, attempt, item count and time."""
    for cls in get_args(Event):
        assert [field.name for field in fields(cls)][:4] == [
            "source",
            "attempt",
            "delivered",
            "elapsed",
        ]


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
