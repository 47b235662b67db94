"""Type checkers must accept this: the item type of async streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, assert_type

from failover_iter import (
    Bookmark,
    Policy,
    Progress,
    Resume,
    Source,
    Takeover,
    afailover_stream,
)

Ints = AsyncGenerator[int, Any]
Announced = AsyncGenerator[int | Takeover, Any]


async def numbers() -> AsyncIterator[int]:
    """An async generator function."""
    yield 1


async def words() -> AsyncGenerator[str, None]:
    """One with another item type."""
    yield "a"


async def opened() -> AsyncIterator[int]:
    """A coroutine function that returns an async iterable."""
    return numbers()


def plain() -> AsyncIterable[int]:
    """A plain function that returns one."""
    return numbers()


async def table(name: str) -> AsyncIterator[int]:
    """One with parameters, to be bound."""
    yield len(name)


async def rest(progress: Progress[int]) -> AsyncIterator[int]:
    """A resumable one."""
    yield progress.delivered


async def opened_rest(progress: Progress[int]) -> AsyncIterator[int]:
    """A resumable one that has to be awaited."""
    return rest(progress)


class Rows:
    """An async iterable class: the class itself is the factory."""

    def __aiter__(self) -> AsyncIterator[int]:
        return numbers()


class Reader:
    """Its methods are factories."""

    async def rows(self) -> AsyncIterator[int]:
        yield 1

    async def open(self) -> AsyncIterator[int]:
        return numbers()


reader = Reader()

# Callables of every kind.
assert_type(afailover_stream([numbers], retry_on=OSError), Ints)
assert_type(afailover_stream([opened], retry_on=OSError), Ints)
assert_type(afailover_stream([plain], retry_on=OSError), Ints)
assert_type(afailover_stream([numbers, plain], retry_on=OSError), Ints)
assert_type(afailover_stream([reader.rows, numbers], retry_on=OSError), Ints)
assert_type(afailover_stream([reader.open, opened], retry_on=OSError), Ints)
assert_type(afailover_stream([Rows], retry_on=OSError), Ints)
assert_type(afailover_stream([partial(table, "a")], retry_on=OSError), Ints)
assert_type(afailover_stream([lambda: table("a"), lambda: table("b")], retry_on=OSError), Ints)
assert_type(afailover_stream([lambda: opened()], retry_on=OSError), Ints)

# Source objects, and kinds that have no base class in common (see the sync version of this file).
assert_type(afailover_stream([Source(numbers)], retry_on=OSError), Ints)
assert_type(afailover_stream([Source(opened, name="o")], retry_on=OSError), Ints)
assert_type(afailover_stream((numbers, opened), retry_on=OSError), Ints)
assert_type(afailover_stream((numbers, Source(opened), Rows), retry_on=OSError), Ints)
in_a_list: AsyncIterator[int] = afailover_stream([numbers, opened, Source(plain)], retry_on=OSError)
both: AsyncIterator[int | str] = afailover_stream([numbers, words], retry_on=OSError)

# Variables.
known = [numbers, numbers]
assert_type(afailover_stream(known, retry_on=OSError), Ints)
annotated: list[Callable[[], AsyncIterable[int] | Awaitable[AsyncIterable[int]]]]
annotated = [numbers, opened, plain]
assert_type(afailover_stream(annotated, retry_on=OSError), Ints)

# Resumable factories.
assert_type(afailover_stream([rest], retry_on=OSError, mid_stream="resume"), Ints)
assert_type(afailover_stream((rest, opened_rest), retry_on=OSError, mid_stream="resume"), Ints)

# The marker is part of the item type if it may be yielded.
assert_type(afailover_stream([numbers], retry_on=OSError, mark_takeovers=False), Ints)
assert_type(afailover_stream([numbers], retry_on=OSError, mark_takeovers=True), Announced)

# A bookmark is never delivered: it is not part of the item type.


async def marked(progress: Progress[int]) -> AsyncIterator[int | Bookmark]:
    """A source with a cursor."""
    yield progress.cursor
    yield Bookmark(progress.cursor)


assert_type(afailover_stream([marked], retry_on=OSError, mid_stream=Resume(start=0)), Ints)

# Policy, and a source that is a failover itself.
policy = Policy(retry_on=OSError)
assert_type(policy.astream([numbers]), Ints)
assert_type(policy.astream([numbers], mark_takeovers=True), Announced)
inner = policy.source((numbers, opened))
assert_type(inner, Source[AsyncIterable[int] | Awaitable[AsyncIterable[int]]])
assert_type(policy.astream([inner]), Ints)
assert_type(policy.astream((numbers, inner)), Ints)
assert_type(policy.astream([policy.hedge((numbers, opened), after=0.3)]), Ints)


async def consume() -> None:
    """The item, and the way to close."""
    async with aclosing(afailover_stream([numbers], retry_on=OSError)) as stream:
        async for item in stream:
            assert_type(item, int)
