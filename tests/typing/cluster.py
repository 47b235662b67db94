"""Type checkers must accept this: sources on a Ray cluster keep item type and parameters."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Any, assert_type

from failover_iter import Bookmark, Progress, Source, afailover_stream, failover_stream
from failover_iter.ray import aremote, remote


def numbers() -> Iterator[int]:
    """A source that starts over."""
    yield 1


def rest(progress: Progress[int]) -> Iterator[int]:
    """A resumable one."""
    yield progress.delivered


def tokens(progress: Progress[int]) -> Iterator[int | Bookmark]:
    """One with bookmarks."""
    yield progress.delivered


def shard(name: str, progress: Progress[int]) -> Iterator[int]:
    """One with a parameter."""
    yield len(name) + progress.delivered


def sync() -> None:
    """In a blocking stream."""
    assert_type(remote(numbers), Callable[[], Iterable[int]])
    assert_type(remote(shard, batch=1, num_cpus=2)("a", Progress()), Iterable[int])
    stream = failover_stream([remote(rest)], retry_on=OSError, mid_stream="resume")
    assert_type(stream, Generator[int, Any, Any])
    source = Source(remote(numbers), name="eu")
    assert_type(failover_stream([source], retry_on=OSError), Generator[int, Any, Any])
    failover_stream([remote(tokens)], retry_on=OSError, mid_stream="resume")
    failover_stream([remote(partial(shard, "a"))], retry_on=OSError, mid_stream="resume")


def asynchronous() -> None:
    """In an async stream: the functions are the same."""
    assert_type(aremote(numbers), Callable[[], AsyncIterator[int]])
    stream = afailover_stream([aremote(rest, ahead=1)], retry_on=OSError, mid_stream="resume")
    assert_type(stream, AsyncGenerator[int, Any])
    afailover_stream([aremote(partial(shard, "a"))], retry_on=OSError, mid_stream="resume")
