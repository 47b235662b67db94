"""Type checkers must accept this: the parameters and the result of decorated functions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterator
from typing import Any, assert_type

from failover_iter import Bookmark, Policy, Progress, Resume, failover

Ints = Generator[int, Any, Any]
AsyncInts = AsyncGenerator[int, Any]
policy = Policy(retry_on=OSError)


def replica(name: str, size: int = 0) -> Iterator[int]:
    """A fallback."""
    yield len(name) + size


async def async_replica(name: str) -> AsyncIterator[int]:
    """An async fallback."""
    yield len(name)


@failover(retry_on=OSError, mid_stream=Resume(start=0))
def marked(name: str, *, progress: Progress[int] = Progress()) -> Iterator[int | Bookmark]:
    """One that yields bookmarks, which are not delivered."""
    yield len(name)
    yield Bookmark(progress.cursor)


assert_type(marked("a"), Ints)


@failover(replica, retry_on=OSError)
def primary(name: str, size: int = 0) -> Iterator[int]:
    """A generator function."""
    yield len(name) + size


@failover(retry_on=OSError, attempts=3)
def listed(name: str) -> list[int]:
    """A function that returns an iterable."""
    return [len(name)]


@policy.failover(async_replica)
async def async_primary(name: str) -> AsyncIterator[int]:
    """An async generator function."""
    yield len(name)


@policy.failover(async_replica)
async def opened(name: str) -> AsyncIterator[int]:
    """A coroutine function: the decorated one needs no await."""
    return async_replica(name)


@policy.failover(async_replica)
def plain(name: str) -> AsyncIterable[int]:
    """A plain function that returns an async iterable."""
    return async_replica(name)


@failover(retry_on=OSError, mid_stream="resume", attempts=2)
def resumed(name: str, *, progress: Progress[int] = Progress()) -> Iterator[int]:
    """A resumable one: a caller may pass the start."""
    yield len(name) + progress.delivered


assert_type(primary("a"), Ints)
assert_type(primary("a", size=1), Ints)
assert_type(primary(name="a"), Ints)
assert_type(listed("a"), Ints)
assert_type(async_primary("a"), AsyncInts)
assert_type(opened("a"), AsyncInts)
assert_type(plain(name="a"), AsyncInts)
assert_type(resumed("a"), Ints)
assert_type(resumed("a", progress=Progress(delivered=2)), Ints)


class Repo:
    """Methods of every kind."""

    @failover(retry_on=OSError)
    def rows(self, name: str) -> Iterator[int]:
        yield len(name)

    @failover(retry_on=OSError)
    async def async_rows(self, name: str) -> AsyncIterator[int]:
        yield len(name)

    @failover(retry_on=OSError)
    async def opened(self, name: str) -> AsyncIterator[int]:
        return self.async_rows(name)

    @classmethod
    @failover(retry_on=OSError)
    def of_class(cls, name: str) -> Iterator[int]:
        yield len(name)

    @staticmethod
    @failover(retry_on=OSError)
    def static(name: str) -> Iterator[int]:
        yield len(name)


repo = Repo()
assert_type(repo.rows("a"), Ints)
assert_type(repo.rows(name="a"), Ints)
assert_type(repo.async_rows("a"), AsyncInts)
assert_type(repo.opened("a"), AsyncInts)
assert_type(repo.of_class("a"), Ints)
assert_type(Repo.of_class(name="a"), Ints)
assert_type(Repo.static("a"), Ints)
