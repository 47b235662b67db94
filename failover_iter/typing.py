"""The types in the signatures of the public functions, for annotations in your own code.

>>> from typing import Unpack
>>> from failover_iter import failover_stream
>>> from failover_iter.typing import StreamOptions
>>> def rows(**options: Unpack[StreamOptions]):
...     return failover_stream([lambda: ["row"]], **options)
>>> list(rows(retry_on=ConnectionError, attempts=3))
['row']
"""

# Annotations here are objects, not strings: a TypedDict cannot see `Required` in a string.

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Generator, Iterable
from typing import Any, Literal, NotRequired, Protocol, Required, TypedDict, overload

from failover_iter._mid_stream import Bookmark, MidStream
from failover_iter._options import CommitWhen, CompleteWhen, Limit, Wait
from failover_iter._source import AFactories, Factories
from failover_iter._types import AnyBudget, AnyCheckpoint, AnyHealth, Mode, P, RetryOn, T
from failover_iter.events import Event

__all__ = [
    "AFactories",
    "AnyBudget",
    "AnyCheckpoint",
    "AnyHealth",
    "CommitWhen",
    "CompleteWhen",
    "Decorator",
    "Factories",
    "Limit",
    "MidStream",
    "Mode",
    "RetryOn",
    "StreamOptions",
    "Wait",
]


class StreamOptions(TypedDict):
    """The options of `failover_stream`, `afailover_stream`, `failover` and `Policy`."""

    retry_on: Required[RetryOn]
    switch_on: NotRequired[RetryOn | None]
    mid_stream: NotRequired[MidStream | None]
    attempts: NotRequired[int | None]
    reset_on_progress: NotRequired[bool]
    wait: NotRequired[Wait]
    commit_when: NotRequired[CommitWhen]
    complete_when: NotRequired[CompleteWhen]
    expect_items: NotRequired[int | None]
    allow_empty: NotRequired[bool]
    first_item_timeout: NotRequired[Limit]
    idle_timeout: NotRequired[Limit]
    total_timeout: NotRequired[Limit]
    give_up_after: NotRequired[Limit]
    on_exhausted: NotRequired[Literal["last", "group"]]
    on_event: NotRequired[Callable[[Event], object] | None]
    health: NotRequired[AnyHealth | None]
    budget: NotRequired[AnyBudget | None]
    checkpoint: NotRequired[AnyCheckpoint | None]


class Decorator(Protocol):
    """The result of `failover(...)` and `Policy.failover(...)`: it decorates a function."""

    @overload
    def __call__(
        self, function: Callable[P, Iterable[T | Bookmark]], /
    ) -> Callable[P, Generator[T, Any, Any]]: ...
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, AsyncIterable[T | Bookmark]]], /
    ) -> Callable[P, AsyncGenerator[T, Any]]: ...
    @overload
    def __call__(
        self, function: Callable[P, AsyncIterable[T | Bookmark]], /
    ) -> Callable[P, AsyncGenerator[T, Any]]: ...
