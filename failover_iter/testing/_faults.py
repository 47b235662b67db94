"""The errors that a plan can name. A new one is made each time one is raised."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias, cast

#: A failure of a source: an exception class, or a function that returns an exception.
ErrorMaker: TypeAlias = type[Exception] | Callable[[], Exception]

#: Errors that are not failures of a source: a pipeline must let them through.
TRANSPARENT = ("bug", "base", "mixed")
#: Names of errors that every plan can use, in addition to its own errors.
SPECIAL = ("falsy", "group", "chained", "stop", "cut", *TRANSPARENT)


class Bug(Exception):
    """A programming error. It is never a failure of a source; a pipeline must let it through."""


class Interrupt(BaseException):
    """An error that is not an `Exception`, like a cancellation; a pipeline must let it through."""


def make_error(name: str, errors: tuple[ErrorMaker, ...], message: str) -> BaseException:
    """Return a new error of this name; "" is the first of `errors`."""
    match name:
        case "bug":
            return Bug(message)
        case "base":
            return Interrupt(message)
        case "stop":
            return StopIteration(message)
        case "falsy":
            return _falsy(_class_of(errors[0]))()
        case "group":
            group = ExceptionGroup("inner", [_made(errors[0], message)])
            return ExceptionGroup("outer", [_made(errors[-1], message), group])
        case "mixed":
            inner = ExceptionGroup("inner", [_made(errors[0], message), Bug(message)])
            return ExceptionGroup("mixed", [_made(errors[0], message), inner])
        case _:  # "chained" gets its cause when it is raised; "cut", "503": a client's first error
            return _made(named(errors).get(name, errors[0]), message)


def leaves_of(error: BaseException | None) -> list[BaseException] | None:
    """Return the errors in an exception group, or None if `error` is not a group."""
    if not isinstance(error, BaseExceptionGroup):
        return None
    return list(cast("BaseExceptionGroup[BaseException]", error).exceptions)


def clear_frames(error: BaseException) -> None:
    """Drop what finished functions hold: those that an error has passed, and their callers."""
    for passed, _ in traceback.walk_tb(error.__traceback__):
        frame: Any = passed
        with suppress(RuntimeError, AttributeError):  # it still runs, or it has no caller
            while True:
                frame.clear()
                _ = frame.f_locals  # up to Python 3.12, this empties a dictionary made before
                frame = frame.f_back


def named(errors: tuple[ErrorMaker, ...]) -> dict[str, ErrorMaker]:
    """Return the errors of a plan by their names in marbles."""
    return {name_of(error): error for error in errors}


def name_of(error: ErrorMaker) -> str:
    """Return the name of an error in marbles and in the repr of a plan."""
    return getattr(error, "__name__", repr(error))


def _made(error: ErrorMaker, message: str) -> Exception:
    if not isinstance(error, type):
        return error()
    try:
        made: Exception = error(message)
    except TypeError as reason:
        raise TypeError(
            f"errors: {error.__name__} cannot be constructed from a message alone ({reason}); "
            "pass a function that returns an exception"
        ) from None
    return made


def _class_of(error: ErrorMaker) -> type[Exception]:
    return error if isinstance(error, type) else type(error())


def _falsy(error: type[Exception]) -> type[Exception]:
    """Return a subclass whose instances are false, like an exception with a length of 0."""
    if error not in _FALSY:
        _FALSY[error] = type(f"Falsy{error.__name__}", (_Falsy, error), {})
    return _FALSY[error]


class _Falsy:
    """Makes an error false, and constructible without arguments."""

    def __init__(self) -> None:
        pass

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "falsy"


_FALSY: dict[type[Exception], type[Exception]] = {}
