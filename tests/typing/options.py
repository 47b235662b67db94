"""Type checkers must accept this: the types of `failover_iter.typing` in a user's own code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from datetime import timedelta
from typing import Any, TypeVar, Unpack, assert_type

from failover_iter import Event, Policy, afailover_stream, failover, failover_stream
from failover_iter.typing import (
    AFactories,
    CommitWhen,
    CompleteWhen,
    Decorator,
    Factories,
    Limit,
    MidStream,
    Mode,
    RetryOn,
    StreamOptions,
    Wait,
)

T = TypeVar("T")


def numbers() -> Iterator[int]:
    yield 1


async def anumbers() -> AsyncIterator[int]:
    yield 1


def stream(factories: Factories[T], **options: Unpack[StreamOptions]) -> Generator[T, Any, Any]:
    """A function that passes on the options."""
    return failover_stream(factories, **options)


def astream(factories: AFactories[T], **options: Unpack[StreamOptions]) -> AsyncGenerator[T, Any]:
    """Its async twin."""
    return afailover_stream(factories, **options)


def policy(**options: Unpack[StreamOptions]) -> Policy:
    """One that makes a policy."""
    return Policy(**options)


def decorator(**options: Unpack[StreamOptions]) -> Decorator:
    """One that makes a decorator."""
    return failover(**options)


assert_type(stream([numbers], retry_on=OSError, attempts=3), Generator[int, Any, Any])
assert_type(astream([anumbers], retry_on=OSError), AsyncGenerator[int, Any])
assert_type(policy(retry_on=OSError).stream([numbers]), Generator[int, Any, Any])


@decorator(retry_on=OSError)
def rows(name: str) -> Iterator[int]:
    """A decorated function keeps its parameters."""
    yield len(name)


assert_type(rows("a"), Generator[int, Any, Any])
assert_type(rows(name="a"), Generator[int, Any, Any])


def seen(event: Event) -> None:
    """A listener."""


retry_on: RetryOn = (OSError, ValueError)
mode: Mode = "skip"
mid_stream: MidStream = mode
wait: Wait = timedelta(seconds=1)
commit_when: CommitWhen = 2
complete_when: CompleteWhen = None
limit: Limit = 1.5
options: StreamOptions = {
    "retry_on": retry_on,
    "mid_stream": mid_stream,
    "wait": wait,
    "commit_when": commit_when,
    "complete_when": complete_when,
    "idle_timeout": limit,
    "on_event": seen,
}
assert_type(failover_stream([numbers], **options), Generator[int, Any, Any])
assert_type(failover_stream([numbers], mark_takeovers=False, **options), Generator[int, Any, Any])
