"""`failover_stream`, `afailover_stream` and `failover`, with the documentation of the options."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from typing import Any, Literal, Unpack, overload

from failover_iter._options import new_options, shows_options
from failover_iter._types import T, public
from failover_iter.events import Takeover
from failover_iter.policy import new_astream, new_stream
from failover_iter.typing import AFactories, Decorator, Factories, StreamOptions


@overload
def failover_stream(
    factories: Factories[T],
    *,
    mark_takeovers: Literal[False] = False,
    **options: Unpack[StreamOptions],
) -> Generator[T, Any, Any]: ...
@overload
def failover_stream(
    factories: Factories[T], *, mark_takeovers: bool, **options: Unpack[StreamOptions]
) -> Generator[T | Takeover, Any, Any]: ...
@public
@shows_options
def failover_stream(
    factories: Iterable[Any],
    *,
    mark_takeovers: bool = False,
    **options: Unpack[StreamOptions],
) -> Generator[Any, Any, Any]:
    """Return one stream over several sources: when a source fails, the next one takes over.

    A failure may come at any time, even mid-stream. Wrapping the call of a generator in `try`
    does not help there, because the work only starts when the generator is iterated.

    The function returns a generator. It calls no factory before the first item is requested, and
    no further factory before the current source has failed and is closed. If the factory,
    `iter()` or the next item raises an exception that matches `retry_on`, the attempt has failed.
    Any other exception, and whatever the consumer throws in, is raised unchanged. Every source is
    closed, however the stream ends. Use `contextlib.closing` if you may stop iterating early.

    Delivered items cannot be taken back. `mid_stream` sets how the next attempt takes over once
    there are some. Suppose that the first source yields 1, 2 and fails, and that the second
    yields 1, 2, 3:

    - "restart" (the default) delivers 1 2 1 2 3. The next attempt starts over, and the items
      repeat.
    - "raise" delivers 1 2 and raises the error. Once an item is delivered, nothing is retried.
      For work that must not be repeated (the safest choice).
    - "skip" delivers 1 2 3. The next attempt starts over, and the stream drops the items already
      delivered. For sources that replay the same sequence.
    - "resume" delivers 1 2 3. The stream calls the next factory with a `Progress`, and the
      factory yields only the items still missing.

    Args:
        factories: the sources, in the order in which they are tried. Each is a callable that
            opens a stream, `() -> Iterable`, or a `Source`, which has its own options. Any
            iterable works, even an infinite one, because it is read only as far as needed. With
            "resume" or `Decide`, each factory is called with one positional argument, the
            `Progress`.
        retry_on: which errors count as failures: an exception class, a tuple of classes, or a
            predicate on the error. Only subclasses of `Exception` are allowed. A `SourceError`
            always counts. An `ExceptionGroup` counts if it matches itself, or if all of its
            members do.
        switch_on: which errors leave their source at once, whatever `attempts` are left (not found,
            no access, expired). Checked before `retry_on`, which need not list them. `SourceError`
            here makes timeouts, truncated, empty and diverged streams final, too.
        mid_stream: how the next attempt takes over: one of the words above, or a `Skip`, `Resume`
            or `Decide` object. If it is not set, the mode is "restart", and the log says so when
            items first repeat.
        attempts: how often each source is tried before the stream switches to the next one;
            `None` = no limit. Then set `wait` or `give_up_after`, too.
        reset_on_progress: `True`: an attempt that made progress, by at least one new item,
            restores all `attempts` of its source. For sources with "skip", "resume" or `Decide`.
        wait: pause before the same source is retried: seconds, a timedelta, or a function
            `Failed -> seconds`, such as `backoff()`. Default: no pause. A switch to a source
            that this stream has not tried yet (it remembers the last 64) does not wait.
        commit_when: when an attempt starts to deliver: after this many items, or from the first
            item that meets the predicate. Earlier items are held back, and discarded if it fails.
        complete_when: predicate that the last item must meet. A stream that ends otherwise counts
            as truncated, and the attempt fails with `TruncatedStream`. Default: not checked.
        expect_items: how many items a complete stream has, counted since the last restart. If a
            source ends with fewer, the attempt fails with `TruncatedStream`. An item too many is
            not delivered, and the attempt fails with `DivergedStream`. Default: not checked.
        allow_empty: `False`: an attempt that ends without an item, or without meeting
            `commit_when`, fails with `EmptyStream`.
        first_item_timeout: time limit for the first item of an attempt, counted from its opening,
            in seconds or as a timedelta. When it expires, the attempt fails with `SourceTimeout`.
            `None` = no limit, here and for the next three options.
        idle_timeout: time limit for each further item, with the same effect, and for the first one
            if `first_item_timeout` is not set. The limits count only the time spent waiting for the
            source, not the consumer's time. Python cannot interrupt a blocked thread. Therefore a
            source runs in its own thread if this option, `first_item_timeout` or `total_timeout`
            is set. If it times out, it is abandoned there, and closed when its call returns.
        total_timeout: time limit for the whole stream, from the first request for an item to the
            end, including pauses and the consumer's time. When it expires, the stream raises
            `StreamTimeout`, and no other source is tried.
        give_up_after: how long an outage may last, counted from the first failure after the last
            received item. If a failure comes later than that, or the next pause would end later,
            the stream ends as if no source were left. It interrupts nothing.
        on_exhausted: what is raised when no source is left. "last": the last error, the same
            object, with the earlier ones in its notes. "group": an `AllSourcesFailed` of all.
        on_event: called with each event (see `failover_iter.events`), for example a `Trace`.
        health: a `Health` that many streams share: a source that failed lately is asked last.
        budget: a `Budget` that many streams share: how often they may retry.
        checkpoint: a `Checkpoint`: the next process goes on where this stream stops. For streams
            with a cursor.
        mark_takeovers: `True`: yield a `Takeover` marker just before the first item after a
            takeover. The items are then of type `T | Takeover`.

    Raises:
        TypeError: an option has the wrong type or does not exist, or a factory is not callable or
            is async.
        ValueError: an option has a value that is not allowed, or two options exclude each other.
        NoSources: `factories` is empty.

    During iteration, the stream raises the errors of the sources (see `on_exhausted`), the errors
    of the callbacks, and `ReusedIterator` if a factory returns a generator that has already ended.

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

    Source: "raise" ends a stream after the commit point of gRPC (proposal A6, client retries).
    """
    return new_stream(
        new_options(failover_stream, options), factories, mark_takeovers=mark_takeovers
    )


@overload
def afailover_stream(
    factories: AFactories[T],
    *,
    mark_takeovers: Literal[False] = False,
    **options: Unpack[StreamOptions],
) -> AsyncGenerator[T, Any]: ...
@overload
def afailover_stream(
    factories: AFactories[T], *, mark_takeovers: bool, **options: Unpack[StreamOptions]
) -> AsyncGenerator[T | Takeover, Any]: ...
@public
@shows_options
def afailover_stream(
    factories: Iterable[Any],
    *,
    mark_takeovers: bool = False,
    **options: Unpack[StreamOptions],
) -> AsyncGenerator[Any, Any]:
    """Return one async stream over several sources: the async twin of `failover_stream`.

    The function returns an async generator, which works under asyncio and trio alike. The options
    mean what they mean in `failover_stream`. A source is pulled in the task of the consumer, so
    its own timeouts and context variables work. `break` does not close an async generator. Use
    `contextlib.aclosing`, the only guarantee that the source is closed at once.

    Args:
        factories: the sources, in the order in which they are tried. Each is a callable,
            `() -> AsyncIterable` or `async () -> AsyncIterable`, or a `Source`. A result that has
            `__aiter__` is iterated; any other is awaited first.
        retry_on: which errors count as failures: an exception class, a tuple of classes, or a
            predicate on the error. Only subclasses of `Exception` are allowed, so a cancellation
            is always raised.
        switch_on: which errors leave their source at once, whatever `attempts` are left. Checked
            before `retry_on`, which need not list them.
        mid_stream: how the next attempt takes over once items were delivered: "restart" (the
            items repeat), "raise", "skip", "resume", or a `Skip`, `Resume` or `Decide` object.
        attempts: how often each source is tried; `None` = no limit.
        reset_on_progress: `True`: an attempt that made progress restores all `attempts` of its
            source.
        wait: pause before the same source is retried: seconds, a timedelta, or a function
            `Failed -> seconds`. The stream sleeps with the library that runs the task.
        commit_when: hold items back until this many have arrived, or until one meets the
            predicate.
        complete_when: predicate that the last item of a complete stream meets.
        expect_items: how many items a complete stream has.
        allow_empty: `False`: an attempt that ends without an item has failed.
        first_item_timeout: time limit for the first item of an attempt, in seconds or as a
            timedelta, counted from its opening.
        idle_timeout: time limit for each further item, and for the first one if
            `first_item_timeout` is not set.
        total_timeout: time limit for the whole stream. When it expires, the stream raises
            `StreamTimeout`.
        give_up_after: how long an outage may last before no further source is tried.
        on_exhausted: what the stream raises when no source is left. "last": the last error.
            "group": an `AllSourcesFailed` with all errors.
        on_event: plain function that is called with each event.
        health: a `Health` that many streams share: a source that failed lately is asked last.
        budget: a `Budget` that many streams share: how often they may retry.
        checkpoint: a `Checkpoint`: the next process goes on where this stream stops. For streams
            with a cursor.
        mark_takeovers: `True`: yield a `Takeover` marker just before the first item after a
            takeover.

    Raises:
        TypeError: an option has the wrong type or does not exist, or a factory is not callable or
            is sync.
        ValueError: an option has a value that is not allowed, or two options exclude each other.
        NoSources: `factories` is empty.

    During iteration, the stream raises the same errors as `failover_stream`.

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
    return new_astream(
        new_options(afailover_stream, options), factories, mark_takeovers=mark_takeovers
    )


@public
@shows_options
def failover(
    *fallbacks: Callable[..., Any],
    **options: Unpack[StreamOptions],
) -> Decorator:
    """Decorate a function that returns a stream: when it fails, its fallbacks take over.

    The function may be a generator function, an async generator function, a function that returns
    an iterable or (if its annotation says so) an async iterable, or a coroutine function that
    returns an async iterable. The decorated function keeps name, docstring and signature. It
    always returns the stream itself: a decorated coroutine function returns an async iterator,
    without `await`. Methods of any kind can be decorated, too. Their fallbacks receive `self` or
    `cls`.

    With `mid_stream="resume"` or `Decide`, all these functions must declare the keyword
    `progress: Progress = Progress()`. The caller may pass one, to start there.

    Args:
        fallbacks: functions with the same parameters as the decorated one, all sync or all async
            like it, in the order in which they are tried. Without fallbacks, set `attempts`.
        retry_on: which errors count as failures. This and all further options mean what they mean
            in `failover_stream`.
        switch_on: which errors leave their function at once, whatever `attempts` are left.
        mid_stream: how the next attempt takes over once items were delivered: "restart" (the
            items repeat), "raise", "skip", "resume" or a strategy object.
        attempts: how often each function is tried; `None` = no limit.
        reset_on_progress: `True`: an attempt that made progress restores all `attempts` of its
            function.
        wait: pause before the same function is retried: seconds, a timedelta, or a function
            `Failed -> seconds`.
        commit_when: hold items back until this many have arrived, or until one meets the
            predicate.
        complete_when: predicate that the last item of a complete stream meets.
        expect_items: how many items a complete stream has.
        allow_empty: `False`: an attempt that ends without an item has failed.
        first_item_timeout: time limit for the first item of an attempt, in seconds or as a
            timedelta, counted from the call.
        idle_timeout: time limit for each further item, and for the first one if
            `first_item_timeout` is not set.
        total_timeout: time limit for the whole stream. When it expires, the stream raises
            `StreamTimeout`.
        give_up_after: how long an outage may last before no further function is tried.
        on_exhausted: what the stream raises when no function is left. "last": the last error.
            "group": an `AllSourcesFailed` with all errors.
        on_event: function that is called with each event.
        health: a `Health` that many streams share: a source that failed lately is asked last.
        budget: a `Budget` that many streams share: how often they may retry.
        checkpoint: a `Checkpoint`: the next process goes on where this stream stops. For streams
            with a cursor.

    Raises:
        TypeError: an option has the wrong type or does not exist, a fallback is not callable,
            sync and async functions are mixed, or a function lacks `progress` under "resume".
        ValueError: an option has a value that is not allowed, or two options exclude each other.

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

    return StreamDecorator(new_options(failover, options), fallbacks)
