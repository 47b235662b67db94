"""`failover_stream`, `afailover_stream` and `failover`, with the documentation of the options."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from typing import Any, Literal, Unpack, overload

from failover_iter._options import Options
from failover_iter._types import T, public
from failover_iter._validation import suggest_options
from failover_iter.events import Event, Takeover
from failover_iter.policy import new_astream, new_stream
from failover_iter.typing import (
    AFactories,
    CommitWhen,
    CompleteWhen,
    Decorator,
    Factories,
    Limit,
    MidStream,
    RetryOn,
    StreamOptions,
    Wait,
)


@overload
def failover_stream(
    factories: Factories[T],
    *,
    mark_takeovers: Literal[False] = False,
    **options: Unpack[StreamOptions],
) -> Generator[T, Any, Any]: ...
@overload
def failover_stream(
    factories: Factories[T],
    *,
    mark_takeovers: bool,
    **options: Unpack[StreamOptions],
) -> Generator[T | Takeover, Any, Any]: ...
@public
@suggest_options
def failover_stream(
    factories: Iterable[Any],
    *,
    retry_on: RetryOn,
    mid_stream: MidStream | None = None,
    attempts: int | None = 1,
    reset_on_progress: bool = False,
    wait: Wait = 0,
    commit_when: CommitWhen = 1,
    complete_when: CompleteWhen = None,
    allow_empty: bool = True,
    first_item_timeout: Limit = None,
    idle_timeout: Limit = None,
    total_timeout: Limit = None,
    give_up_after: Limit = None,
    on_exhausted: Literal["last", "group"] = "last",
    on_event: Callable[[Event], object] | None = None,
    mark_takeovers: bool = False,
) -> Generator[Any, Any, Any]:
    """Deliver one stream from several sources: when one fails, also midway, the next takes over.

    Gives a generator. Nothing is called before its first item is asked for, and the next source
    only when the one before it has failed and was closed. An exception that matches `retry_on`,
    raised by the factory, by `iter()` or by pulling an item, is a failure of the source; all
    others, and whatever the consumer throws in, reach the consumer untouched. However the stream
    ends, what was opened is closed; wrap it into `contextlib.closing` where you may break off.

    Items that were delivered when a source fails cannot be taken back: `mid_stream` says how the
    next one takes over. With `a` giving 1, 2 and then failing, and `b` good for 1, 2, 3:

    - "restart", the default: 1 2 1 2 3. The next source starts over, and items come again.
    - "raise": 1 2 and the error. After the first item no other source is tried.
    - "skip": 1 2 3. The next source starts over, and what was delivered is dropped.
    - "resume": 1 2 3. The next source is called with a `Progress`, and gives what is missing.

    Args:
        factories: callables that each open a stream, `() -> Iterable`, or `Source` objects, in
            the order in which they are tried. Any iterable, also an endless one, read as needed.
            Under "resume" and `Decide` they are called with one positional `Progress`.
        retry_on: what counts as a failure of the source: an exception class, a tuple of them, or
            a predicate on the error. Subclasses of Exception only. A `SourceError` always does,
            and an `ExceptionGroup` when it does itself or each of its leaves does.
        mid_stream: see above; or a `Skip`, `Resume` or `Decide` object. Left unset it is
            "restart", and the log says so when items are first delivered again.
        attempts: how often each source is opened before it is given up; `None` = no bound.
        reset_on_progress: after an attempt that brought the stream further, the source has all
            its `attempts` again ("skip" and "resume" only).
        wait: pause before the same source is opened again: seconds, a timedelta, or a function
            `Failed -> seconds`, as `backoff()` builds. A switch to a source that this stream has
            not opened before (the last 64 are remembered) does not wait.
        commit_when: from when on an attempt may deliver: after so many items, or with the first
            that meets the predicate. What comes before is held, and thrown away if it fails.
        complete_when: predicate on the last item. A source that ends without meeting it was cut,
            and has failed (`TruncatedStream`). Not checked by default.
        allow_empty: `False`: a source that ends without an item, or without meeting
            `commit_when`, has failed (`EmptyStream`).
        first_item_timeout: how long an attempt may take from its opening to its first item, in
            seconds or as a timedelta; past it the source has failed (`SourceTimeout`). None or
            infinity = no limit, as for the three below.
        idle_timeout: how long the source may take for each further item, and for the first where
            `first_item_timeout` is not set. Only waiting for the source counts, never the
            consumer's own time. With a limit on its items, or on the stream, a blocking source
            runs in a thread of its own, for Python cannot interrupt a blocked thread: past the
            limit the source is left alone there, and closed as soon as it comes back.
        total_timeout: how long the stream may take from its first pull to its end, pauses and
            the consumer's time included; past it the stream ends with `StreamTimeout`.
        give_up_after: how long an outage may last, counted from the first failure since an item
            was last received; a failure past it, or a pause that would lead past it, ends the
            stream as if no source were left. It interrupts nothing.
        on_exhausted: what the consumer gets when no source is left. "last": the last error, the
            same object, the earlier ones in its notes; "group": all of them, in order, in an
            `AllSourcesFailed`.
        on_event: called with each event (see `failover_iter.events`); a `Trace` is one.
        mark_takeovers: `True`: yield a `Takeover` marker just before the first item that a takeover
            delivers. The item type becomes `T | Takeover`.

    Raises:
        TypeError: an argument of a wrong type, a factory that is no callable or async.
        ValueError: an argument with a wrong value, options that exclude each other.
        NoSources: `factories` is empty.

    While it is iterated it raises the errors of the sources (see `on_exhausted`), what callbacks
    raise, and `ReusedIterator` if a factory hands out a generator that has ended.

    Example:
        >>> from failover_iter import failover_stream
        >>> def primary():
        ...     yield "one"
        ...     yield "two"
        ...     raise ConnectionError("reset by peer")
        >>> def replica():
        ...     yield from ("one", "two", "three")
        >>> list(failover_stream([primary, replica], retry_on=ConnectionError, mid_stream="skip"))
        ['one', 'two', 'three']

    Source: the point from which a failure is the consumer's (`mid_stream="raise"`) is gRPC's
    commit point (gRPC proposal A6, client retries).
    """
    options = Options(
        retry_on=retry_on,
        mid_stream=mid_stream,
        attempts=attempts,
        reset_on_progress=reset_on_progress,
        wait=wait,
        commit_when=commit_when,
        complete_when=complete_when,
        allow_empty=allow_empty,
        first_item_timeout=first_item_timeout,
        idle_timeout=idle_timeout,
        total_timeout=total_timeout,
        give_up_after=give_up_after,
        on_exhausted=on_exhausted,
        on_event=on_event,
    )
    return new_stream(options, factories, mark_takeovers=mark_takeovers)


@overload
def afailover_stream(
    factories: AFactories[T],
    *,
    mark_takeovers: Literal[False] = False,
    **options: Unpack[StreamOptions],
) -> AsyncGenerator[T, Any]: ...
@overload
def afailover_stream(
    factories: AFactories[T],
    *,
    mark_takeovers: bool,
    **options: Unpack[StreamOptions],
) -> AsyncGenerator[T | Takeover, Any]: ...
@public
@suggest_options
def afailover_stream(
    factories: Iterable[Any],
    *,
    retry_on: RetryOn,
    mid_stream: MidStream | None = None,
    attempts: int | None = 1,
    reset_on_progress: bool = False,
    wait: Wait = 0,
    commit_when: CommitWhen = 1,
    complete_when: CompleteWhen = None,
    allow_empty: bool = True,
    first_item_timeout: Limit = None,
    idle_timeout: Limit = None,
    total_timeout: Limit = None,
    give_up_after: Limit = None,
    on_exhausted: Literal["last", "group"] = "last",
    on_event: Callable[[Event], object] | None = None,
    mark_takeovers: bool = False,
) -> AsyncGenerator[Any, Any]:
    """Deliver one async stream from several sources: the async twin of `failover_stream`.

    Gives an async generator, under asyncio and trio alike. The options are those of
    `failover_stream` and mean the same; a source is pulled in the task of the consumer, so its
    own time limits and context variables work. `break` does not close an async generator: wrap
    it into `contextlib.aclosing`, which is the only guarantee that the source is closed at once.

    What `mid_stream` delivers, with `a` giving 1, 2 and then failing, and `b` good for 1, 2, 3:

    - "restart", the default: 1 2 1 2 3. The next source starts over, and items come again.
    - "raise": 1 2 and the error. After the first item no other source is tried.
    - "skip": 1 2 3. The next source starts over, and what was delivered is dropped.
    - "resume": 1 2 3. The next source is called with a `Progress`, and gives what is missing.

    Args:
        factories: `() -> AsyncIterable` or `async () -> AsyncIterable`, or `Source` objects. What
            has `__aiter__` is iterated; awaited is only what has none.
        retry_on: what counts as a failure of the source; never what is no Exception, so a
            cancellation always goes through.
        mid_stream: how the next attempt takes over once items were delivered.
        attempts: how often each source is opened before it is given up; `None` = no bound.
        reset_on_progress: count the attempts anew after one that brought the stream further.
        wait: pause before the same source is opened again, in seconds, with the sleep of the
            library that runs the task.
        commit_when: what comes before it is held: a number of items, or a predicate on the item.
        complete_when: predicate on the last item: a stream that ends without it was cut.
        allow_empty: `False`: an attempt that ends without an item has failed.
        first_item_timeout: seconds from opening a source until its first item.
        idle_timeout: seconds that each further item may take, and the first by default.
        total_timeout: seconds for the whole stream; past them it ends with `StreamTimeout`.
        give_up_after: seconds that an outage may last before no source is tried any more.
        on_exhausted: "last": the last error; "group": all of them, in an `AllSourcesFailed`.
        on_event: called with each event; a plain function.
        mark_takeovers: `True`: yield a `Takeover` marker before the first item of a takeover.

    Raises:
        TypeError: an argument of a wrong type, a factory that is no callable or sync.
        ValueError: an argument with a wrong value, options that exclude each other.
        NoSources: `factories` is empty.

    While it is iterated it raises what `failover_stream` does.

    Example:
        >>> import asyncio
        >>> from contextlib import aclosing
        >>> from failover_iter import afailover_stream
        >>> async def primary():
        ...     yield "one"
        ...     raise ConnectionError("reset by peer")
        >>> async def replica():
        ...     yield "one"
        ...     yield "two"
        >>> async def main():
        ...     stream = afailover_stream([primary, replica], retry_on=ConnectionError,
        ...                               mid_stream="skip")
        ...     async with aclosing(stream):
        ...         return [item async for item in stream]
        >>> asyncio.run(main())
        ['one', 'two']
    """
    options = Options(
        retry_on=retry_on,
        mid_stream=mid_stream,
        attempts=attempts,
        reset_on_progress=reset_on_progress,
        wait=wait,
        commit_when=commit_when,
        complete_when=complete_when,
        allow_empty=allow_empty,
        first_item_timeout=first_item_timeout,
        idle_timeout=idle_timeout,
        total_timeout=total_timeout,
        give_up_after=give_up_after,
        on_exhausted=on_exhausted,
        on_event=on_event,
    )
    return new_astream(options, factories, mark_takeovers=mark_takeovers)


@public
@suggest_options
def failover(
    *fallbacks: Callable[..., Any],
    retry_on: RetryOn,
    mid_stream: MidStream | None = None,
    attempts: int | None = 1,
    reset_on_progress: bool = False,
    wait: Wait = 0,
    commit_when: CommitWhen = 1,
    complete_when: CompleteWhen = None,
    allow_empty: bool = True,
    first_item_timeout: Limit = None,
    idle_timeout: Limit = None,
    total_timeout: Limit = None,
    give_up_after: Limit = None,
    on_exhausted: Literal["last", "group"] = "last",
    on_event: Callable[[Event], object] | None = None,
) -> Decorator:
    """Decorate a function that gives a stream: it goes on with the fallbacks when it fails.

    The decorated function keeps its name, docstring and signature. It may be a generator
    function, an async generator function, a function that returns an iterable or (annotated so)
    an async iterable, or a coroutine function that returns an async iterable; decorated, that one
    gives the async iterator at once, with nothing to await. Functions in a class, methods of any
    kind, work the same; the fallbacks get `self` or `cls` too.

    Under `mid_stream="resume"` or `Decide` all of them declare and receive `progress`, a keyword:
    `progress: Progress = Progress()`. A caller may pass one to start from there.

    Args:
        fallbacks: functions with the parameters of the one that is decorated, in the order in
            which they are tried. None at all is of use with `attempts`.
        retry_on: as in `failover_stream`, like all that follow.
        mid_stream: "restart" (items are delivered again), "raise", "skip", "resume" or a strategy.
        attempts: openings of each source before it is given up; `None` = no bound.
        reset_on_progress: count the attempts anew after one that brought the stream further.
        wait: pause before the same source is opened again, in seconds, or `Failed -> seconds`.
        commit_when: what comes before it is held: a number of items, or a predicate on the item.
        complete_when: predicate on the last item: a stream that ends without it was cut.
        allow_empty: `False`: an attempt that ends without an item has failed.
        first_item_timeout: seconds from opening a source until its first item.
        idle_timeout: seconds that each further item may take, and the first by default.
        total_timeout: seconds for the whole stream; past them it ends with `StreamTimeout`.
        give_up_after: seconds that an outage may last before no source is tried any more.
        on_exhausted: "last": the last error; "group": all of them, in an `AllSourcesFailed`.
        on_event: called with each event.

    Raises:
        TypeError: a fallback is no function, or of the other flavour (sync, async); under
            "resume" one of them does not declare `progress`; an option has a wrong type.
        ValueError: an option has a wrong value.

    Example:
        >>> from failover_iter import failover
        >>> def read_replica(table):
        ...     yield from (f"{table} 1", f"{table} 2")
        >>> @failover(read_replica, retry_on=ConnectionError, mid_stream="skip")
        ... def read_primary(table):
        ...     yield f"{table} 1"
        ...     raise ConnectionError("reset by peer")
        >>> list(read_primary("row"))
        ['row 1', 'row 2']
    """
    from failover_iter._decorator import StreamDecorator  # only programs that decorate need it

    options = Options(
        retry_on=retry_on,
        mid_stream=mid_stream,
        attempts=attempts,
        reset_on_progress=reset_on_progress,
        wait=wait,
        commit_when=commit_when,
        complete_when=complete_when,
        allow_empty=allow_empty,
        first_item_timeout=first_item_timeout,
        idle_timeout=idle_timeout,
        total_timeout=total_timeout,
        give_up_after=give_up_after,
        on_exhausted=on_exhausted,
        on_event=on_event,
    )
    return StreamDecorator(options, fallbacks)
