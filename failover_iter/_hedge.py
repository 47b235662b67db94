"""`hedge`: a source that opens a second source when the first is slow."""

# Annotations here are objects, not strings: see `public`.

from collections.abc import AsyncIterable, Awaitable, Iterable
from typing import Any, Unpack, overload

from failover_iter._percentile import After
from failover_iter._source import AFactories, Factories, Source
from failover_iter._types import T, public
from failover_iter.policy import Policy
from failover_iter.typing import StreamOptions


@overload
def hedge(
    factories: Factories[T],
    *,
    after: After,
    name: str | None = None,
    **options: Unpack[StreamOptions],
) -> Source[Iterable[T]]: ...
@overload
def hedge(
    factories: AFactories[T],
    *,
    after: After,
    name: str | None = None,
    **options: Unpack[StreamOptions],
) -> Source[AsyncIterable[T] | Awaitable[AsyncIterable[T]]]: ...
@public
def hedge(
    factories: Iterable[Any],
    *,
    after: After,
    name: str | None = None,
    **options: Unpack[StreamOptions],
) -> Source[Any]:
    """Return a source that opens a second source when the first is slow: `Policy.hedge`.

    The same as `Policy(**options).hedge(factories, after=after, name=name)`.

    Example:
        >>> from failover_iter import failover_stream, hedge
        >>> def primary():
        ...     yield from (1, 2)
        >>> def replica():
        ...     yield from (1, 2)
        >>> race = hedge([primary, replica], after=0.3, retry_on=ConnectionError)
        >>> list(failover_stream([race], retry_on=ConnectionError))
        [1, 2]
    """
    return Policy(**options).hedge(factories, after=after, name=name)
