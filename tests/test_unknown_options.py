"""An unknown option is a TypeError that suggests the right one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from failover_iter import Budget, Policy, Source, afailover_stream, failover, failover_stream

if TYPE_CHECKING:
    from collections.abc import Callable


def rows() -> list[int]:
    return [1]


def stream(**options: Any) -> object:
    return failover_stream([rows], **options)


def astream(**options: Any) -> object:
    return afailover_stream([rows], **options)


def source(*, retry_on: Any = OSError, **options: Any) -> object:
    return Source(rows, retry_on=retry_on, **options)


CALLED: dict[str, Callable[..., object]] = {
    "failover_stream": stream,
    "afailover_stream": astream,
    "failover": failover,
    "Policy": Policy,
    "Source": source,
}
called = pytest.mark.parametrize("called", CALLED)
STREAM = "it is an option of the stream: pass it to failover_stream() or Policy()"
SOURCE = "it is an option of a source: pass it to Source()"
MARK = "it is an argument of stream() and astream(), not an option of the policy"


def refuses(called: str, option: str, hint: str) -> Any:
    message = f"{called}() got an unexpected option {option!r}: {hint}"
    return pytest.raises(TypeError, match="^" + re.escape(message))


@called
@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("attempt", "'attempts'"),
        ("mid_steam", "'mid_stream'"),
        ("first_item_timout", "'first_item_timeout'"),
        ("commit_wen", "'commit_when'"),
    ],
)
def test_a_misspelt_option(called: str, option: str, meant: str) -> None:
    """The error names the callable, the unknown option and the most similar one."""
    with refuses(called, option, f"did you mean {meant}?"):
        CALLED[called](retry_on=OSError, **{option: 3})


@pytest.mark.parametrize("called", ["failover_stream", "afailover_stream", "failover", "Policy"])
def test_the_required_option_misspelt(called: str) -> None:
    """A misspelt `retry_on` is reported as misspelt, not as missing."""
    with refuses(called, "retryon", "did you mean 'retry_on'?"):
        CALLED[called](retryon=OSError)
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'retry_on'$"):
        CALLED[called]()


@called
@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("retries", "did you mean 'attempts', which counts the first one too?"),  # urllib3
        ("max_retries", "did you mean 'attempts', which counts the first one too?"),  # openai
        ("num_retries", "did you mean 'attempts', which counts the first one too?"),  # LiteLLM
        ("max_tries", "did you mean 'attempts', which counts the first one too?"),  # backoff
        ("on", "did you mean 'retry_on'?"),  # stamina
        ("exceptions", "did you mean 'retry_on'?"),
        ("exceptions_to_handle", "did you mean 'retry_on'?"),  # LangChain
        ("predicate", "did you mean 'retry_on'?"),  # google-api-core
        ("backoff", "did you mean 'wait'?"),
        ("delay", "did you mean 'wait'?"),
        ("interval", "did you mean 'wait'?"),
        ("mode", "did you mean 'mid_stream'?"),
    ],
)
def test_the_word_of_another_library(called: str, option: str, hint: str) -> None:
    """An option by the name that it has in another library gets the name that it has here."""
    with refuses(called, option, hint):
        CALLED[called](retry_on=OSError, **{option: 3})


def test_only_an_option_that_it_has_is_suggested() -> None:
    """A `Budget` has no `wait`."""
    with pytest.raises(TypeError, match="unexpected option") as refused:
        Budget(0.1, interval=3)  # type: ignore[call-arg]
    assert "'wait'" not in str(refused.value)


def test_several_similar_options() -> None:
    """All similar options are suggested, the most similar first."""
    with refuses("Policy", "timeout", "did you mean 'idle_timeout' or 'total_timeout'"):
        Policy(retry_on=OSError, timeout=3)  # type: ignore[call-arg]


@called
def test_no_similar_option(called: str) -> None:
    """If no option is similar, all of them are listed."""
    names = {"Source": "name, close, abort, health_key, retry_on"}
    first = names.get(called, "retry_on, switch_on, mid_stream")
    with refuses(called, "colour", f"its options are {first}"):
        CALLED[called](retry_on=OSError, colour=3)


@pytest.mark.parametrize(
    ("called", "option", "hint"),
    [
        ("Policy", "mark_takeovers", MARK),
        ("failover", "mark_takeovers", MARK),
        ("Source", "mark_takeovers", MARK),
        ("Source", "on_event", STREAM),
        ("Source", "on_exhausted", STREAM),
        ("Source", "total_timeout", STREAM),
        ("Source", "give_up_after", STREAM),
        ("failover_stream", "name", SOURCE),
        ("Policy", "close", SOURCE),
        ("Policy", "keep", "pass it to the strategy: mid_stream=Resume(keep=...)"),
        ("failover_stream", "key", "pass it to the strategy: mid_stream=Skip(key=...)"),
    ],
)
def test_an_option_of_another_callable(called: str, option: str, hint: str) -> None:
    """For an option of another callable, the error names that one."""
    with refuses(called, option, hint):
        CALLED[called](retry_on=OSError, **{option: None})


@called
def test_other_errors_are_unchanged(called: str) -> None:
    """A wrong value or too many arguments raise their usual error."""
    with pytest.raises(TypeError, match="^attempts must be an int of at least 1"):
        CALLED[called](retry_on=OSError, attempts="3")
    with pytest.raises(TypeError, match="positional argument"):
        CALLED[called](rows, rows, rows, retry_on=OSError) if called != "failover" else failover(
            retry_on=OSError
        )()  # type: ignore[call-overload]


def test_a_changed_copy() -> None:
    """`dataclasses.replace` suggests options, too."""
    with refuses("Policy", "attempt", "did you mean 'attempts'?"):
        replace(Policy(retry_on=OSError), attempt=3)  # type: ignore[call-arg]
    with refuses("Source", "atempts", "did you mean 'attempts'?"):
        replace(Source(rows), atempts=3)  # type: ignore[call-arg]


def test_a_subclass_with_its_own_parameters() -> None:
    """A subclass may have other parameters; the options that it passes on are checked."""

    class Region(Policy):
        def __init__(self, region: str, **options: Any) -> None:
            super().__init__(retry_on=OSError, **options)

    assert Region("eu", attempts=3).attempts == 3
    with refuses("Policy", "attempt", "did you mean 'attempts'?"):
        Region("eu", attempt=3)

    @dataclass(frozen=True, kw_only=True)
    class Named(Policy):
        title: str = "orders"

    assert Named(retry_on=OSError, title="bills").title == "bills"
    with pytest.raises(TypeError, match="unexpected keyword argument 'attempt'"):
        Named(retry_on=OSError, attempt=3)  # type: ignore[call-arg]
