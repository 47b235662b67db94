"""The event records: frozen values that travel, all of them public."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import TYPE_CHECKING, Any, get_args

import pytest

from failover_iter import events
from failover_iter.events import (
    Closed,
    Committed,
    Completed,
    Contending,
    Ended,
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
    pass


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
    Ended("a", 1, 2, 0.5, LOST),
]


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
    assert set(get_args(Event)) == {type(record) for record in EXAMPLES} - {Takeover, Ended}


def test_records_begin_alike() -> None:
    """The first fields of each event are source, attempt, item count and time."""
    for cls in get_args(Event):
        assert [field.name for field in fields(cls)][:4] == [
            "source",
            "attempt",
            "delivered",
            "elapsed",
        ]
