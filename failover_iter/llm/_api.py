"""`chat_stream` and `achat_stream`: the failover of streams, with defaults for LLM providers."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, Unpack, overload

from failover_iter import (
    Decide,
    Event,
    Failed,
    Progress,
    Resume,
    Skip,
    Source,
    Takeover,
    afailover_stream,
    failover_stream,
)
from failover_iter.llm._chat import with_continuation
from failover_iter.llm._chunk import has_content
from failover_iter.llm._continue import ContinueWith
from failover_iter.llm._transient import is_transient

__all__ = ["ChatOptions", "achat_stream", "chat_stream"]

T = TypeVar("T")
Seconds: TypeAlias = float | timedelta
Sources: TypeAlias = Iterable[
    Source[Iterable[T]] | Callable[[], Iterable[T]] | Callable[[Progress], Iterable[T]]
]
Opened: TypeAlias = AsyncIterable[T] | Awaitable[AsyncIterable[T]]
AsyncSources: TypeAlias = Iterable[
    Source[AsyncIterable[T]] | Callable[[], Opened[T]] | Callable[[Progress], Opened[T]]
]


class ChatOptions(TypedDict, total=False):
    """The options of `failover_stream`, with other defaults; see `chat_stream`."""

    retry_on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
    mid_stream: Literal["restart", "raise", "skip", "resume"] | Skip | Resume | Decide
    attempts: int | None
    reset_on_progress: bool
    wait: Seconds | Callable[[Failed], Seconds]
    commit_when: int | Callable[[Any], bool]
    complete_when: Callable[[Any], bool] | None
    allow_empty: bool
    first_item_timeout: Seconds | None
    idle_timeout: Seconds | None
    total_timeout: Seconds | None
    give_up_after: Seconds | None
    on_exhausted: Literal["last", "group"]
    on_event: Callable[[Event], object] | None


@overload
def chat_stream(
    sources: Sources[T], *, mark_takeovers: Literal[False] = False, **options: Unpack[ChatOptions]
) -> Generator[T, Any, Any]: ...
@overload
def chat_stream(
    sources: Sources[T], *, mark_takeovers: bool, **options: Unpack[ChatOptions]
) -> Generator[T | Takeover, Any, Any]: ...
def chat_stream(
    sources: Any, *, mark_takeovers: bool = False, **options: Any
) -> Generator[Any, Any, Any]:
    """Deliver one answer from several LLM providers: when one fails, the next one is asked.

    `failover_stream` with other defaults, and all of its options. The sources are those of the
    adapters (`openai_chat`, `anthropic_messages`, ...), or any others that give chunks.

    What is set here where nothing is said, and what it means:

    - `retry_on=is_transient`. With `is_unavailable` no access counts as a failure too.
    - `mid_stream="raise"`: once there was content, an error is yours. Or "restart" with
      `mark_takeovers=True` where the screen can be cleared, or `continue_with(...)` to have the
      next provider go on.
    - `commit_when=has_content`: what a failed provider said before is thrown away.
    - `wait=0`: set `retry_after(...)` with `attempts` above 1.
    - No `idle_timeout`: set it in seconds without a chunk; pings of the provider do not count.

    Args:
        sources: in the order in which they are tried.
        mark_takeovers: `True`: yield a `Takeover` before the first chunk of a takeover.
        options: those of `failover_stream`.

    Raises:
        TypeError: as `failover_stream`.
        ValueError: as `failover_stream`.
        NoSources: `sources` is empty.

    While it is iterated it raises the error of the last source, as its SDK raised it, or a
    `ProviderError` where it raised none.

    Example:
        >>> from failover_iter.llm import Chunk, ProviderError, chat_stream
        >>> def primary():
        ...     raise ProviderError("busy", provider="openai", code="server_error")
        ...     yield
        >>> def backup():
        ...     yield Chunk(text="Hello")
        ...     yield Chunk(finish_reason="stop")
        >>> "".join(chunk.text for chunk in chat_stream([primary, backup]))
        'Hello'
    """
    options = _DEFAULTS | options
    stream = failover_stream(sources, mark_takeovers=mark_takeovers, **options)
    continuing = _continuing(sources, options["mid_stream"])
    return (
        failover_stream(continuing, mark_takeovers=mark_takeovers, **options)
        if continuing
        else stream
    )


@overload
def achat_stream(
    sources: AsyncSources[T],
    *,
    mark_takeovers: Literal[False] = False,
    **options: Unpack[ChatOptions],
) -> AsyncGenerator[T, Any]: ...
@overload
def achat_stream(
    sources: AsyncSources[T], *, mark_takeovers: bool, **options: Unpack[ChatOptions]
) -> AsyncGenerator[T | Takeover, Any]: ...
def achat_stream(
    sources: Any, *, mark_takeovers: bool = False, **options: Any
) -> AsyncGenerator[Any, Any]:
    """Deliver one answer from several LLM providers: the async twin of `chat_stream`.

    `afailover_stream` with the defaults of `chat_stream`; the clients are the async ones. Wrap it
    into `contextlib.aclosing` where you may leave the loop early: then the provider's stream is
    closed at once.

    Args:
        sources: in the order in which they are tried.
        mark_takeovers: `True`: yield a `Takeover` before the first chunk of a takeover.
        options: those of `afailover_stream`.

    Raises:
        TypeError: as `afailover_stream`.
        ValueError: as `afailover_stream`.
        NoSources: `sources` is empty.

    While it is iterated it raises what `chat_stream` does.

    Example:
        >>> import asyncio
        >>> from failover_iter.llm import Chunk, achat_stream, acollect
        >>> async def primary():
        ...     raise TimeoutError("no answer")
        ...     yield
        >>> async def backup():
        ...     yield Chunk(text="Hello")
        ...     yield Chunk(finish_reason="stop")
        >>> asyncio.run(acollect(achat_stream([primary, backup]))).text
        'Hello'
    """
    options = _DEFAULTS | options
    stream = afailover_stream(sources, mark_takeovers=mark_takeovers, **options)
    continuing = _continuing(sources, options["mid_stream"])
    return (
        afailover_stream(continuing, mark_takeovers=mark_takeovers, **options)
        if continuing
        else stream
    )


_DEFAULTS: dict[str, Any] = {
    "retry_on": is_transient,
    "mid_stream": "raise",
    "commit_when": has_content,
}


def _continuing(sources: Iterable[Any], mid_stream: object) -> Iterator[Any] | None:
    """The sources, told how to go on with an answer, if that is what is wanted."""
    if not isinstance(mid_stream, ContinueWith):
        return None
    return _continuing_sources(sources, mid_stream)


def _continuing_sources(sources: Iterable[Any], continuation: ContinueWith) -> Iterator[Any]:
    # The next one is pulled from here once the one before it was given up.
    for source in sources:
        rejections: list[None] = []
        yield with_continuation(source, continuation, partial(rejections.append, None))
        if rejections and continuation.or_restart:
            yield replace(source, mid_stream="restart")
