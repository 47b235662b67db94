"""Incorrect use fails at the call with a clear message, and never counts as a failure."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from decimal import Decimal
from functools import partial
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest
import trio

from failover_iter import (
    Decide,
    NoSources,
    Policy,
    Skip,
    Source,
    SourceError,
    afailover_stream,
    failover,
    failover_stream,
)
from failover_iter._validation import shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def good() -> Iterator[int]:
    yield 1


async def good_async() -> AsyncIterator[int]:
    yield 1


async def coroutine() -> AsyncIterator[int]:
    return good_async()


def stream_sync(**options: Any) -> object:
    return failover_stream([good], **options)


def stream_async(**options: Any) -> object:
    return afailover_stream([good_async], **options)


#: All callables that take options: each accepts and refuses the same ones.
WAYS = [stream_sync, stream_async, Policy, failover]
ways = pytest.mark.parametrize("give", WAYS)


def refuses(error: type[Exception], message: str) -> Any:
    return pytest.raises(error, match=re.escape(message))


# Options.


@ways
def test_retry_on_has_no_default(give: Callable[..., object]) -> None:
    """`retry_on` is required."""
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'retry_on'"):
        give()


@ways
@pytest.mark.parametrize(
    "listed",
    [KeyboardInterrupt, BaseException, asyncio.CancelledError, trio.Cancelled, BaseExceptionGroup],
)
def test_classes_that_retry_on_refuses(
    give: Callable[..., object], listed: type[BaseException]
) -> None:
    """A class that is not an `Exception` is refused, alone, in a tuple and in a `Source`."""
    message = re.escape(f"retry_on takes subclasses of Exception (one, or a tuple of them) or a "
                        f"predicate, got {listed!r}. ")  # fmt: skip
    for retry_on in (listed, (OSError, listed)):
        with pytest.raises(TypeError, match="^" + message):
            give(retry_on=retry_on)
        with pytest.raises(TypeError, match="^" + message):
            Source(good, retry_on=retry_on)  # type: ignore[arg-type]


@ways
@pytest.mark.parametrize("listed", [KeyboardInterrupt, BaseException, BaseExceptionGroup])
def test_classes_that_switch_on_refuses(
    give: Callable[..., object], listed: type[BaseException]
) -> None:
    """It takes what `retry_on` takes, and says its own name."""
    message = (
        "switch_on takes subclasses of Exception (one, or a tuple of them) or a predicate, got "
    )
    for switch_on in (listed, (OSError, listed)):
        with refuses(TypeError, message):
            give(retry_on=OSError, switch_on=switch_on)
        with refuses(TypeError, message):
            Source(good, switch_on=switch_on)  # type: ignore[arg-type]


@ways
def test_an_empty_switch_on(give: Callable[..., object]) -> None:
    """An empty tuple is refused: None says that nothing leaves a source at once."""
    message = "switch_on must name at least one exception class, got (): leave it out if no failure"
    with refuses(ValueError, message):
        give(retry_on=OSError, switch_on=())
    with refuses(ValueError, message):
        Source(good, switch_on=())
    give(retry_on=OSError, switch_on=None)
    give(retry_on=OSError, switch_on=SourceError)


@ways
def test_an_empty_retry_on(give: Callable[..., object]) -> None:
    """An empty tuple matches nothing and is refused; `SourceError` alone is allowed."""
    message = "retry_on must name at least one exception class, got (): no exception of a "
    with refuses(ValueError, message):
        give(retry_on=())
    with refuses(ValueError, message):
        Source(good, retry_on=())
    give(retry_on=SourceError)


@ways
@pytest.mark.parametrize("mid_stream", [None, "restart", "raise"])
def test_reset_on_progress_where_no_source_can_make_progress(
    give: Callable[..., Any], mid_stream: Any
) -> None:
    """If an attempt repeats items, it cannot be told whether it made progress."""
    shown = "'restart' (not set)" if mid_stream is None else repr(mid_stream)
    message = f"'resume' or a Decide, of the stream or of a source, got mid_stream={shown}: "
    with refuses(ValueError, message):
        given = give(retry_on=OSError, reset_on_progress=True, mid_stream=mid_stream)
        if give is failover:
            given(good)
        given.stream([good])  # a policy does not know its sources before


@ways
def test_unlimited_attempts_without_a_pause(give: Callable[..., object]) -> None:
    """`attempts=None` without a pause or an end would be an endless loop."""
    with refuses(ValueError, "attempts=None would retry forever without a pause: set "):
        give(retry_on=OSError, attempts=None)
    with refuses(ValueError, "got wait=0.0 and give_up_after=None"):
        give(retry_on=OSError, attempts=None, wait=0.0)
    with refuses(ValueError, "got wait=0 and give_up_after=inf"):
        give(retry_on=OSError, attempts=None, give_up_after=inf)
    give(retry_on=OSError, attempts=None, give_up_after=1)


LIMITS = ("first_item_timeout", "idle_timeout", "total_timeout", "give_up_after")
#: Values that are not a time limit, and the error for each.
NO_LIMITS: list[tuple[Any, type[Exception], str]] = [
    *(
        (value, ValueError, "must be more than 0 (None or infinity: no limit), got ")
        for value in (0, 0.0, -1, -0.5, nan, -inf, timedelta(0), timedelta(seconds=-1))
    ),
    *(
        (value, TypeError, "must be seconds (int or float), a timedelta or None, got ")
        for value in ("1", True, 1j, [1], Decimal(1))
    ),
]


@ways
@pytest.mark.parametrize("option", LIMITS)
@pytest.mark.parametrize(("value", "error", "message"), NO_LIMITS)
def test_wrong_time_limits(
    give: Callable[..., object], option: str, value: Any, error: type[Exception], message: str
) -> None:
    """Zero, negative numbers, NaN and other types are refused at the call."""
    with refuses(error, f"{option} {message}{value!r}"):
        give(retry_on=OSError, **{option: value})


@pytest.mark.parametrize("option", LIMITS[:2])
@pytest.mark.parametrize(("value", "error", "message"), NO_LIMITS)
def test_wrong_time_limits_of_a_source(
    option: str, value: Any, error: type[Exception], message: str
) -> None:
    """A source refuses the same values as a stream."""
    with refuses(error, f"{option} {message}{value!r}"):
        Source(good, **{option: value})


@ways
@pytest.mark.parametrize("option", LIMITS)
@pytest.mark.parametrize("value", [None, 1, 0.5, inf, 10**400, timedelta(hours=1)])
def test_time_limits(give: Callable[..., object], option: str, value: Any) -> None:
    """Seconds and timedeltas are limits; infinity and None mean no limit."""
    give(retry_on=OSError, **{option: value})


@ways
@pytest.mark.parametrize(
    ("option", "value", "error", "message"),
    [
        ("wait", -1, ValueError, "wait must be finite and not negative, got -1"),
        ("attempts", 0, ValueError, "attempts must be an int of at least 1, or None for no limit"),
        ("attempts", 1.0, TypeError, "attempts must be an int of at least 1, or None for no limit"),
        ("mid_stream", "replay", ValueError, "mid_stream must be 'restart', 'raise', 'skip' or"),
        ("commit_when", 0, ValueError, "commit_when must be an int of at least 1 or a function"),
        ("allow_empty", "no", TypeError, "allow_empty must be True or False, got 'no'"),
        (
            "on_exhausted",
            "first",
            ValueError,
            "on_exhausted must be 'last' or 'group', got 'first'",
        ),
    ],
)
def test_wrong_values(
    give: Callable[..., object], option: str, value: Any, error: type[Exception], message: str
) -> None:
    """A wrong value fails at the call with the same message in every callable."""
    with refuses(error, message):
        give(**{"retry_on": OSError, option: value})


# Callbacks.


async def async_callback(*_: object) -> bool:
    return False


class AsyncCallback:
    async def __call__(self, *_: object) -> bool:
        return False

    async def method(self, *_: object) -> bool:
        return False


CALLBACKS: dict[str, Callable[[Any], object]] = {
    "retry_on": lambda callback: Policy(retry_on=callback),
    "switch_on": lambda callback: Policy(retry_on=OSError, switch_on=callback),
    "wait": lambda callback: Policy(retry_on=OSError, wait=callback),
    "commit_when": lambda callback: Policy(retry_on=OSError, commit_when=callback),
    "complete_when": lambda callback: Policy(retry_on=OSError, complete_when=callback),
    "on_event": lambda callback: Policy(retry_on=OSError, on_event=callback),
    "Skip(key=...)": lambda callback: Skip(key=callback),
    "Decide(fn)": lambda callback: Decide(callback),
    "Decide(key=...)": lambda callback: Decide(lambda progress: "skip", key=callback),
}


ALLOWED = {
    "retry_on": "an exception class, a tuple of them (not a list), or a predicate",
    "switch_on": "an exception class, a tuple of them (not a list), or a predicate",
    "wait": "seconds, a timedelta or a function Failed -> seconds (0: no pause)",
    "commit_when": "a number of items or a function item -> bool",
    "complete_when": "a function item -> bool, or None",
    "on_event": "a function event -> anything (seen.append, for example, or Trace()), or None",
    "Skip(key=...)": "a function item -> str | bytes | int, or None",
    "Decide(fn)": "a function Progress -> mode",
    "Decide(key=...)": "a function item -> str | bytes | int, or None",
}


@pytest.mark.parametrize("option", CALLBACKS)
@pytest.mark.parametrize(
    "callback",
    [
        async_callback,
        good_async,
        partial(async_callback, 1),
        AsyncCallback(),
        AsyncCallback().method,
        partial(AsyncCallback(), 1),
    ],
)
def test_coroutine_functions_as_callbacks(option: str, callback: Any) -> None:
    """Each callback option refuses coroutine functions, also wrapped ones."""
    got = shown(callback)
    message = f"{option} must be {ALLOWED[option]}, and a plain function, got {got}: its result"
    with refuses(TypeError, message):
        CALLBACKS[option](callback)


# Factories, at the call.


FLAVOURS: list[Any] = [failover_stream, afailover_stream]
flavours = pytest.mark.parametrize("make", FLAVOURS)


@flavours
@pytest.mark.parametrize(
    ("factories", "error", "message"),
    [
        ([], NoSources, "factories is empty: there must be at least one source"),
        ((), NoSources, "factories is empty: there must be at least one source"),
        (len, TypeError, f"factories must be an iterable of factories, got {len!r}: put the sour"),
        (Source(len), TypeError, "factories must be an iterable of factories, got Source("),
        (5, TypeError, "factories must be an iterable of factories, got 5"),
        ([None], TypeError, "source[0] must be a factory (a callable that opens a stream), got N"),
        ([list, [1]], TypeError, "source[1] must be a factory (a callable that opens a stream), g"),
        ([list, iter([1])], TypeError, "source[1] must be a factory, got the iterator <list_iter"),
        ([good_async()], TypeError, "source[0] must be a factory, got the async iterator <async_"),
        ([len], TypeError, "source 'len' must be callable without arguments, got <built-in funct"),
    ],
)
def test_wrong_factories(
    make: Callable[..., object], factories: Any, error: type[Exception], message: str
) -> None:
    """A wrong entry in a list of factories fails at the call, sync and async."""
    with refuses(error, message):
        make(factories, retry_on=Exception)


def test_an_async_result_instead_of_its_factory() -> None:
    """A coroutine in the list is refused like an iterator: the function is needed."""
    opened = coroutine()
    with pytest.raises(TypeError, match=r"^source\[0\] must be a factory, got the awaitable <coro"):
        afailover_stream([opened], retry_on=OSError)  # type: ignore[list-item]
    opened.close()


def needs_table(table: str) -> Iterator[str]:
    yield table


@pytest.mark.parametrize("factory", [needs_table, lambda table: [table]])
def test_factories_that_need_arguments(factory: Any) -> None:
    """A factory that needs arguments is refused at the call."""
    with pytest.raises(TypeError, match="must be callable without arguments, got "):
        failover_stream([good, factory], retry_on=Exception)


@pytest.mark.parametrize("mid_stream", ["resume", Decide(lambda progress: "resume")])
@pytest.mark.parametrize(("make", "factory"), [(failover_stream, good), (FLAVOURS[1], good_async)])
def test_factories_without_a_parameter_under_resume(
    make: Any, factory: Any, mid_stream: Any
) -> None:
    """A factory that cannot take a `Progress` is refused at the call."""
    message = f"source {factory.__name__!r} must take one positional argument, the Progress, under"
    with refuses(TypeError, message):
        make([factory], retry_on=Exception, mid_stream=mid_stream)


@pytest.mark.parametrize("mode", ["restart", "skip", "resume", Decide(lambda progress: "skip")])
def test_a_mode_that_cannot_take_effect(mode: Any) -> None:
    """A mode that cannot take effect, because the stream has "raise", is refused at the call."""
    source = Source(lambda progress=None: [1], name="a", mid_stream=mode)
    with refuses(ValueError, f"mid_stream={mode!r} of source 'a' can never take effect: "):
        failover_stream([source], retry_on=OSError, mid_stream="raise")


def test_options_of_a_source_that_do_not_go_with_those_of_the_stream() -> None:
    """Options of a source that exclude those of the stream are a ValueError at the call."""
    with refuses(ValueError, "attempts=None would retry forever without a pause"):
        failover_stream([Source(good, attempts=None)], retry_on=OSError)


# Flavours.


@pytest.mark.parametrize("factory", [good_async, coroutine, partial(coroutine)])
def test_async_factories_in_a_blocking_stream(factory: Any) -> None:
    """An async function is refused at the call, with the name of the function to use."""
    with pytest.raises(TypeError, match=r"is async: use afailover_stream \(or Policy\.astream\)"):
        failover_stream([good, factory], retry_on=Exception)


@pytest.mark.parametrize("factory", [good, partial(good)])
def test_sync_factories_in_an_async_stream(factory: Any) -> None:
    """A generator function is refused at the call, with the name of the function to use."""
    with pytest.raises(TypeError, match=r"is sync: use failover_stream \(or Policy\.stream\)"):
        afailover_stream([good_async, factory], retry_on=Exception)
