"""`chat_stream` and `achat_stream`: failover with defaults for LLM providers."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
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
from failover_iter.llm._chunk import AttemptUsage, has_content
from failover_iter.llm._context import ChatContext, Refusals
from failover_iter.llm._continue import ContinueWith
from failover_iter.llm._factory import chat_factory_of, group_of, in_context
from failover_iter.llm._judged import Judge, judged
from failover_iter.llm._kinds import error_kind, is_lasting, is_transient
from failover_iter.llm._listener import chat_listener
from failover_iter.llm._retry_after import is_too_long
from failover_iter.typing import AnyBudget, AnyHealth

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
    """The options of `chat_stream`: those of `failover_stream`, with other defaults.

    Use it to annotate a dict of options.

    Example:
        >>> from failover_iter.llm import Chunk, ChatOptions, chat_stream, is_unavailable
        >>> options: ChatOptions = {"retry_on": is_unavailable, "attempts": 2}
        >>> [chunk.text for chunk in chat_stream([lambda: [Chunk(text="Hello")]], **options)]
        ['Hello']
    """

    retry_on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
    switch_on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool] | None
    mid_stream: Literal["restart", "raise", "resume"] | Resume | Decide
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
    health: AnyHealth | None
    budget: AnyBudget | None
    refusals: Refusals
    on_usage: Callable[[AttemptUsage], object] | None


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
    """Stream one answer from several LLM providers: when one fails, ask the next one.

    This is `failover_stream` with other defaults; it takes all of its options. The sources come
    from the adapters (`openai_chat`, `anthropic_messages`, ...); any other source of chunks works
    too.

    The defaults that differ from those of `failover_stream`, and options to consider:

    - `retry_on=is_transient`.
    - `switch_on=is_lasting`: after a lack of credit or access, or for a model that does not exist,
      the next source is asked, and this one is not tried again. With `switch_on=None` and the
      `retry_on` above, a lack of access is raised.
    - `mid_stream="raise"`: an error after the first content is raised to the caller. If you can
      clear the screen, use "restart" with `mark_takeovers=True`. Use `continue_with(...)` to let
      the next provider continue the answer.
    - `commit_when=has_content`: chunks without content are discarded if their provider fails.
    - `refusals="answer"`: a refusal, or an answer that a filter cut off, is an answer with the
      finish reason "content_filter". With "switch" the next provider is asked instead, also if the
      refusal is an HTTP error.
    - `on_usage` is a function that is called with the `AttemptUsage` of each attempt after it has
      ended, however it has ended, if its provider reported one. So the usage is known even if every
      source fails, or if you leave early.
    - `wait` is 0. With `attempts` above 1, set it to `retry_after(...)`; a source that asks for a
      longer pause than its maximum is left at once.
    - `idle_timeout` is not set. It is the number of seconds to wait for the next chunk; a
      provider's pings do not count.

    Args:
        sources: Sources, in the order in which they are tried.
        mark_takeovers: Whether to yield a `Takeover` before the first chunk of a takeover; False
            by default.
        options: Options of `failover_stream`.

    Raises:
        TypeError: An option or a source has the wrong type.
        ValueError: An option has a value that is not allowed; `mid_stream="skip"` is not.
        NoSources: `sources` is empty.

    The stream raises the error of the last source: the exception of its SDK, or a `ProviderError`
    if the SDK raised none.

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
    stream: Generator[Any, Any, Any] = open_stream(
        failover_stream, sources, mark_takeovers=mark_takeovers, **options
    )
    return stream


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
    """Stream one answer from several LLM providers: the async version of `chat_stream`.

    This is `afailover_stream` with the defaults of `chat_stream`. It needs the SDKs' async
    clients. If you may leave the loop early, wrap the stream in `contextlib.aclosing`, so that the
    provider's stream is closed at once.

    Args:
        sources: Sources, in the order in which they are tried.
        mark_takeovers: Whether to yield a `Takeover` before the first chunk of a takeover; False
            by default.
        options: Options of `afailover_stream`.

    Raises:
        TypeError: An option or a source has the wrong type.
        ValueError: An option has a value that is not allowed; `mid_stream="skip"` is not.
        NoSources: `sources` is empty.

    The stream raises the error of the last source, as `chat_stream` does.

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
    stream: AsyncGenerator[Any, Any] = open_stream(
        afailover_stream, sources, mark_takeovers=mark_takeovers, **options
    )
    return stream


def open_stream(
    make: Callable[..., Any], sources: Any, *, judge: Judge | None = None, **options: Any
) -> Any:
    """Return the stream over these sources, blocking or async, as `make` makes it."""
    options = _DEFAULTS | options
    _refuse_skip("mid_stream", options["mid_stream"], sources)
    refusals = options.pop("refusals")
    if refusals not in {"answer", "switch"}:
        raise ValueError(f"refusals must be 'answer' or 'switch', got {refusals!r}")
    on_usage = options.pop("on_usage")
    if not (on_usage is None or callable(on_usage)):
        raise TypeError(f"on_usage must be a function AttemptUsage -> anything, got {on_usage!r}")
    make(sources, **options)  # this checks the arguments; nothing is opened
    context = ChatContext(refusals=refusals)
    if on_usage is not None:
        options["on_event"] = partial(_report, context, on_usage, options.get("on_event"))
    sources, options = _linked(sources, options, context, judge)
    return make(sources, **options)


_DEFAULTS: dict[str, Any] = {
    "retry_on": is_transient,
    "switch_on": is_lasting,
    "mid_stream": "raise",
    "commit_when": has_content,
    "refusals": "answer",
    "on_usage": None,
}


def _refuse_skip(option: str, mode: object, sources: Iterable[Any]) -> None:
    """Refuse "skip": two answers to one question are not the same sequence."""
    if mode == "skip" or isinstance(mode, Skip):
        raise ValueError(
            f"{option} must be 'raise', 'restart' or continue_with(...) in a chat stream, got "
            f"{mode!r}: another answer never repeats what was delivered"
        )
    for source in sources if isinstance(sources, Sequence) else ():
        _refuse_skip("Source(mid_stream=...)", getattr(source, "mid_stream", None), ())
        group = group_of(source)
        if group is not None:
            _refuse_skip("Policy(mid_stream=...)", group.options.mid_stream, group.given)


def _linked(
    sources: Any, options: dict[str, Any], context: ChatContext, judge: Judge | None
) -> tuple[Any, dict[str, Any]]:
    """Return the sources as the parts of one stream, and the options of that stream."""
    strategy = options["mid_stream"]
    if isinstance(strategy, ContinueWith):
        options["mid_stream"] = _decide(context, strategy)
    options["on_event"] = chat_listener(context, options.get("on_event"))
    options["switch_on"] = partial(_leaves, context, options.get("wait"), options["switch_on"])
    parts = _parts(sources, context, strategy)
    return (parts if judge is None else (judged(part, judge) for part in parts)), options


def _report(
    context: ChatContext,
    on_usage: Callable[[AttemptUsage], object],
    on_event: Callable[[Event], object] | None,
    event: Event,
) -> None:
    """Report the usage of attempts that have ended; an event follows the end of each."""
    for usage in context.take_usage():
        on_usage(usage)
    if on_event is not None:
        on_event(event)


def _leaves(context: ChatContext, wait: object, switch_on: Any, error: Exception) -> bool:
    """Whether the stream leaves the source at once after this error."""
    return (
        error is context.interruption  # the source has rejected every continuation
        or (context.refusals == "switch" and error_kind(error) == "filtered")
        or is_too_long(wait, error)
        or _matches(switch_on, error)
    )


def _matches(switch_on: Any, error: Exception) -> bool:
    if switch_on is None:
        return False
    is_class = isinstance(switch_on, type | tuple)
    return isinstance(error, switch_on) if is_class else switch_on(error)


def _parts(sources: Iterable[Any], context: ChatContext, strategy: object) -> Iterator[Any]:
    # A source is pulled from here only after the previous one has failed for good.
    for source in sources:
        part = _part(context, strategy, source)
        yield part
        factory = chat_factory_of(part)
        state = factory and factory.state
        if factory and factory.continuation.ends_in_restart and state and state.rejected_all:
            yield replace(part, mid_stream="restart")


def _part(context: ChatContext, strategy: object, source: Any) -> Any:
    """Return a source, or all sources of a `Policy.source`, as a part of the stream."""
    own = getattr(source, "mid_stream", None)
    mode = own if isinstance(own, str | Resume | Decide) else strategy
    continuation = mode if isinstance(mode, ContinueWith) else None
    group = group_of(source)
    part = (
        in_context(source, context, continuation)
        if group is None
        else replace(source, factory=_group(group, context, mode))
    )
    return (
        replace(part, mid_stream=_decide(context, own)) if isinstance(own, ContinueWith) else part
    )


def _group(group: Any, context: ChatContext, strategy: object) -> Any:
    """Return the group of a `Policy.source`; without its own mode it has that around it."""
    options = group.options
    mode = strategy if options.mid_stream is None else options.mid_stream
    return group.changed(
        partial(_part, context, mode),
        mid_stream=_decide(context, mode) if isinstance(mode, ContinueWith) else mode,
        switch_on=partial(_leaves, context, options.wait, options.switch_on),
        on_event=chat_listener(context, options.on_event),
    )


def _decide(context: ChatContext, continuation: ContinueWith) -> Decide:
    return Decide(partial(context.mode, continuation), keep=None)
