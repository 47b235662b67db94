"""Checks of single arguments: each names the option, the value and what is allowed."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from math import inf, isfinite
from types import CoroutineType, GenericAlias, MethodType
from typing import Any, cast

from failover_iter.errors import mark_usage_error

# Flags of code objects, by their names in `inspect`, which is slow to import.
CO_GENERATOR = 0x20
CO_ASYNC = 0x80 | 0x200  # CO_COROUTINE, CO_ASYNC_GENERATOR


def code_flags(function: object) -> int:
    """Flags of the code behind a callable, 0 where there is none to see."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, MethodType):
        function = function.__func__
    code = getattr(function, "__code__", None)
    if code is None and not isinstance(function, type):
        code = getattr(type(function).__call__, "__code__", None)
    return getattr(code, "co_flags", 0)


def is_async(function: object) -> bool:
    """Whether calling it gives a coroutine or an async generator, as far as can be seen."""
    return bool(code_flags(function) & CO_ASYNC)


def offers(value: object, method: str) -> bool:
    """Whether the type of a value has this special method, as Python itself looks for it."""
    return hasattr(type(value), method)


def is_generator_function(function: object) -> bool:
    """Whether calling it gives a generator, as far as can be seen."""
    return bool(code_flags(function) & CO_GENERATOR)


def check_callback(option: str, value: object, allowed: str) -> None:
    """Refuse what is no plain function: callbacks are called, never awaited."""
    if not callable(value) or isinstance(value, GenericAlias):
        raise TypeError(f"{option} must be {allowed}, got {value!r}")
    if code_flags(value) & (CO_ASYNC | CO_GENERATOR):
        raise TypeError(
            f"{option} must be {allowed}, as a plain function, got {value!r}: "
            "it is called, and what it gives is neither awaited nor iterated"
        )


def as_bool(option: str, value: object) -> bool:
    """What a predicate has answered; a coroutine would always be true."""
    if offers(value, "__await__"):
        if isinstance(value, CoroutineType):
            value.close()
        raise mark_usage_error(
            TypeError(f"the function of {option} must give a bool, got an awaitable: {value!r}")
        )
    return bool(value)


def identity(function: object) -> object:
    """What a callable is known by; a bound method is made anew at each access."""
    if isinstance(function, MethodType):
        return id(function.__self__), id(function.__func__)
    return id(function)


def check_bool(option: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(f"{option} must be True or False, got {value!r}")


def check_count(option: str, value: object, *, least: int, allowed: str) -> None:
    """Refuse what is no int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{option} must be {allowed}, got {value!r}")
    if value < least:
        raise ValueError(f"{option} must be {allowed}, got {value!r}")


def seconds_of(option: str, value: Any) -> float:
    """Read a duration: seconds or a timedelta, finite and not negative."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{option} must be seconds (int or float) or a timedelta, got {value!r}")
    else:
        try:
            seconds = float(value)
        except OverflowError:
            seconds = inf
    if not isfinite(seconds) or seconds < 0:
        raise ValueError(f"{option} must be finite and not negative, got {value!r}")
    return seconds


def check_limit(option: str, value: Any) -> None:
    """Refuse what is no limit of time: more than 0 seconds, infinity and None for no limit."""
    if value is not None:
        limit_of(option, value)


def limit_of(option: str, value: Any) -> float:
    """Read a limit of time, in seconds; infinity where there is none."""
    if value is None:
        return inf
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"{option} must be seconds (int or float), a timedelta or None, got {value!r}"
        )
    else:
        seconds = value
    if not seconds > 0:  # NaN is not
        raise ValueError(
            f"{option} must be more than 0 (None or infinity: no limit), got {value!r}"
        )
    try:
        return float(seconds)
    except OverflowError:
        return inf


def check_retry_on(value: Any) -> None:
    """Refuse what is neither exception classes nor a predicate, and what is no Exception."""
    if isinstance(value, type) and issubclass(value, Exception):
        return  # the usual case
    if isinstance(value, type | tuple):
        classes = cast("tuple[object, ...]", value if isinstance(value, tuple) else (value,))
        if not classes:
            raise ValueError(
                "retry_on must name at least one exception class, got (): no error of a source "
                "would be survived. To go on after a SourceError alone (a timeout, an empty or "
                "cut stream, one that a factory raises), set retry_on=SourceError"
            )
        for cls in classes:
            if not (isinstance(cls, type) and issubclass(cls, Exception)):
                raise TypeError(
                    "retry_on takes subclasses of Exception (one, or a tuple of them) or a "
                    f"predicate, got {cls!r}: what is no Exception (KeyboardInterrupt, "
                    "CancelledError, GeneratorExit) ends a stream and never causes a switch"
                )
    else:
        check_callback(
            "retry_on", value, "an exception class, a tuple of them (no list), or a predicate"
        )


def check_factory(option: str, value: object) -> None:
    """Refuse what cannot be called to open a stream."""
    if callable(value):
        return
    made = {"__next__": "iterator", "__anext__": "async iterator", "__await__": "awaitable"}
    for method, kind in made.items():
        if hasattr(value, method):
            raise TypeError(
                f"{option} must be a factory, got the {kind} {value!r}: pass the function that "
                "makes it, not its result (or lambda: make(...)): it is called when it is needed"
            )
    raise TypeError(
        f"{option} must be a factory (a callable that opens a stream), got {value!r}: give the "
        "function that makes the stream, neither the stream nor its items (a list as lambda: [...])"
    )
