"""Checks of single arguments: allowed values, and the messages for the others."""

from __future__ import annotations

import re
import types
from datetime import timedelta
from functools import partial, partialmethod
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from failover_iter import _validation
from failover_iter._core.usage import as_bool, is_usage_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def plain(*_: object) -> bool:
    return True


def generator(*_: object) -> Iterator[int]:
    yield 1


async def coroutine(*_: object) -> None: ...


async def async_generator(*_: object) -> AsyncIterator[int]:
    yield 1


class Plain:
    def __call__(self, *_: object) -> bool:
        return True

    def method(self, *_: object) -> bool:
        return True

    bound = partialmethod(method, 1)


class Awaitable:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Iterator[int]:
        yield 1


class AwaitableCallable(Awaitable):
    """A client that is a factory and can also be awaited."""

    def __call__(self) -> list[int]:
        return [1]


@types.coroutine
def generator_based(*_: object) -> Iterator[int]:
    yield 1


class Coroutine:
    async def __call__(self, *_: object) -> bool:
        return True

    async def method(self, *_: object) -> bool:
        return True

    @classmethod
    async def of_class(cls, *_: object) -> bool:
        return True

    @staticmethod
    async def static(*_: object) -> bool:
        return True

    bound = partialmethod(method, 1)


PLAIN = [
    plain,
    len,
    str,
    Plain,
    Plain(),
    Plain().method,
    Plain().bound,
    partial(plain, 1),
    partial(partial(Plain().method, 1), 2),
    Coroutine,  # calling the class itself returns an instance
]
ASYNC = [
    coroutine,
    async_generator,
    generator_based,
    partial(generator_based, 1),
    Coroutine(),
    Coroutine().method,
    Coroutine().bound,
    Coroutine.of_class,
    Coroutine.static,
    partial(coroutine, 1),
    partial(partial(Coroutine(), 1), 2),
    partial(Coroutine().method, 1),
    AsyncMock(),
]


@pytest.mark.parametrize("function", PLAIN)
def test_plain_callables_are_known_as_such(function: Callable[..., Any]) -> None:
    """A plain callable is neither async nor a generator function, and may be a callback."""
    assert not _validation.is_async(function)
    assert not _validation.is_generator_function(function)
    _validation.check_callback("on_event", function, "a function")


AS_A_PLAIN_FUNCTION = (
    r"^on_event must be a function, and a plain function, got .*([>)]|AsyncMock): "
    "its result is neither awaited nor iterated$"
)


@pytest.mark.parametrize("function", ASYNC)
def test_async_callables_are_recognized_behind_wrappers(function: Callable[..., Any]) -> None:
    """A coroutine function is refused as a callback, also behind partials and methods."""
    assert _validation.is_async(function)
    with pytest.raises(TypeError, match=AS_A_PLAIN_FUNCTION):
        _validation.check_callback("on_event", function, "a function")


@pytest.mark.parametrize("function", [generator, partial(generator, 1)])
def test_generator_functions_are_not_callbacks(function: Callable[..., Any]) -> None:
    """A generator function does nothing when called, so it is refused as a callback."""
    assert _validation.is_generator_function(function)
    assert not _validation.is_async(function)
    with pytest.raises(TypeError, match=AS_A_PLAIN_FUNCTION):
        _validation.check_callback("on_event", function, "a function")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0.0), (3, 3.0), (0.25, 0.25), (timedelta(minutes=1), 60.0), (timedelta(0), 0.0)],
)
def test_durations_are_read(value: float | timedelta, seconds: float) -> None:
    """Seconds and timedeltas are durations, zero included."""
    assert _validation.seconds_of("wait", value) == seconds


WRONG: list[tuple[Callable[[], object], type[Exception], str]] = [
    (
        lambda: _validation.check_callback("on_event", 5, "a function event -> anything"),
        TypeError,
        "on_event must be a function event -> anything, got 5",
    ),
    (
        lambda: _validation.check_bool("allow_empty", 1),
        TypeError,
        "allow_empty must be True or False, got 1",
    ),
    *[
        (
            lambda value=value: _validation.check_count("n", value, least=1, allowed="an int > 0"),
            error,
            f"n must be an int > 0, got {value!r}",
        )
        for value, error in [
            (True, TypeError),
            (1.0, TypeError),
            ("1", TypeError),
            (None, TypeError),
            (0, ValueError),
            (-1, ValueError),
        ]
    ],
    *[
        (
            lambda value=value: _validation.seconds_of("wait", value),
            TypeError,
            f"wait must be seconds (int or float) or a timedelta, got {value!r}",
        )
        for value in (True, "1", None, 1j, [])
    ],
    *[
        (
            lambda value=value: _validation.seconds_of("wait", value),
            ValueError,
            f"wait must be finite and not negative, got {value!r}",
        )
        for value in (-1, -0.5, float("inf"), float("nan"), timedelta(seconds=-1), 10**400)
    ],
    *[
        (
            lambda value=value: _validation.check_retry_on("retry_on", value),
            TypeError,
            f"retry_on takes subclasses of Exception (one, or a tuple of them) or a predicate, "
            f"got {named!r}. Other exceptions (",
        )
        for value, named in [
            (KeyboardInterrupt, KeyboardInterrupt),
            ((OSError, BaseException), BaseException),
            (int, int),
            ((OSError, "ValueError"), "ValueError"),
            ((OSError, (ValueError,)), (ValueError,)),
            ((OSError, ExceptionGroup[ValueError]), ExceptionGroup[ValueError]),
        ]
    ],
    *[
        (
            lambda value=value: _validation.check_retry_on("retry_on", value),
            TypeError,
            "retry_on must be an exception class, a tuple of them (not a list), or a predicate, "
            f"got {value!r}",
        )
        for value in ([OSError], None, "OSError", ExceptionGroup[ValueError])
    ],
    (
        lambda: _validation.check_retry_on("retry_on", ()),
        ValueError,
        "retry_on must name at least one exception class, got (): no exception of a source would",
    ),
    (
        lambda: _validation.check_factory("source[0]", iter([1])),
        TypeError,
        "source[0] must be a factory, got the iterator <list_iterator",
    ),
    (
        lambda: _validation.check_factory("source[0]", async_generator()),
        TypeError,
        "source[0] must be a factory, got the async iterator <async_generator",
    ),
    (
        lambda: _validation.check_factory("source[0]", Awaitable()),
        TypeError,
        "source[0] must be a factory, got the awaitable <",
    ),
    (
        lambda: _validation.check_factory("source[0]", [1, 2]),
        TypeError,
        "source[0] must be a factory (a callable that opens a stream), got a list: pass",
    ),
]


@pytest.mark.parametrize(("check", "error", "message"), WRONG, ids=[each[2][:70] for each in WRONG])
def test_the_message_names_the_wrong_value(
    check: Callable[[], object], error: type[Exception], message: str
) -> None:
    """A message names the option, the allowed values and the given value."""
    with pytest.raises(error, match="^" + re.escape(message)) as caught:
        check()
    assert type(caught.value) is error


@pytest.mark.parametrize("value", [OSError, (OSError, ValueError), plain, Exception])
def test_retry_on_takes_classes_and_predicates(value: Any) -> None:
    """Subclasses of Exception, tuples of them and predicates pass."""
    _validation.check_retry_on("retry_on", value)


def test_factories_pass() -> None:
    """Any callable may be a factory, and a count may be its minimum."""
    _validation.check_factory("source[0]", generator)
    _validation.check_factory("source[0]", AwaitableCallable())
    _validation.check_count("n", 1, least=1, allowed="an int")
    _validation.check_bool("b", False)


@pytest.mark.parametrize(
    ("value", "answer"), [(True, True), (0, False), ("x", True), (None, False)]
)
def test_the_result_of_a_predicate_is_a_bool(value: object, answer: bool) -> None:
    """The result of a predicate is true or false by the rules of Python."""
    assert as_bool("retry_on", value) is answer


def test_what_can_be_awaited() -> None:
    """Coroutines and their like can be awaited; generators and callables cannot."""
    pending = coroutine()
    awaitable = [pending, Awaitable(), AwaitableCallable(), generator_based()]
    assert all(map(_validation.is_awaitable, awaitable))
    pending.close()
    others = [generator(), async_generator(), coroutine, generator_based, Awaitable, None]
    assert not any(map(_validation.is_awaitable, others))


def test_a_predicate_must_not_return_an_awaitable() -> None:
    """An awaitable, which is always true, is incorrect use; a coroutine is closed, too."""
    pending = coroutine()
    for value in (pending, Awaitable(), generator_based()):
        message = "^the function of commit_when must return a bool, got an awaitable: <"
        with pytest.raises(TypeError, match=message) as caught:
            as_bool("commit_when", value)
        assert is_usage_error(caught.value)
    assert pending.cr_frame is None


def test_the_identity_of_callables() -> None:
    """A bound method is the same at each access, and differs from that of another object."""
    one, other = Plain(), Plain()
    assert _validation.identity(one.method) == _validation.identity(one.method)
    assert _validation.identity(one.method) != _validation.identity(other.method)
    assert _validation.identity(plain) == _validation.identity(plain)
    assert _validation.identity(plain) != _validation.identity(generator)
    assert _validation.identity(one) != _validation.identity(other)
