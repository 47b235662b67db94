"""Incorrect use that is found during iteration ends the stream, and is never a failure."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from failover_iter import (
    Decide,
    NoSources,
    Policy,
    Progress,
    ReusedIterator,
    Skip,
    Source,
    afailover_stream,
    failover_stream,
)
from failover_iter._core.usage import is_usage_error
from support.flavour import drain

LOST = ConnectionError("lost")
TWINS: list[Any] = [failover_stream, afailover_stream]


def good() -> Iterator[int]:
    yield 1


def dead() -> Iterator[int]:
    raise LOST
    yield


def broken() -> Iterator[int]:
    yield 1
    raise LOST


def needs_table(table: str) -> Iterator[str]:
    yield table


async def good_async() -> AsyncIterator[int]:
    yield 1


async def coroutine() -> AsyncIterator[int]:
    return good_async()


def refuses(error: type[Exception], message: str) -> Any:
    return pytest.raises(error, match=re.escape(message))


# Flavours that do not show at the call.


class OnlyAsync:
    async def __aiter__(self) -> AsyncIterator[int]:
        yield 1


class Awaitable:
    """An awaitable that is not a coroutine, as some clients return."""

    def __await__(self) -> Any:
        return coroutine().__await__()


class Both(OnlyAsync):
    """An iterable of both flavours, as HTTP clients have them."""

    def __iter__(self) -> Iterator[int]:
        return iter([1])


async def gives_a_list() -> list[int]:
    return [1]


SEEN_LATE: list[Any] = [
    (failover_stream, good_async, good, "async"),
    (failover_stream, coroutine, good, "async"),
    (failover_stream, OnlyAsync, good, "async"),
    (failover_stream, Awaitable, good, "async"),
    (afailover_stream, good, good_async, "sync"),
    (afailover_stream, lambda: [1], good_async, "sync"),
    (afailover_stream, lambda: iter([1]), good_async, "sync"),
    (afailover_stream, gives_a_list, good_async, "sync"),
]


@pytest.mark.parametrize(("make", "factory", "other", "flavour"), SEEN_LATE)
@pytest.mark.parametrize("attempts", [1, 2])
def test_flavours_that_are_seen_when_opened(
    make: Any, factory: Any, other: Any, flavour: str, attempts: int
) -> None:
    """A lambda of the other flavour is a TypeError when it is opened, whatever `retry_on` says."""
    stream = make([lambda: factory(), other], retry_on=Exception, attempts=attempts)
    with pytest.raises(TypeError, match=rf"^source 'source\[0\]' is {flavour}: use ") as caught:
        drain(stream)
    assert is_usage_error(caught.value)


@pytest.mark.parametrize(("make", "factory", "other", "flavour"), SEEN_LATE)
def test_flavours_are_never_an_outage_around(
    make: Any, factory: Any, other: Any, flavour: str
) -> None:
    """An outer stream does not treat it as a failure either."""
    inner = Policy(retry_on=Exception).source([lambda: factory(), other])
    with pytest.raises(TypeError, match=rf"^source 'source\[0\]' is {flavour}: use "):
        drain(make([inner, other], retry_on=Exception))


@pytest.mark.parametrize("make", TWINS)
def test_iterables_of_both_flavours_go_into_both(make: Any) -> None:
    """An object that is iterable and async iterable is a source for both flavours."""
    assert drain(make([Both], retry_on=OSError)) == [1]


@pytest.mark.parametrize(
    ("make", "fallback"), [(failover_stream, good), (afailover_stream, good_async)]
)
def test_factories_that_return_no_iterable(make: Any, fallback: Any) -> None:
    """A factory that does not return an iterable fails with Python's own TypeError."""
    with pytest.raises(TypeError, match="'int' object is not (an async )?itera"):
        drain(make([lambda: 5, fallback], retry_on=OSError))
    assert drain(make([lambda: 5, fallback], retry_on=TypeError)) == [1]


# When it is reached.


@pytest.mark.parametrize(
    ("option", "source"),
    [("retry_on", dead), ("commit_when", good), ("complete_when", good)],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_coroutine_functions_behind_a_lambda(option: str, source: Any) -> None:
    """A predicate that returns an awaitable, which is always true, is refused when called."""
    options = {"retry_on": Exception, option: lambda _: coroutine()}
    with pytest.raises(TypeError, match=option) as caught:
        list(failover_stream([source, good], **options))
    assert is_usage_error(caught.value)


def read_lazily(*factories: Any) -> Iterator[Any]:
    yield from factories


BAD: list[tuple[Any, Any, type[Exception], str]] = [
    (5, None, TypeError, "source[1] must be a factory (a callable that opens a stream), got 5"),
    (iter([1]), None, TypeError, "source[1] must be a factory, got the iterator"),
    (good_async, None, TypeError, "source 'good_async' is async: use afailover_stream"),
    (needs_table, None, TypeError, "source 'needs_table' must be callable without arguments"),
    (Source(good, mid_stream="skip"), "raise", ValueError, "can never take effect: the stream has"),
    (
        Source(good, mid_stream="resume"),
        None,
        TypeError,
        "source 'good' must take one positional argument, the Progress, under mid_stream='resume'",
    ),
    (
        Source(good, attempts=None),
        None,
        ValueError,
        "attempts=None would retry forever without a pause",
    ),
]


@pytest.mark.parametrize(("bad", "mid_stream", "error", "message"), BAD)
@pytest.mark.parametrize("attempts", [1, 2])
def test_bad_factories_that_are_read_lazily(
    bad: Any, mid_stream: Any, error: type[Exception], message: str, attempts: int
) -> None:
    """A wrong entry of a lazy iterable fails when it is read, and never counts as a failure."""
    options: dict[str, Any] = {
        "retry_on": Exception,
        "mid_stream": mid_stream,
        "attempts": attempts,
    }
    assert drain(failover_stream(read_lazily(good, bad), **options)) == [1]
    with refuses(error, message) as caught:
        drain(failover_stream(read_lazily(dead, bad, good), **options))
    assert is_usage_error(caught.value)


def test_incorrect_use_keeps_earlier_failures_in_its_notes() -> None:
    """Incorrect use after failures hides none of them: they are in its notes."""
    with pytest.raises(TypeError, match=r"^source\[2\] must be a factory .*, got 5: ") as caught:
        drain(failover_stream(read_lazily(dead, dead, 5), retry_on=OSError))
    told = [note for note in getattr(caught.value, "__notes__", []) if "ConnectionError" in note]
    assert len(told) == 2


def test_needs_that_come_too_late() -> None:
    """A lazy source that needs to know earlier items says so, and how to fix it."""
    late = Source(good, name="late", mid_stream=Skip(key=str))
    message = "^source 'late' has mid_stream=.*pass the sources as a list, or set the option for"
    with pytest.raises(ValueError, match=message) as caught:
        drain(failover_stream(read_lazily(broken, late), retry_on=Exception))
    assert is_usage_error(caught.value)
    assert drain(failover_stream(read_lazily(dead, late), retry_on=Exception)) == [1]


@pytest.mark.parametrize("make", TWINS)
def test_an_empty_lazy_iterable(make: Any) -> None:
    """An empty lazy iterable is `NoSources` at the first pull."""
    with refuses(NoSources, "factories yielded no source at all"):
        drain(make(iter([]), retry_on=Exception))


# In an outer stream, too, it is never a failure.


def one_generator() -> Callable[[], Iterator[int]]:
    generator = broken()
    return lambda: generator


INSIDE: list[tuple[str, Callable[[], tuple[Policy, Any]], type[Exception], str]] = [
    (
        "no source",
        lambda: (Policy(retry_on=Exception), read_lazily()),
        NoSources,
        "factories yielded no source at all",
    ),
    (
        "bad factory",
        lambda: (Policy(retry_on=Exception), read_lazily(dead, 5)),
        TypeError,
        "source[1] must be a factory",
    ),
    (
        "one generator twice",
        lambda: (Policy(retry_on=Exception, attempts=2), [one_generator()]),
        ReusedIterator,
        "returned a generator that has already ended: a factory must make a new iterator",
    ),
    (
        "wait gives no number",
        lambda: (Policy(retry_on=Exception, attempts=2, wait=lambda failed: None), [dead]),  # type: ignore[arg-type, return-value]
        TypeError,
        "the wait function must be seconds (int or float) or a timedelta, got None",
    ),
    (
        "wait gives a negative number",
        lambda: (Policy(retry_on=Exception, attempts=2, wait=lambda failed: -1), [dead]),
        ValueError,
        "the wait function must be finite and not negative, got -1",
    ),
    (
        "Decide gives no mode",
        lambda: (
            Policy(retry_on=Exception, mid_stream=Decide(lambda progress: "again")),  # type: ignore[arg-type, return-value]
            [lambda progress: broken(), lambda progress: good()],
        ),
        ValueError,
        "the function of Decide must return 'restart', 'raise', 'skip' or 'resume', got 'again'",
    ),
    (
        "key gives None",
        lambda: (Policy(retry_on=Exception, mid_stream=Skip(key=lambda item: None)), [broken]),  # type: ignore[arg-type, return-value]
        TypeError,
        "key must return a str, bytes or int, got None",
    ),
]


@pytest.mark.parametrize(("build", "error", "message"), [each[1:] for each in INSIDE],
                         ids=[each[0] for each in INSIDE])  # fmt: skip
def test_incorrect_use_in_an_inner_stream(
    build: Callable[[], tuple[Policy, Any]], error: type[Exception], message: str
) -> None:
    """Incorrect use in an inner stream is raised to the consumer of the outermost one."""
    policy, factories = build()
    with refuses(error, message) as alone:
        drain(policy.stream(factories))
    assert is_usage_error(alone.value)
    policy, factories = build()
    inner = Policy(retry_on=Exception).source([lambda: policy.stream(factories), good])
    with refuses(error, message):
        drain(failover_stream([inner, good], retry_on=lambda error: True, attempts=2))


def test_a_nested_source_that_cannot_resume() -> None:
    """In a stream that resumes it is incorrect use, even if `retry_on` matches everything."""
    inner = Policy(retry_on=Exception).source([good])
    options: dict[str, Any] = {"retry_on": lambda error: True, "mid_stream": "resume"}
    message = (
        "source 'good' is a Policy.source with mid_stream='restart' (not set): under an outer "
        "stream that resumes, its policy needs mid_stream='resume' or a Decide"
    )
    with refuses(ValueError, message) as caught:
        failover_stream([inner, inner], **options)
    assert is_usage_error(caught.value)
    with refuses(ValueError, message) as caught:
        drain(failover_stream(read_lazily(inner), **options))
    assert is_usage_error(caught.value)


def test_a_resumable_source_is_correct_use() -> None:
    """The checks above do not refuse a resumable source."""

    def resumes(progress: Progress[int]) -> Iterator[int]:
        yield from range(progress.delivered, 2)

    assert drain(failover_stream([resumes], retry_on=OSError, mid_stream="resume")) == [0, 1]


async def fetch() -> Any:
    """A factory that forgot its `return`."""


@pytest.mark.parametrize(
    ("twin", "factory", "message"),
    [
        (failover_stream, lambda: None, "'NoneType' object is not iterable"),
        (failover_stream, lambda: 5, "source 'source[0]' must return an iterable, got 5"),
        (afailover_stream, lambda: None, "'NoneType' object is not an async iterable"),
        (afailover_stream, fetch, "source 'fetch' must return an async iterable, got None"),
    ],
)
def test_a_factory_that_returns_no_stream_is_named(twin: Any, factory: Any, message: str) -> None:
    """The error begins like Python's own, and names the source and its result."""
    with refuses(TypeError, message):
        drain(twin([factory], retry_on=OSError))
    assert drain(twin([factory, fallback_of(twin)], retry_on=TypeError)) == [1]


def fallback_of(twin: Any) -> Any:
    return good if twin is failover_stream else good_async
