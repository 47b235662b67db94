"""Which errors are failures of the source: classes, predicates and groups."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import EmptyStream, NoSources, ReusedIterator, SourceError
from failover_iter._core.matching import matches
from failover_iter._core.usage import is_usage_error, mark_usage_error


class OwnSourceError(SourceError):
    """An error of a user's factory that says: try the next source."""


class Falsy(OSError):
    def __bool__(self) -> bool:
        return False


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("tasks", errors)


def is_lost(error: Exception) -> bool:
    return "lost" in str(error)


@pytest.mark.parametrize(
    ("error", "retry_on", "expected"),
    [
        (ConnectionError(), OSError, True),
        (ConnectionError(), (KeyError, OSError), True),
        (KeyError(), OSError, False),
        (ConnectionError(), (), False),
        (Falsy(), OSError, True),
        (OSError("lost"), is_lost, True),
        (OSError("refused"), is_lost, False),
        (OSError("lost"), lambda error: "yes", True),
        (OSError("lost"), lambda error: None, False),
        (SourceError(), (), True),
        (OwnSourceError(), lambda error: False, True),
        (EmptyStream(), KeyError, True),
        (group(OSError(), ConnectionError()), OSError, True),
        (group(OSError(), group(SourceError())), OSError, True),
        (group(OSError(), KeyError()), OSError, False),
        (group(OSError(), group(KeyError())), OSError, False),
        (group(KeyError()), ExceptionGroup, True),
        (group(group(KeyError())), (ExceptionGroup,), True),
        (group(OSError("lost"), OSError("lost")), is_lost, True),
        (group(OSError("lost"), OSError("refused")), is_lost, False),
    ],
)
def test_what_matches(error: Exception, retry_on: Any, expected: bool) -> None:
    """An error matches itself, or a group by each of its leaves; a `SourceError` always matches."""
    assert matches(error, retry_on) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        NoSources("x"),
        ReusedIterator("x"),
        mark_usage_error(OSError("lost")),
        mark_usage_error(SourceError()),
    ],
)
@pytest.mark.parametrize("retry_on", [Exception, ExceptionGroup, is_lost, lambda error: True])
def test_a_wrong_use_never_matches(wrong: Exception, retry_on: Any) -> None:
    """Whatever `retry_on` says, a wrong use is not a failure, alone or anywhere in a group."""
    assert not matches(wrong, retry_on)
    assert not matches(group(OSError("lost"), wrong), retry_on)
    assert not matches(group(OSError("lost"), group(wrong)), retry_on)


def test_a_predicate_that_returns_an_awaitable() -> None:
    """An awaitable is always true: it is a wrong use, and the message names the option."""

    async def later() -> bool:
        return False

    message = "^the function of retry_on must return a bool, got an awaitable"
    with pytest.raises(TypeError, match=message) as caught:
        matches(OSError(), lambda error: later())  # type: ignore[arg-type, return-value]
    assert is_usage_error(caught.value)


def test_a_predicate_is_asked_about_the_group_first() -> None:
    """It gets the group, then its leaves in order, until one does not match."""
    asked: list[Exception] = []

    def ask(error: Exception) -> bool:
        asked.append(error)
        return False

    one, two = OSError("1"), OSError("2")
    whole = group(one, two)
    assert not matches(whole, ask)
    assert asked == [whole, one]
