"""The frozen records: what they have of dataclasses, without being such."""

from __future__ import annotations

import copy
import inspect
import pprint
import sys
from dataclasses import MISSING, FrozenInstanceError, asdict, dataclass, fields, is_dataclass
from typing import Any, cast

import pytest

from failover_iter import Decide, Failed, Policy, Progress, Resume, Skip, Source, Takeover

LOST = ConnectionError("lost")
FAILED = Failed("a", 1, 2, 0.5, LOST, 1, 1, None)
POLICY = Policy(retry_on=OSError, mid_stream="skip", idle_timeout=5)


def opens() -> list[int]:
    return [1]


RECORDS: list[Any] = [
    FAILED,
    POLICY,
    Policy(retry_on=OSError),
    Progress(delivered=2, last="b"),
    Skip(key=str),
    Resume(keep=3),
    Decide(cast("Any", bool), keep=2),
    Source(opens, name="a"),
    Takeover("skip", "b", LOST, 2),
]
each_record = pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)


@each_record
def test_nothing_can_be_set_or_deleted(record: Any) -> None:
    """Neither a field nor anything else, with the error of a frozen dataclass."""
    for name in (fields(record)[0].name, "other"):
        with pytest.raises(FrozenInstanceError, match=f"^cannot assign to field '{name}'$"):
            setattr(record, name, None)
        with pytest.raises(FrozenInstanceError, match=f"^cannot delete field '{name}'$"):
            delattr(record, name)


@each_record
def test_the_fields_are_the_parameters(record: Any) -> None:
    """Names, order, defaults and what is keyword-only are those of the constructor."""
    assert is_dataclass(record)
    parameters = inspect.signature(type(record)).parameters.values()
    assert [(field.name, field.kw_only) for field in fields(record)] == [
        (each.name, each.kind is each.KEYWORD_ONLY) for each in parameters
    ]
    defaults = [
        each.empty if f.default is MISSING else f.default
        for f, each in zip(fields(record), parameters, strict=True)
    ]
    assert defaults == [each.default for each in parameters]
    positional = [field.name for field in fields(record) if not field.kw_only]
    assert type(record).__match_args__ == tuple(positional)


@each_record
def test_copies_are_equal(record: Any) -> None:
    """A shallow copy, and one by way of its fields, is another object of the same value."""
    again = type(record)(**{field.name: getattr(record, field.name) for field in fields(record)})
    for copied in (copy.copy(record), again, record.__replace__()):
        assert copied is not record
        assert copied == record
        assert hash(copied) == hash(record)
        assert repr(copied) == repr(record)


def test_a_deep_copy_copies_what_is_in_it() -> None:
    """As that of a dataclass does."""
    copied = copy.deepcopy(FAILED)
    assert copied.error is not LOST
    assert repr(copied) == repr(FAILED)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace is of Python 3.13")
def test_copy_replace() -> None:
    """`copy.replace` gives a changed copy, checked like a new one."""
    replace: Any = getattr(copy, "replace")  # noqa: B009 (unknown to checkers of Python 3.11)
    assert replace(POLICY, attempts=3).attempts == 3
    with pytest.raises(ValueError, match="^attempts must be an int of at least 1"):
        replace(POLICY, attempts=0)


def test_what_differs_is_not_equal() -> None:
    """In one field, or in the class."""
    assert Failed("b", 1, 2, 0.5, LOST, 1, 1, None) != FAILED
    assert Skip() != Resume()
    assert Skip().__eq__(None) is NotImplemented


def test_a_record_shows_its_fields() -> None:
    """By name, in order; one that holds itself ends there."""
    assert repr(Resume(keep=3)) == "Resume(keep=3)"
    assert pprint.pformat(Skip(key=None)) == "Skip(key=None)"
    held: list[Any] = []
    progress = Progress[Any](last=held)
    held.append(progress)
    assert repr(progress).startswith("Progress(delivered=0, last=[...], items=()")


def test_a_record_can_be_taken_apart() -> None:
    """By `asdict`, and by the positions of a pattern."""
    assert asdict(Decide(cast("Any", bool))) == {"fn": bool, "keep": 0, "key": None}
    match FAILED:
        case Failed("a", attempt, 2, _, error):
            assert (attempt, error) == (1, LOST)
        case _:
            pytest.fail("it did not match")


@dataclass(frozen=True)
class Named(Policy):
    """A user's own policy."""

    title: str = "mine"


@dataclass(frozen=True, slots=True)
class Once(Decide):
    """A user's own strategy."""

    title: str = "once"


def test_a_dataclass_may_be_a_subclass() -> None:
    """It has the fields of both, is checked like its base, and works as that does."""
    named = Named(retry_on=OSError, mid_stream="skip", idle_timeout=5, title="other")
    assert (named.title, named.is_timed, named.is_watching) == ("other", True, True)
    assert copy.copy(named) == named
    assert list(named.stream([opens])) == [1]
    with pytest.raises(ValueError, match="^attempts must be an int of at least 1"):
        Named(retry_on=OSError, attempts=0)
    with pytest.raises(TypeError, match=r"^Decide\(fn\) must be a function Progress -> mode, got"):
        Once(cast("Any", "skip"))


@pytest.mark.parametrize(
    ("options", "is_timed", "is_watching"),
    [
        ({}, False, False),
        ({"mid_stream": "restart"}, False, False),
        ({"mid_stream": "raise", "attempts": 3, "wait": 1.0}, False, False),
        ({"mid_stream": "resume"}, False, True),
        ({"mid_stream": Skip()}, False, True),
        ({"wait": lambda failed: 1}, False, True),
        ({"complete_when": bool}, False, True),
        ({"on_event": print}, False, True),
        ({"first_item_timeout": 1}, True, False),
        ({"idle_timeout": 1}, True, False),
        ({"total_timeout": 1}, False, False),
    ],
)
def test_what_a_stream_asks_of_its_options(
    options: dict[str, Any], is_timed: bool, is_watching: bool
) -> None:
    """Whether items have limits of time and anything looks at them; these are no fields."""
    policy = Policy(retry_on=OSError, **options)
    for each in (policy, copy.copy(policy)):
        assert (each.is_timed, each.is_watching) == (is_timed, is_watching)
    assert "is_" not in repr(policy)
