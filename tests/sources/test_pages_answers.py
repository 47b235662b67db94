"""`pages`: what a request may return, and what is refused."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter import DivergedStream, afailover_stream, failover_stream
from failover_iter.sources import google_fetch, pages, stripe_fetch
from sources.listings import broken, stream_of


@pytest.mark.parametrize("end", [None, False, ""])
def test_the_end(end: object) -> None:
    """APIs say in three ways that no page follows."""
    assert list(stream_of(lambda token: ([1], end))) == [1]


def test_a_start() -> None:
    """A listing can start at a page, and its name is that of the function."""

    def fetch(token: int) -> Any:
        return [token], token + 1 if token < 3 else None

    source = pages(fetch, start=2)
    assert list(failover_stream([source], retry_on=ConnectionError)) == [2, 3]
    assert source.name == "fetch"
    assert pages(partial(fetch)).name == "partial"
    assert pages(fetch, name="list").name == "list"


def test_a_page_that_has_shrunk() -> None:
    """If a page has fewer items than were delivered from it, nothing can be joined."""
    answers = iter([broken(range(3), 2), [0]])
    with pytest.raises(DivergedStream, match="2 items were delivered from it, and it has only 1"):
        list(stream_of(lambda token: (next(answers), None), attempts=2))


def test_a_page_that_follows_itself() -> None:
    """A listing that would never end is refused."""
    stream = stream_of(lambda token: ([1], "p2"), attempts=5)
    assert next(stream) == 1
    with pytest.raises(DivergedStream, match="is that of this page"):
        next(stream)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ([1, 2], r"must return \(items, next token\), got a list"),
        ((1, 2, 3), r"must return \(items, next token\), got a tuple"),
        (({"items": []}, None), "got a dict for the items"),
        (("items", None), "got a str for the items"),
        ((None, None), "got a NoneType for the items"),
    ],
)
def test_what_is_no_page(page: object, message: str) -> None:
    """The message says what the function should return, and shows no data."""
    with pytest.raises(TypeError, match=message):
        list(stream_of(lambda token: page))


def test_wrong_use() -> None:
    """A function is needed."""
    with pytest.raises(TypeError, match=r"pages\(fetch\) must be a function"):
        pages([1, 2])  # type: ignore[call-overload]


def test_a_page_is_closed() -> None:
    """Items that are a generator are closed when the consumer leaves."""
    closed: list[int] = []

    def items() -> Iterator[int]:
        try:
            yield from (1, 2)
        finally:
            closed.append(1)

    stream = stream_of(lambda token: (items(), None))
    next(stream)
    stream.close()
    assert closed == [1]


def list_ids(**params: Any) -> dict[str, Any]:
    return {"data": [{"id": 1}], "has_more": False}


def list_names(page_token: str | None) -> Any:
    return SimpleNamespace(pages=[["a"]], next_page_token=None)


async def alist_names(page_token: str | None) -> Any:
    """The same, async."""
    raise NotImplementedError


@pytest.mark.parametrize("fetch", [stripe_fetch(list_ids), google_fetch(list_names), list_ids])
def test_a_listing_is_sent_to_another_process(fetch: Any) -> None:
    """A source can be pickled if the function of the client can."""
    source = pages(fetch)
    copy = pickle.loads(pickle.dumps(source))
    assert copy.name == source.name
    if fetch is not list_ids:
        assert [*stream_of(copy.factory.__self__.fetch)] == [*stream_of(fetch)]


def test_an_async_listing_is_sent_to_another_process() -> None:
    """It stays async."""
    source = pages(google_fetch(alist_names))
    factory = pickle.loads(pickle.dumps(source)).factory
    assert factory.__func__ is source.factory.__func__  # type: ignore[union-attr]


def test_an_async_callable_object() -> None:
    """An object with an async `__call__` makes an async source."""

    class Fetch:
        async def __call__(self, token: None) -> Any:
            return [1], None

    async def main() -> list[Any]:
        return [item async for item in afailover_stream([pages(Fetch())], retry_on=OSError)]

    assert asyncio.run(main()) == [1]
