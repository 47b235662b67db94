"""`@failover` and flavours: what a function is, where neither its code nor its annotation tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import pytest

from failover_iter import failover

LOST = ConnectionError("lost")


class Feed:
    """An async iterable that does not say so in its name."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self.items:
            yield item
        raise LOST


async def fallback(table: str) -> AsyncIterator[str]:
    for number in (1, 2):
        yield f"{table} {number}"


async def collect(stream: Any) -> list[Any]:
    async with aclosing(stream):
        return [item async for item in stream]


class AsyncClient:
    """Has "Async" in its name, and streams nothing."""


def clients() -> list[AsyncClient]:
    return [AsyncClient()]


def clients_as_text() -> Iterator[AsyncClient]:
    return iter([AsyncClient()])


def clients_in_turn() -> "Iterable[AsyncClient]":  # noqa: UP037 (the quotes are what is tested)
    return [AsyncClient()]


@pytest.mark.parametrize("function", [clients, clients_as_text, clients_in_turn])
def test_items_with_async_in_their_name_make_no_async_stream(function: Any) -> None:
    """What the items are says nothing about the flavour of the stream."""
    stream = failover(retry_on=OSError)(function)()
    assert type(stream) is GeneratorType
    assert [type(item) for item in stream] == [AsyncClient]


@pytest.mark.parametrize("annotation", [Any, object, Feed, "Feed", "Any", None])
def test_annotations_that_tell_nothing_are_no_obstacle(annotation: Any) -> None:
    """Where the annotation is no known kind of stream, the fallbacks say which flavour it is."""

    def opens(table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return Feed(f"{table} 1")

    opens.__annotations__["return"] = annotation
    decorated = failover(fallback, retry_on=OSError, mid_stream="skip")(opens)
    stream = decorated("row")
    assert type(stream) is AsyncGeneratorType
    assert asyncio.run(collect(stream)) == ["row 1", "row 2"]


def test_an_async_stream_that_nobody_could_see() -> None:
    """Without any sign of its flavour an async iterable is a TypeError, not an outage."""

    def opens():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return Feed(1)

    with pytest.raises(TypeError, match="source 'opens' is async"):
        list(failover(opens, retry_on=Exception)(opens)())
