"""The types of `failover_iter.sources`: what a stream over each source delivers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any, assert_type

from failover_iter import Source, afailover_stream, failover, failover_stream
from failover_iter.sources import (
    boto3_fetch,
    google_fetch,
    keyset,
    kube_watch,
    pages,
    ranged,
    stripe_fetch,
)


def numbers(token: int | None) -> tuple[list[int], int | None]:
    return [1], token


async def words(token: str | None) -> tuple[list[str], str | None]:
    return ["a"], token


def list_pods(namespace: str) -> Any: ...


def list_dict(**request: Any) -> dict[str, Any]:
    return request


async def alist_dict(**request: Any) -> dict[str, Any]:
    return request


def anything(*_: Any) -> Any: ...


assert_type(pages(numbers), Source[Generator[int]])
assert_type(pages(words), Source[AsyncGenerator[str]])
for number in failover_stream([pages(numbers)], retry_on=OSError):
    assert_type(number, int)


async def main() -> None:
    async for word in afailover_stream([pages(words)], retry_on=OSError):
        assert_type(word, str)


assert_type(kube_watch(list_pods, "default"), Source[Generator[dict[str, Any]]])
pages(numbers, begin=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]

# A client whose methods have types.
assert_type(pages(boto3_fetch(list_dict)), Source[Generator[Any]])
assert_type(pages(boto3_fetch(alist_dict)), Source[AsyncGenerator[Any]])
assert_type(pages(google_fetch(list_dict)), Source[Generator[Any]])
assert_type(pages(google_fetch(alist_dict)), Source[AsyncGenerator[Any]])
assert_type(pages(stripe_fetch(list_dict)), Source[Generator[Any]])
assert_type(pages(stripe_fetch(alist_dict)), Source[AsyncGenerator[Any]])

# A function that does not say what it returns counts as sync.
failover_stream([pages(anything)], retry_on=OSError)
failover_stream([pages(boto3_fetch(anything))], retry_on=OSError)
failover_stream([pages(google_fetch(anything))], retry_on=OSError)
failover_stream([pages(stripe_fetch(anything))], retry_on=OSError)
failover_stream([ranged(anything, 3)], retry_on=OSError)
failover_stream([ranged(lambda start: anything(start), 3)], retry_on=OSError)
failover_stream([keyset(anything, "select id from rows", key="id")], retry_on=OSError)
decorated: Callable[[str], Iterator[Any]] = failover(retry_on=OSError)(anything)
