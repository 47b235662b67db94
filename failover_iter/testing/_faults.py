"""The errors that a plan can name, made anew each time one is raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

#: What a user names as a failure of a source: a class, or a function that makes an error.
ErrorMaker: TypeAlias = type[Exception] | Callable[[], Exception]

#: Errors that are no failure of the source: a pipeline has to let them through.
TRANSPARENT = ("bug", "base", "mixed")
#: Errors with a name of their own, beside those of the plan.
SPECIAL = ("falsy", "group", "stop", "cut", *TRANSPARENT)


class Bug(Exception):
    """Is never among the errors of a plan: a pipeline has to let it through."""


class Interrupt(BaseException):
    """Is no Exception, as a cancellation is none: a pipeline has to let it through."""


def make_error(name: str, errors: tuple[ErrorMaker, ...], message: str) -> BaseException:
    """A new error of this name; "" is the first of `errors`."""
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
            inner = ExceptionGroup("inner", [_made(errors[0], message)])
            return ExceptionGroup("outer", [_made(errors[-1], message), inner])
        case "mixed":
            return ExceptionGroup("mixed", [_made(errors[0], message), Bug(message)])
        case _:  # a connection that is cut, or a status: the first, as a client would raise it
            return _made(named(errors).get(name, errors[0]), message)


def leaves_of(error: BaseException | None) -> list[BaseException] | None:
    """What a group of errors holds; None for what is no group."""
    if not isinstance(error, BaseExceptionGroup):
        return None
    return list(cast("BaseExceptionGroup[BaseException]", error).exceptions)


def named(errors: tuple[ErrorMaker, ...]) -> dict[str, ErrorMaker]:
    """The errors of a plan by the names that a marble uses."""
    return {name_of(error): error for error in errors}


def name_of(error: ErrorMaker) -> str:
    """What an error is called in a marble, and in a plan that is pasted."""
    return getattr(error, "__name__", repr(error))


def _made(error: ErrorMaker, message: str) -> Exception:
    if not isinstance(error, type):
        return error()
    try:
        made: Exception = error(message)
    except TypeError as reason:
        raise TypeError(
            f"errors: {error.__name__} cannot be made from a message alone ({reason}); give a "
            "function that makes one"
        ) from None
    return made


def _class_of(error: ErrorMaker) -> type[Exception]:
    return error if isinstance(error, type) else type(error())


def _falsy(error: type[Exception]) -> type[Exception]:
    """A subclass whose errors are false, as those with a length of 0 are."""
    if error not in _FALSY:
        _FALSY[error] = type(f"Falsy{error.__name__}", (_Falsy, error), {})
    return _FALSY[error]


class _Falsy:
    """What makes an error false, and makes it without arguments."""

    def __init__(self) -> None:
        pass

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "falsy"


_FALSY: dict[type[Exception], type[Exception]] = {}
