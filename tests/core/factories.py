"""Options, and factories of each kind, for the tests of sources."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from failover_iter._core.sources import ResolvedSource, SourceQueue, read_factories
from failover_iter._options import Options

OPTIONS = Options(retry_on=OSError)
RESUMING = Options(retry_on=OSError, mid_stream="resume")


def opens() -> Iterator[int]:
    yield 1


def resumes(progress: Any) -> Iterator[int]:
    yield progress.delivered


def both(progress: Any = None) -> Iterator[int]:
    yield 1


async def opens_async() -> AsyncIterator[int]:
    yield 1


async def awaits() -> AsyncIterator[int]:
    return opens_async()


class Table:
    def __call__(self) -> Iterator[int]:
        return iter([1])

    def rows(self) -> Iterator[int]:
        yield 1

    def page(self, number: int) -> Iterator[int]:
        yield number

    @classmethod
    def of_class(cls) -> Iterator[int]:
        yield 1

    @staticmethod
    def static() -> Iterator[int]:
        yield 1


def queue_of(factories: Iterable[Any]) -> SourceQueue:
    return SourceQueue(read_factories(factories, "sync", OPTIONS), "sync", OPTIONS)


def take(queue: SourceQueue) -> ResolvedSource:
    source = queue.next()
    assert source is not None
    return source
