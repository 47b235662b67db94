"""The types of `failover_iter.sources`: what a stream over each source delivers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, assert_type

from failover_iter import Source, afailover_stream, failover_stream
from failover_iter.sources import kube_watch, pages


def numbers(token: int | None) -> tuple[list[int], int | None]:
    return [1], token


async def words(token: str | None) -> tuple[list[str], str | None]:
    return ["a"], token


def list_pods(namespace: str) -> Any: ...


assert_type(pages(numbers), Source[Generator[int]])
assert_type(pages(words), Source[AsyncGenerator[str]])
for number in failover_stream([pages(numbers)], retry_on=OSError):
    assert_type(number, int)


async def main() -> None:
    async for word in afailover_stream([pages(words)], retry_on=OSError):
        assert_type(word, str)


assert_type(kube_watch(list_pods, "default"), Source[Generator[dict[str, Any]]])
pages(numbers, begin=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
