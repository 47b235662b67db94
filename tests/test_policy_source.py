"""`Policy.source`: a source that is itself a failover."""

from __future__ import annotations

import asyncio
import pickle
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failover_iter import (
    AllSourcesFailed,
    Decide,
    NoSources,
    Policy,
    Progress,
    Resume,
    Skip,
    Source,
    SourceError,
    Takeover,
)
from failover_iter._core.usage import is_usage_error
from support.factories import broken, broken_async, dead, good, good_async
from support.loops import drained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def resumable(progress: Progress[int]) -> Iterator[int]:
    yield from range(progress.delivered + 1, 4)


def test_a_nested_source_travels() -> None:
    """A `Policy.source` can be pickled, too, if its factories can."""
    source = Policy(retry_on=OSError, mid_stream="skip").source([broken, good])
    copied = pickle.loads(pickle.dumps(source))
    assert copied.name == "broken|good"
    assert list(Policy(retry_on=OSError).stream([copied])) == [1, 2, 3]


@pytest.mark.parametrize(
    ("factories", "name", "expected"),
    [
        ([broken, good], None, "broken|good"),
        ([Source(dead, name="a"), lambda: [1]], None, "a|source[1]"),
        ((good,), None, "good"),
        ([broken, good], "region", "region"),
        ({good: 1}, None, "failover"),
        ({good: 1}, "region", "region"),
    ],
)
def test_a_nested_source_has_a_name(factories: Any, name: str | None, expected: str) -> None:
    """The given name, or the names of its sources, or a general one if these are unknown."""
    assert Policy(retry_on=OSError).source(factories, name=name).name == expected


def test_wrong_inner_sources_are_refused_at_once() -> None:
    """A wrong entry in a list of factories fails when the nested source is made."""
    policy = Policy(retry_on=OSError)
    with pytest.raises(NoSources, match="^factories is empty"):
        policy.source([])
    with pytest.raises(TypeError, match=r"^source\[0\] must be a factory"):
        policy.source([5])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"^Source\(name=\.\.\.\) must be a str"):
        policy.source([good], name=5)  # type: ignore[call-overload]


def test_factories_are_read_again_at_each_opening() -> None:
    """A nested source that is retried begins with its first source."""

    class Factories:
        def __iter__(self) -> Iterator[Callable[[], Iterator[int]]]:
            yield dead
            yield dead if not opened else good
            opened.append("all")

    opened: list[str] = []
    source = Policy(retry_on=OSError).source(Factories())
    assert list(Policy(retry_on=OSError, attempts=2).stream([source])) == [1, 2, 3]


@pytest.mark.parametrize("once", [iter([dead]), (each for each in [dead])])
def test_an_iterator_cannot_be_read_twice(once: Any) -> None:
    """An iterator of factories is refused when the nested source is made."""
    message = (
        "^factories of a Policy.source must be a list, or an iterable that can be read more than "
        f"once, got the iterator {re.escape(repr(once))}$"
    )
    with pytest.raises(TypeError, match=message):
        Policy(retry_on=OSError).source(once)


def test_a_nested_source_has_the_flavour_of_the_outer_stream() -> None:
    """One policy makes nested sources for sync and for async streams."""
    policy = Policy(retry_on=OSError, mid_stream="skip")
    assert list(policy.stream([dead, policy.source([broken, good])])) == [1, 2, 3]
    nested = policy.source([broken_async, good_async])
    assert asyncio.run(drained(policy.astream([nested]))) == [1, 2, 3]


def test_the_errors_of_a_nested_source_are_errors_like_any_other() -> None:
    """When all inner sources have failed, the outer stream sees one failure and switches."""
    inner = Policy(retry_on=OSError, on_exhausted="group").source([dead, dead])
    outer = Policy(retry_on=OSError)
    assert list(outer.stream([inner, good])) == [1, 2, 3]
    failing = replace(outer, on_exhausted="group").stream([inner, dead])
    with pytest.raises(AllSourcesFailed) as caught:
        list(failing)
    assert [type(error) for error in caught.value.exceptions] == [AllSourcesFailed, ConnectionError]


def delivered(stream: Any) -> tuple[list[Any], type | None]:
    items: list[Any] = []
    try:
        for item in stream:
            items.append(item)
    except (ConnectionError, SourceError) as error:
        return items, type(error)
    return items, None


def scripted(name: str, count: int, fails: bool) -> Callable[..., Iterator[str]]:
    def factory(progress: Progress[str] | None = None) -> Iterator[str]:
        start = 0 if progress is None else progress.delivered
        for number in range(start, max(count, start)):
            yield f"{number}" if progress is None else f"{name}{number}"
        if fails:
            raise ConnectionError(name)

    return factory


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=5),
    st.integers(0, 4),
    st.sampled_from([None, "raise", "skip", Skip(key=str), "resume", Resume(keep=None)]),
)
@example([(1, True), (0, False), (1, False)], 1, "skip")
def test_nesting_changes_nothing(plan: list[tuple[int, bool]], cut: int, mid_stream: Any) -> None:
    """`[a, source([b, c])]` delivers what `[a, b, c]` does, in every mode."""
    sources: list[Any] = [scripted("abcde"[i], *each) for i, each in enumerate(plan)]
    policy = Policy(retry_on=OSError, mid_stream=mid_stream)
    head, tail = sources[:cut], sources[cut:]
    nested = [*head, policy.source(tail)] if tail else [policy.source(head)]
    assert delivered(policy.stream(nested)) == delivered(policy.stream(sources))
    assert delivered(policy.stream([policy.source(nested)])) == delivered(policy.stream(sources))


def test_progress_goes_through_a_nested_source() -> None:
    """A nested source that resumes receives the progress of the outer stream."""
    told: list[Progress[int]] = []

    def watches(progress: Progress[int]) -> Iterator[int]:
        told.append(progress)
        return resumable(progress)

    def first(progress: Progress[int]) -> Iterator[int]:
        yield from (1, 2)
        raise ConnectionError("lost")

    policy = Policy(retry_on=OSError, mid_stream=Resume(keep=None))
    assert list(policy.stream([first, policy.source([watches])])) == [1, 2, 3]
    [progress] = told
    expected = Progress(delivered=2, last=2, items=(1, 2), total=2, mode="resume")
    assert replace(progress, failures=()) == expected
    assert [failed.source for failed in progress.failures] == ["first"]


@pytest.mark.parametrize("inner", [None, "restart", "raise", "skip"])
def test_a_nested_source_that_cannot_resume_is_refused(inner: Any) -> None:
    """In a stream that resumes, a nested source that cannot is a ValueError at the call."""
    source = Policy(retry_on=Exception, mid_stream=inner).source([good])
    outer = Policy(retry_on=Exception, mid_stream="resume")
    shown = "'restart' (not set)" if inner is None else repr(inner)
    message = (
        f"source 'good' is a Policy.source with mid_stream={shown}: under an outer stream "
        "that resumes, its policy needs mid_stream='resume' or a Decide"
    )
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$") as caught:
        outer.stream([source, resumable])
    assert is_usage_error(caught.value)


def test_the_flavour_of_inner_sources_is_checked_at_the_call() -> None:
    """A nested list of the other flavour is refused at once; the message names the source."""
    policy = Policy(retry_on=Exception)
    nested = policy.source([policy.source([good])])
    message = (
        r"^source 'good' is sync: use failover_stream \(or Policy.stream\) for it, "
        r"or in_thread\(factory\)$"
    )
    with pytest.raises(TypeError, match=message) as caught:
        policy.astream([nested])
    assert is_usage_error(caught.value)
    assert list(policy.stream([nested])) == [1, 2, 3]


def test_a_nested_source_that_decides_may_be_in_a_stream_that_resumes() -> None:
    """`Decide` resumes like `Resume`, and is called at its first takeover."""
    asked: list[int] = []

    def decide(progress: Progress[int]) -> Any:
        asked.append(progress.delivered)
        return "resume"

    def breaks(progress: Progress[int]) -> Iterator[int]:
        yield progress.delivered + 1
        raise ConnectionError("lost")

    inner = Policy(retry_on=OSError, mid_stream=Decide(decide)).source([breaks, resumable])
    outer = Policy(retry_on=OSError, mid_stream="resume")
    assert list(outer.stream([breaks, inner])) == [1, 2, 3]
    assert asked == [2]


def test_markers_come_through_a_nested_source() -> None:
    """`mark_takeovers` marks inner takeovers, too; the outer stream does not count the markers."""
    policy = Policy(retry_on=OSError)
    items = list(policy.stream([policy.source([broken, good])], mark_takeovers=True))
    assert [item for item in items if not isinstance(item, Takeover)] == [1, 2, 1, 2, 3]
    assert [(m.source, m.mode, m.delivered) for m in items if isinstance(m, Takeover)] == [
        ("good", "restart", 2)
    ]
