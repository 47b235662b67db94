"""The exceptions: their tree, pickling, and which of them report incorrect use."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

from failover_iter import errors
from failover_iter._core.usage import is_usage_error, mark_usage_error
from failover_iter.errors import (
    AllSourcesFailed,
    DivergedStream,
    EmptyStream,
    FailoverError,
    NoSources,
    ReusedIterator,
    SourceError,
    TruncatedStream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = [
    FailoverError,
    NoSources,
    SourceError,
    TruncatedStream,
    EmptyStream,
    DivergedStream,
    ReusedIterator,
]


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (FailoverError, (Exception,)),
        (NoSources, (FailoverError, ValueError)),
        (AllSourcesFailed, (FailoverError, ExceptionGroup)),
        (SourceError, (FailoverError,)),
        (TruncatedStream, (SourceError,)),
        (EmptyStream, (SourceError,)),
        (DivergedStream, (SourceError,)),
        (ReusedIterator, (FailoverError, TypeError)),
    ],
)
def test_the_tree(error: type[Exception], bases: tuple[type, ...]) -> None:
    """Existing `except` clauses (ValueError, TypeError, ExceptionGroup) catch what they should."""
    assert all(issubclass(error, base) for base in bases)
    assert issubclass(error, SourceError) == (SourceError in (error, *bases))
    assert error.__doc__


def test_all_of_the_tree_is_public() -> None:
    """Each error class of the module is in its sorted `__all__`."""
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, FailoverError)
    }
    assert errors.__all__ == sorted(found)


@pytest.mark.parametrize("error", PLAIN)
@pytest.mark.parametrize("through", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_travel(error: type[Exception], through: Callable[[Exception], Exception]) -> None:
    """An error keeps type, arguments and notes between processes."""
    original = error("what happened", 3)
    original.add_note("earlier failure")
    copied = through(original)
    assert type(copied) is error
    assert copied.args == ("what happened", 3)
    assert copied.__notes__ == ["earlier failure"]


def test_the_group_travels() -> None:
    """The group of all failures keeps type, message and its errors between processes."""
    group = AllSourcesFailed("all failed", [ValueError("a"), OSError("b")])
    copied = pickle.loads(pickle.dumps(group))
    assert type(copied) is AllSourcesFailed
    assert copied.message == "all failed"
    assert [(type(error), error.args) for error in copied.exceptions] == [
        (ValueError, ("a",)),
        (OSError, ("b",)),
    ]


def test_parts_of_the_group_are_groups_of_its_kind() -> None:
    """`derive`, `split` and `subgroup` return the same type of group, with notes and cause."""
    one, two = ValueError("a"), OSError("b")
    group = AllSourcesFailed("all failed", [one, two])
    group.add_note("a note")
    group.__cause__ = KeyError("cause")
    values, rest = group.split(ValueError)
    for part, error in ((values, one), (rest, two), (group.subgroup(OSError), two)):
        assert type(part) is AllSourcesFailed
        assert part.message == "all failed"
        assert part.exceptions == (error,)
        assert part.__notes__ == ["a note"]
        assert part.__cause__ is group.__cause__
    assert type(group.derive([two])) is AllSourcesFailed


def test_except_star_leaves_the_rest_of_the_group() -> None:
    """`except*` re-raises the rest as an `AllSourcesFailed`."""
    with pytest.raises(AllSourcesFailed) as caught:
        try:
            raise AllSourcesFailed("all failed", [ValueError("a"), OSError("b")])
        except* ValueError:
            pass
    assert [type(error) for error in caught.value.exceptions] == [OSError]


def test_the_group_holds_exceptions_only() -> None:
    """A KeyboardInterrupt can never be hidden in the group."""
    with pytest.raises(TypeError, match="BaseException"):
        AllSourcesFailed("all failed", [KeyboardInterrupt()])  # type: ignore[list-item]


def test_the_mark_stays_on_the_error() -> None:
    """A marked error is the same object, and keeps its mark between processes."""
    error = TypeError("wrong")
    assert not is_usage_error(error)
    assert mark_usage_error(error) is error
    assert is_usage_error(error)
    assert is_usage_error(pickle.loads(pickle.dumps(error)))
    assert not is_usage_error(TypeError("another"))


@pytest.mark.parametrize("error", [*PLAIN, ValueError, KeyboardInterrupt])
def test_errors_that_are_usage_errors_without_a_mark(error: type[BaseException]) -> None:
    """Without a mark, only `NoSources` and `ReusedIterator` report incorrect use."""
    assert is_usage_error(error("x")) == (error in (NoSources, ReusedIterator))


@pytest.mark.parametrize(
    "leaf", [NoSources("y"), ReusedIterator("y"), mark_usage_error(TypeError("y"))]
)
def test_a_group_that_holds_a_usage_error_is_one(leaf: Exception) -> None:
    """A usage error is found at any depth of a group, whatever else is in it."""
    for group in (
        AllSourcesFailed("x", [OSError(), leaf]),
        BaseExceptionGroup("x", [KeyboardInterrupt(), leaf]),
        ExceptionGroup("x", [OSError(), ExceptionGroup("deeper", [ValueError(), leaf])]),
    ):
        assert is_usage_error(group)
    assert not is_usage_error(ExceptionGroup("x", [OSError(), ExceptionGroup("x", [TypeError()])]))
