"""`@failover` and flavours: functions that show neither what they return nor what they take."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from functools import lru_cache, partial, wraps
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import pytest
import trio

from failover_iter import Progress, afailover_stream, failover, failover_stream
from support.loops import drained

LOST = ConnectionError("lost")


class Feed:
    """An async iterable without "Async" in its name."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self.items:
            yield item
        raise LOST


async def fallback(table: str) -> AsyncIterator[str]:
    for number in (1, 2):
        yield f"{table} {number}"


class AsyncClient:
    """Has "Async" in its name, but is not a stream."""


def clients() -> list[AsyncClient]:
    return [AsyncClient()]


def clients_as_text() -> Iterator[AsyncClient]:
    return iter([AsyncClient()])


def clients_in_turn() -> "Iterable[AsyncClient]":  # noqa: UP037 (the quotes are what is tested)
    return [AsyncClient()]


@pytest.mark.parametrize("function", [clients, clients_as_text, clients_in_turn])
def test_items_with_async_in_their_name_make_no_async_stream(function: Any) -> None:
    """The type of the items does not determine the flavour of the stream."""
    stream = failover(retry_on=OSError)(function)()
    assert type(stream) is GeneratorType
    assert [type(item) for item in stream] == [AsyncClient]


@pytest.mark.parametrize("annotation", [Any, object, Feed, "Feed", "Any", None])
def test_annotations_that_show_no_flavour(annotation: Any) -> None:
    """If the annotation does not show the flavour, the fallbacks do."""

    def opens(table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return Feed(f"{table} 1")

    opens.__annotations__["return"] = annotation
    decorated = failover(fallback, retry_on=OSError, mid_stream="skip")(opens)
    stream = decorated("row")
    assert type(stream) is AsyncGeneratorType
    assert asyncio.run(drained(stream)) == ["row 1", "row 2"]


def test_an_async_stream_that_shows_no_flavour() -> None:
    """If no function shows that it is async, an async iterable is a TypeError when opened."""

    def opens():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return Feed(1)

    with pytest.raises(TypeError, match="source 'opens' is async"):
        list(failover(opens, retry_on=Exception)(opens)())


# Callables that hide what they take, or what they return.


def dead(*_: object) -> Iterator[Any]:
    raise LOST
    yield


class Hidden:
    """A callable whose signature cannot be read."""

    __signature__ = 5

    def __call__(self, *args: str) -> list[str]:
        return [*args]


@pytest.mark.parametrize(
    ("hidden", "args"),
    [
        (zip, ("ab", "cd")),
        (map, (str, "ab")),
        (range, (2,)),
        (lru_cache(lambda *args: [*args]), ("a", "b")),
        (Hidden(), ("a", "b")),
    ],
)
def test_callables_without_a_signature(hidden: Any, args: tuple[Any, ...]) -> None:
    """Builtins and cached functions can be decorated and be fallbacks."""
    expected = list(hidden(*args))
    assert list(failover(hidden, retry_on=OSError)(dead)(*args)) == expected
    stream = failover(retry_on=OSError)(hidden)(*args)
    assert type(stream) is GeneratorType
    assert list(stream) == expected


def test_a_decorated_class_is_a_function() -> None:
    """The attributes of a class are not copied to the function that replaces it."""
    decorated: Any = failover(retry_on=OSError)(zip)
    assert decorated.__name__ == "zip"
    assert not hasattr(decorated, "__iter__")
    assert vars(decorated) == {"__wrapped__": zip}


def test_a_call_that_cannot_be_checked_is_made() -> None:
    """If no signature can be read, a wrong call is an error of the function itself."""
    stream = failover(retry_on=OSError)(Hidden())(size=1)
    with pytest.raises(TypeError, match=r"__call__\(\) got an unexpected keyword argument 'size'"):
        list(stream)


def test_the_signature_behind_a_cache_is_checked() -> None:
    """A wrong call of a cached function fails at the call."""

    @lru_cache
    def read(table: str) -> list[str]:
        return [table]

    decorated = failover(retry_on=Exception)(read)
    assert list(decorated("row")) == ["row"]
    with pytest.raises(TypeError, match=r"^read\(\) cannot take this call: too many positional"):
        decorated("row", "more")


def test_progress_behind_a_cache() -> None:
    """A cached function may declare `progress`. A builtin declares none, and is refused."""

    @lru_cache
    def read(*, progress: Progress[int] = Progress()) -> list[int]:
        return [progress.delivered]

    assert list(failover(retry_on=OSError, mid_stream="resume")(read)()) == [0]
    for hidden in (zip, Hidden()):
        with pytest.raises(TypeError, match="^<.* must declare progress: Progress = Progress"):
            failover(retry_on=OSError, mid_stream="resume")(hidden)


def test_an_async_function_decorated_twice() -> None:
    """A decorated async function can be decorated again, and be a fallback."""

    @failover(retry_on=OSError)
    async def read():  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield 1
        raise LOST

    for others in ((), (read,)):
        stream = failover(*others, retry_on=OSError, attempts=2, mid_stream="skip")(read)()
        assert type(stream) is AsyncGeneratorType
        with pytest.raises(OSError, match="lost"):
            asyncio.run(drained(stream))


def test_any_wrapper_shows_what_it_wraps() -> None:
    """Another decorator does not hide that a function is async."""

    async def read():  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield 1

    @wraps(read)
    def logged(*args: Any) -> Any:
        return read(*args)

    assert asyncio.run(drained(failover(retry_on=OSError)(logged)())) == [1]


def test_a_class_shows_its_flavour() -> None:
    """A class of async iterables is async, so it cannot be mixed with a generator function."""
    with pytest.raises(ConnectionError):
        asyncio.run(drained(failover(retry_on=OSError)(Feed)(1)))
    with pytest.raises(TypeError, match="must be all sync or all async: .*Feed.* is async, .*dead"):
        failover(dead, retry_on=OSError)(Feed)


# Generator-based coroutines.


@types.coroutine
def opens() -> Generator[Any, Any, AsyncIterator[str]]:
    yield from asyncio.sleep(0).__await__()
    return fallback("row")


@types.coroutine
def opens_at_once() -> Generator[Any, Any, AsyncIterator[str]]:
    return fallback("row")
    yield


EXPECTED = ["row 1", "row 2"]


@pytest.mark.parametrize("factory", [opens, opens_at_once, partial(opens)])
@pytest.mark.parametrize("options", [{}, {"first_item_timeout": 5}])
def test_a_generator_based_coroutine_opens_an_async_stream(factory: Any, options: Any) -> None:
    """The result of a `types.coroutine` function is awaited."""
    stream = afailover_stream([factory], retry_on=OSError, **options)
    assert asyncio.run(drained(stream)) == EXPECTED
    assert asyncio.run(drained(failover(retry_on=OSError, **options)(factory)())) == EXPECTED
    assert trio.run(drained, afailover_stream([opens_at_once], retry_on=OSError)) == EXPECTED


@pytest.mark.parametrize("factory", [opens, partial(opens)])
def test_a_generator_based_coroutine_is_not_sync(factory: Any) -> None:
    """A sync stream refuses it like any other coroutine function."""
    with pytest.raises(TypeError, match=r"'opens' is async: use afailover_stream \(or Policy\.as"):
        failover_stream([factory], retry_on=Exception)
    with pytest.raises(TypeError, match=r"is sync, .*opens.* is async$"):
        failover(factory, retry_on=Exception)(dead)
