"""`@failover` works for every kind of function that returns a stream."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import pytest

from failover_iter import Decide, Event, Policy, Progress, Resume, Source, failover
from support.flavour import drain


class Items:
    """An iterable, sync or async, that yields its items and then may fail."""

    def __init__(self, *items: Any, error: Exception | None = None) -> None:
        self.items = items
        self.error = error

    def __iter__(self) -> Iterator[Any]:
        yield from self.items
        if self.error is not None:
            raise self.error


class AsyncItems(Items):
    __iter__ = None  # type: ignore[assignment]  # async only

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self.items:
            yield item
        if self.error is not None:
            raise self.error


LOST = ConnectionError("lost")


# Functions to decorate.


def generator(table: str) -> Iterator[str]:
    yield f"{table} 1"
    raise LOST


def returns_iterable(table: str) -> Iterable[str]:
    return Items(f"{table} 1", error=LOST)


def fails_at_once(table: str) -> Iterable[str]:
    raise LOST


def unannotated(table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return Items(f"{table} 1", error=LOST)


async def async_generator(table: str) -> AsyncIterator[str]:
    yield f"{table} 1"
    raise LOST


async def coroutine(table: str) -> AsyncIterator[str]:
    return aiter(AsyncItems(f"{table} 1", error=LOST))


async def coroutine_of_iterable(table: str) -> AsyncIterable[str]:
    return AsyncItems(f"{table} 1", error=LOST)


async def coroutine_that_fails(table: str) -> AsyncIterable[str]:
    raise LOST


def returns_async_iterable(table: str) -> AsyncIterable[str]:
    return AsyncItems(f"{table} 1", error=LOST)


def fallback(table: str) -> Iterator[str]:
    yield from (f"{table} 1", f"{table} 2")


async def async_fallback(table: str) -> AsyncIterator[str]:
    for number in (1, 2):
        yield f"{table} {number}"


SYNC = [generator, returns_iterable, fails_at_once, unannotated]
ASYNC = [
    async_generator,
    coroutine,
    coroutine_of_iterable,
    coroutine_that_fails,
    returns_async_iterable,
    unannotated,
]
DECORATED = [
    *[(function, fallback, GeneratorType) for function in SYNC],
    *[(function, async_fallback, AsyncGeneratorType) for function in ASYNC[:-1]],
]


@pytest.mark.parametrize(("function", "other", "kind"), DECORATED)
def test_every_function_that_returns_a_stream(
    function: Callable[..., Any], other: Callable[..., Any], kind: type
) -> None:
    """Each decorated function returns a stream, without await, that uses the fallback."""
    decorated = failover(other, retry_on=ConnectionError, mid_stream="skip")(function)
    for stream in (decorated("row"), decorated(table="row")):
        assert type(stream) is kind
        assert drain(stream) == ["row 1", "row 2"]


def test_a_fallback_may_show_the_flavour() -> None:
    """If a function does not show its flavour, its fallbacks do."""

    def opens(table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return AsyncItems(f"{table} 1", error=LOST)

    decorated = failover(async_fallback, retry_on=OSError, mid_stream="skip")(opens)
    assert drain(decorated("row")) == ["row 1", "row 2"]


@pytest.mark.parametrize(("function", "other", "kind"), DECORATED)
def test_the_metadata_of_the_function_is_kept(
    function: Callable[..., Any], other: Callable[..., Any], kind: type
) -> None:
    """Name, docstring, signature, module and annotations are those of the function."""
    decorated = failover(other, retry_on=OSError)(function)
    assert decorated.__wrapped__ is function  # type: ignore[attr-defined]
    assert inspect.signature(decorated) == inspect.signature(function)
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(decorated, name) == getattr(function, name)


def test_several_fallbacks_in_their_order() -> None:
    """They are tried one after the other, and events show their names."""
    seen: list[Event] = []

    def second(table: str) -> Iterator[str]:
        raise TimeoutError
        yield

    decorate = failover(second, partial(fallback), retry_on=OSError, on_event=seen.append)
    assert drain(decorate(fails_at_once)("row")) == ["row 1", "row 2"]
    names = [event.source for event in seen if type(event).__name__ == "Opening"]
    assert names == ["fails_at_once", "second", "fallback"]


def test_no_fallback_and_several_attempts() -> None:
    """Without a fallback the function itself is called again, with the same arguments."""
    calls: list[tuple[Any, ...]] = []

    @failover(retry_on=OSError, attempts=3)
    def read(*args: Any, **kwargs: Any) -> Iterator[int]:
        calls.append((args, kwargs))
        if len(calls) < 3:
            raise LOST
        yield 1

    assert drain(read(1, key="k")) == [1]
    assert calls == [((1,), {"key": "k"})] * 3


@pytest.mark.parametrize(("function", "other", "kind"), DECORATED)
def test_nothing_is_called_before_the_first_pull(
    function: Callable[..., Any], other: Callable[..., Any], kind: type
) -> None:
    """Calling opens nothing, and a stream that is never pulled never opens anything."""
    calls: list[str] = []

    def watched(table: str) -> Any:
        calls.append(table)
        return function(table)

    watched.__annotations__ = {"return": function.__annotations__.get("return")}
    if kind is AsyncGeneratorType:
        watched.__annotations__["return"] = AsyncIterator[str]
    decorated = failover(other, retry_on=OSError, mid_stream="skip")(watched)
    decorated("unused")
    stream = decorated("row")
    assert calls == []
    drain(stream)
    assert calls == ["row"]


@pytest.mark.parametrize("mid_stream", [None, "resume"])
@pytest.mark.parametrize("args", [(), ("row", "more"), ("row", 5)])
def test_a_wrong_call_fails_at_the_call(args: tuple[Any, ...], mid_stream: Any) -> None:
    """Missing and unexpected arguments are a TypeError at the call, never a failure."""

    @failover(retry_on=Exception, mid_stream=mid_stream)
    def read(table: str, *, progress: Progress[str] = Progress()) -> Iterator[str]:
        yield table

    with pytest.raises(TypeError, match="missing a required argument|too many positional"):
        read(*args)
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        read("row", size=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("mid_stream", [None, "resume"])
def test_a_fallback_with_other_parameters_is_refused_at_the_call(mid_stream: Any) -> None:
    """A fallback that cannot take the call is a TypeError before anything is opened."""

    def other(size: int, *, progress: Progress[str] = Progress()) -> Iterator[str]:
        yield "other"

    def read(table: str, *, progress: Progress[str] = Progress()) -> Iterator[str]:
        raise LOST
        yield

    with pytest.raises(TypeError, match="other"):
        failover(other, retry_on=Exception, mid_stream=mid_stream)(read)(table="row")


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_static_and_class_methods_are_decorated_inside(kind: Any) -> None:
    """A staticmethod or classmethod stays one; the function in it is decorated."""
    decorated = failover(kind(fallback), retry_on=OSError)(kind(fails_at_once))
    assert type(decorated) is kind
    assert drain(decorated.__func__("row")) == ["row 1", "row 2"]


@dataclass
class Endpoint:
    """A callable object that compares by value, so it has no hash."""

    name: str

    def __call__(self, table: str) -> Iterator[str]:
        yield f"{self.name} {table}"


def test_callable_objects_and_partials() -> None:
    """Any callable can be decorated and be a fallback, even one without a hash."""
    decorated = failover(Endpoint("spare"), retry_on=OSError)(partial(fails_at_once))
    assert drain(decorated("row")) == ["spare row"]
    assert drain(failover(retry_on=OSError)(Endpoint("only"))("row")) == ["only row"]


# Flavours.


@pytest.mark.parametrize(
    ("function", "other"),
    [
        (generator, async_fallback),
        (generator, coroutine),
        (generator, returns_async_iterable),
        (returns_iterable, async_fallback),
        (async_generator, fallback),
        (coroutine, fallback),
        (coroutine, returns_iterable),
        (returns_async_iterable, fallback),
        (unannotated, None),
    ],
)
def test_fallbacks_of_the_other_flavour(function: Any, other: Any) -> None:
    """Mixing sync and async functions is a TypeError at decoration that names both."""
    others = (other,) if other is not None else (fallback, async_fallback)
    names = [function.__name__ if other is not None else "fallback", others[-1].__name__]
    pattern = "must be all sync or all async: .*" + ".*".join(names)
    with pytest.raises(TypeError, match=pattern):
        failover(*others, retry_on=OSError)(function)


# Under "resume".


def resumes(size: int, *, progress: Progress[int] = Progress()) -> Iterator[int]:
    yield from range(progress.delivered, size)


def breaks(size: int, *, progress: Progress[int] = Progress()) -> Iterator[int]:
    yield progress.delivered
    raise LOST


async def async_resumes(size: int, *, progress: Progress[int] = Progress()) -> AsyncIterator[int]:
    for item in range(progress.delivered, size):
        yield item


async def async_breaks(size: int, *, progress: Progress[int] = Progress()) -> AsyncIterable[int]:
    return AsyncItems(progress.delivered, error=LOST)


WAYS = ["resume", Resume(keep=None), Decide(lambda progress: "resume")]


@pytest.mark.parametrize("mid_stream", WAYS)
@pytest.mark.parametrize(
    ("function", "others"),
    [(breaks, (breaks, resumes)), (async_breaks, (async_breaks, async_resumes))],
)
def test_each_function_receives_a_progress(function: Any, others: Any, mid_stream: Any) -> None:
    """The function and its fallbacks receive the progress of the stream, and resume there."""
    decorated = failover(*others, retry_on=OSError, mid_stream=mid_stream)(function)
    assert drain(decorated(4)) == [0, 1, 2, 3]
    assert drain(decorated(size=4)) == [0, 1, 2, 3]


def in_either_way(size: int, progress: Progress[int] = Progress()) -> Iterator[int]:
    yield from range(progress.delivered, size)


def in_keywords(size: int, **keywords: Any) -> Iterator[int]:
    yield from range(keywords["progress"].delivered, size)


@pytest.mark.parametrize("function", [resumes, in_either_way, in_keywords])
def test_how_a_progress_may_be_declared(function: Any) -> None:
    """As a keyword, as any parameter of that name, or within `**kwargs`."""
    decorated = failover(function, retry_on=OSError, mid_stream="resume")(function)
    assert drain(decorated(3)) == [0, 1, 2]
    assert drain(decorated(3, progress=Progress(delivered=1))) == [1, 2]


def positional_only(progress: Progress[int], /) -> Iterator[int]:
    yield progress.delivered


def undeclared(size: int) -> Iterator[int]:
    yield size


@pytest.mark.parametrize("wrong", [undeclared, positional_only])
@pytest.mark.parametrize("mid_stream", WAYS)
def test_functions_that_declare_no_progress(wrong: Any, mid_stream: Any) -> None:
    """Under "resume" each function must declare `progress`, and the error says how."""
    message = re.escape(
        f"{wrong!r} must declare progress: Progress = Progress() as a keyword, under "
        f"mid_stream={mid_stream!r}"
    )
    for functions in ((wrong, resumes), (resumes, wrong)):
        with pytest.raises(TypeError, match=message):
            failover(functions[1], retry_on=OSError, mid_stream=mid_stream)(functions[0])


# Wrong arguments.


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: failover(5, retry_on=OSError), "a fallback must be a factory (a callable that"),
        (lambda: failover(None, retry_on=OSError), "a fallback must be a factory (a callable that"),
        (
            lambda: failover(Source(fallback), retry_on=OSError),
            "a fallback must be a factory (a callable that",
        ),
        (
            lambda: failover(iter([1]), retry_on=OSError),
            "a fallback must be a factory, got the iterator",
        ),
        (
            lambda: failover(retry_on=OSError)(5),
            "the decorated function must be a factory (a callable that opens a stream), got 5",
        ),
        (
            lambda: failover(retry_on=KeyboardInterrupt),
            "retry_on takes subclasses of Exception (one, or a tuple of them)",
        ),
        (lambda: failover(fallback), "failover() missing 1 required keyword-only argument: 'retr"),
    ],
)
def test_what_is_refused(build: Callable[[], object], message: str) -> None:
    """A value that is not callable and a wrong option fail at decoration."""
    with pytest.raises(TypeError, match="^" + re.escape(message)):
        build()


def test_each_call_returns_its_own_stream() -> None:
    """The streams of two calls are independent."""
    decorated = Policy(retry_on=OSError, mid_stream="skip").failover(fallback)(generator)
    one, two = decorated("a"), decorated("b")
    assert [next(one), next(two), next(one), next(two)] == ["a 1", "b 1", "a 2", "b 2"]
