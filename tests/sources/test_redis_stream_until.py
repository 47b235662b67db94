"""`until` of `redis_stream` in a new process: it is asked about the last delivered entry."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from typing import Any

import pytest

from failover_iter import Bookmark, Progress
from failover_iter.sources import redis_stream
from failover_iter.sources._stream_position import IS_ENTRY, MEMO, SAVED, Look
from sources.redis_model import AClient, Client, Model, is_last


def first_of(model: Model, progress: Progress[Any]) -> Any:
    """The first item of the source, or None if it ends."""
    reader: Any = redis_stream(Client(model), "s", until=is_last).factory
    with closing(reader(progress)) as entries:
        return next(entries, None)


def afirst_of(model: Model, progress: Progress[Any]) -> Any:
    reader: Any = redis_stream(AClient(model), "s", until=is_last).factory

    async def main() -> Any:
        async with aclosing(reader(progress)) as entries:
            return await anext(entries, None)

    return asyncio.run(main())


def ended(**change: Any) -> Model:
    """A stream whose third and last entry meets `until`."""
    entries = {1: {"n": 1}, 2: {"n": 2}, 3: {"n": "last"}}
    return Model([("wait", 0)] * 3, entries=entries, added=3, exists=True, **change)


each_flavour = pytest.mark.parametrize("first", [first_of, afirst_of])
#: The state that the next process finds: the number of items, or what is saved with the cursor.
RESTARTS: list[tuple[int, dict[str, Any]]] = [(3, {}), (0, {SAVED: IS_ENTRY})]


@each_flavour
@pytest.mark.parametrize(("delivered", "memo"), RESTARTS)
def test_a_stream_that_has_ended(first: Any, delivered: int, memo: dict[str, Any]) -> None:
    """It ends at once; before its last entry, it goes on."""
    rest = {
        cursor: first(ended(), Progress(delivered=delivered, cursor=cursor, memo={**memo}))
        for cursor in ("3-0", "2-0")
    }
    assert rest == {"3-0": None, "2-0": (b"3-0", {"n": "last"})}


@each_flavour
def test_where_to_start_is_no_entry_of_the_stream(first: Any) -> None:
    """Nothing was delivered: `start` was given, or an attempt failed before it was committed."""
    assert first(ended(), Progress(cursor="3-0")) == Bookmark("3-0")
    memo = {SAVED: IS_ENTRY, MEMO: Look(last="3-0")}
    assert first(ended(), Progress(cursor="3-0", memo=memo)) == Bookmark("3-0")
    assert memo == {MEMO: Look(last="3-0", added=3)}


@each_flavour
def test_an_entry_that_is_gone(first: Any) -> None:
    """Nobody can say whether it met `until`, so the source waits for more."""
    model = ended()
    del model.entries[3]
    assert first(model, Progress(cursor="3-0", delivered=3)) == Bookmark("3-0")
