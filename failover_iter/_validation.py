"""Checks of single arguments. Each error names the option, the allowed values and the value."""

from __future__ import annotations

from datetime import timedelta
from functools import partial, wraps
from math import inf, isfinite
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    GenericAlias,
    MethodType,
)
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from failover_iter._types import AnyT

# Flags of code objects. Their names are in `inspect`, which is slow to import.
CO_GENERATOR = 0x20
CO_ITERABLE_COROUTINE = 0x100  # a generator that `types.coroutine` made awaitable
CO_ASYNC = 0x80 | CO_ITERABLE_COROUTINE | 0x200  # with CO_COROUTINE and CO_ASYNC_GENERATOR


#: Objects whose repr shows nothing that they hold.
_SAFE: tuple[type, ...] = (
    type(None), bool, int, float, timedelta, type, GenericAlias, FunctionType, BuiltinFunctionType,
    GeneratorType, CoroutineType, AsyncGeneratorType,
)  # fmt: skip


def shown(value: object) -> str:
    """A value for a message, without what it holds: that may be a prompt, a key or a body."""
    kind = type(value)
    is_ours = kind.__module__.startswith("failover_iter.")
    if isinstance(value, _SAFE) or kind.__repr__ is object.__repr__ or is_ours:
        return repr(value)
    if isinstance(value, partial):
        return f"functools.partial({shown(value.func)}, ...)"
    if isinstance(value, MethodType):
        return f"<bound method {value.__qualname__}>"
    return f"{'an' if kind.__name__[0] in 'AEIOUaeiou' else 'a'} {kind.__name__}"


def code_flags(function: object) -> int:
    """The flags of the code behind a callable; 0 if it has no Python code."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, MethodType):
        function = function.__func__
    code = getattr(function, "__code__", None)
    if code is None and not isinstance(function, type):
        code = getattr(type(function).__call__, "__code__", None)
    return getattr(code, "co_flags", 0)


def is_async(function: object) -> bool:
    """Whether a call visibly returns an awaitable or an async generator."""
    return bool(code_flags(function) & CO_ASYNC)


def is_generator_function(function: object) -> bool:
    """Whether a call visibly returns a generator to iterate, not to await."""
    return code_flags(function) & (CO_GENERATOR | CO_ITERABLE_COROUTINE) == CO_GENERATOR


def offers(value: object, method: str) -> bool:
    """Whether the type of a value has this special method: where Python looks for it."""
    return hasattr(type(value), method)


def is_awaitable(value: object) -> bool:
    """Whether `await` accepts it; a generator of `types.coroutine` has no `__await__`."""
    if isinstance(value, GeneratorType):
        return bool(value.gi_code.co_flags & CO_ITERABLE_COROUTINE)
    return offers(value, "__await__")


def check_callback(option: str, value: object, allowed: str) -> None:
    """Accept a plain function: callbacks are called, never awaited."""
    if not callable(value) or isinstance(value, GenericAlias):
        raise TypeError(f"{option} must be {allowed}, got {value!r}")
    if code_flags(value) & (CO_ASYNC | CO_GENERATOR):
        raise TypeError(
            f"{option} must be {allowed}, and a plain function, got {shown(value)}: "
            "its result is neither awaited nor iterated"
        )


def identity(function: object) -> object:
    """A key for a callable; each access to a bound method creates a new object."""
    if isinstance(function, MethodType):
        return id(function.__self__), id(function.__func__)
    return id(function)


def check_bool(option: str, value: object) -> None:
    """Accept True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{option} must be True or False, got {value!r}")


def check_count(option: str, value: object, *, least: int, allowed: str) -> None:
    """Accept an int of at least `least`."""
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
    """Accept a time limit: more than 0 seconds, or infinity or None for no limit."""
    limit_of(option, value)


def limit_of(option: str, value: Any) -> float:
    """Read a time limit, in seconds; infinity for none."""
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
    if not seconds > 0:  # false for NaN, too
        raise ValueError(
            f"{option} must be more than 0 (None or infinity: no limit), got {value!r}"
        )
    try:
        return float(seconds)
    except OverflowError:
        return inf


def check_retry_on(option: str, value: Any) -> None:
    """Accept subclasses of Exception (one, or a tuple) or a predicate."""
    if not isinstance(value, type | tuple):
        check_callback(
            option, value, "an exception class, a tuple of them (not a list), or a predicate"
        )
        return
    classes = cast("tuple[object, ...]", value if isinstance(value, tuple) else (value,))
    if not classes:
        raise ValueError(
            f"{option} must name at least one exception class, got (): no exception of a source "
            "would count as a failure. To switch only after a SourceError (a timeout, an empty "
            f"or truncated stream, or one that a factory raises), set {option}=SourceError"
        )
    for cls in classes:
        if not (isinstance(cls, type) and issubclass(cls, Exception)):
            raise TypeError(
                f"{option} takes subclasses of Exception (one, or a tuple of them) or a "
                f"predicate, got {cls!r}. Other exceptions (KeyboardInterrupt, CancelledError, "
                "GeneratorExit) end a stream and never cause a switch"
            )


def check_factory(option: str, value: object) -> None:
    """Accept a callable."""
    if callable(value):
        return
    made = {"__next__": "iterator", "__anext__": "async iterator", "__await__": "awaitable"}
    for method, kind in made.items():
        if hasattr(value, method):
            raise TypeError(
                f"{option} must be a factory, got the {kind} {shown(value)}: pass the function "
                "that makes it instead of its result, for example lambda: make(...)"
            )
    raise TypeError(
        f"{option} must be a factory (a callable that opens a stream), got {shown(value)}: pass "
        "the function that opens the stream (for a list of items, lambda: [...])"
    )


_OF_THE_STREAM = "it is an option of the stream: pass it to failover_stream() or Policy()"
#: Options that people pass to the wrong callable, and where they belong.
_ELSEWHERE = {
    "mark_takeovers": "it is an argument of stream() and astream(), not an option of the policy",
    "total_timeout": _OF_THE_STREAM,
    "give_up_after": _OF_THE_STREAM,
    "on_exhausted": _OF_THE_STREAM,
    "on_event": _OF_THE_STREAM,
    "health": _OF_THE_STREAM,
    "budget": _OF_THE_STREAM,
    "name": "it is an option of a source: pass it to Source()",
    "health_key": "it is an option of a source: pass it to Source()",
    "close": "it is an option of a source: pass it to Source()",
    "abort": "it is an option of a source: pass it to Source()",
    "keep": "pass it to the strategy: mid_stream=Resume(keep=...)",
    "key": "pass it to the strategy: mid_stream=Skip(key=...)",
}

#: Options, and what other libraries call them.
_OTHER_WORDS = {
    "attempts": ("retries", "max_retries", "num_retries", "max_tries"),
    "retry_on": ("on", "exceptions", "exceptions_to_handle", "predicate"),
    "wait": ("backoff", "delay", "interval"),
    "mid_stream": ("mode",),
}


def suggest_options(target: AnyT) -> AnyT:
    """Make the error for an unknown option of a function or class suggest the right one."""
    if isinstance(target, type):
        target.__init__ = suggest_options(target.__init__)  # type: ignore[misc]
        return target
    function: Any = target

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except TypeError:
            refuse_unknown(function, options)
            raise

    return cast("AnyT", call)


def refuse_unknown(function: Callable[..., object], options: Iterable[str]) -> None:
    """Raise an error that suggests the right name if the function lacks one of these options."""
    from inspect import Parameter, signature

    parameters = signature(function).parameters
    unknown = next((option for option in options if option not in parameters), None)
    if unknown is not None:
        own = [name for name, each in parameters.items() if each.kind is Parameter.KEYWORD_ONLY]
        called = function.__qualname__.removesuffix(".__init__")
        hint = _hint(unknown, own)
        raise TypeError(f"{called}() got an unexpected option {unknown!r}: {hint}") from None


def _hint(unknown: str, options: Sequence[str]) -> str:
    """Where an unknown option belongs, or what it may be a misspelling of."""
    if unknown in _ELSEWHERE:
        return _ELSEWHERE[unknown]
    for option in options:
        if unknown in _OTHER_WORDS.get(option, ()):
            counted = ", which counts the first one too" if option == "attempts" else ""
            return f"did you mean {option!r}{counted}?"
    from difflib import get_close_matches  # for this error only

    close = get_close_matches(unknown, options, n=1, cutoff=0.85)
    close = close or get_close_matches(unknown, options)
    if not close:
        return f"its options are {', '.join(options)}"
    return f"did you mean {' or '.join(map(repr, close))}?"
