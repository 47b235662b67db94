"""`@failover`: a function that gives a stream gets fallbacks with the same parameters."""

from __future__ import annotations

import inspect
import re
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, cast, get_origin, overload

from failover_iter._core.new_run import begin
from failover_iter._core.sources import Entry, name_of
from failover_iter._drivers import aio, sync
from failover_iter._drivers.log import log
from failover_iter._mid_stream import Decide, Progress, Resume
from failover_iter._validation import check_factory, is_async, is_generator_function

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Callable,
        Coroutine,
        Generator,
        Iterable,
    )

    from typing_extensions import ParamSpec

    from failover_iter._options import Options
    from failover_iter._types import Flavour, T

    P = ParamSpec("P")


class Decorator:
    """What `failover(...)` gives: call it with the function to decorate."""

    __slots__ = ("_fallbacks", "_policy")

    def __init__(self, policy: Options, fallbacks: tuple[Callable[..., Any], ...]) -> None:
        """Check the fallbacks."""
        self._policy = policy
        self._fallbacks = tuple(_function(fallback) for fallback in fallbacks)
        for fallback in self._fallbacks:
            check_factory("a fallback", fallback)

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, AsyncIterable[T]]], /
    ) -> Callable[P, AsyncGenerator[T, Any]]: ...
    @overload
    def __call__(
        self, function: Callable[P, AsyncIterable[T]], /
    ) -> Callable[P, AsyncGenerator[T, Any]]: ...
    @overload
    def __call__(
        self, function: Callable[P, Iterable[T]], /
    ) -> Callable[P, Generator[T, Any, Any]]: ...
    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Decorate."""
        if isinstance(function, classmethod | staticmethod):
            rewrapped: Callable[..., Any] = _rewrap(function, self)
            return rewrapped
        check_factory("the decorated function", function)
        functions = (function, *self._fallbacks)
        flavour = _common_flavour(functions)
        policy = self._policy
        resumes = isinstance(policy.strategy, Resume | Decide)
        if resumes:
            for each in functions:
                _check_progress(each, policy)
        calls = [
            _Call(each, index, policy, resumes=resumes) for index, each in enumerate(functions)
        ]
        drive: Callable[..., Any] = sync.drive if flavour == "sync" else aio.drive

        @wraps(function)
        def stream(*args: Any, **kwargs: Any) -> Any:
            seed = None
            if resumes:
                args, kwargs, seed = _take_progress(calls[0].signature, args, kwargs)
            entries = [call.bind(args, kwargs) for call in calls]
            return drive(
                begin(policy, entries, flavour, mark_takeovers=False, seed=seed, report=log)
            )

        return stream


def _rewrap(wrapped: Any, decorate: Callable[[Any], Any]) -> Any:
    """Decorate the function in a classmethod or staticmethod."""
    return type(wrapped)(decorate(wrapped.__func__))


def _function(fallback: Any) -> Any:
    """The function in a classmethod or staticmethod, as they stand in the body of a class."""
    is_wrapped = isinstance(fallback, classmethod | staticmethod)
    return cast("Any", fallback).__func__ if is_wrapped else fallback


def _common_flavour(functions: tuple[Callable[..., Any], ...]) -> Flavour:
    """The flavour of those that show one; "sync" where none does."""
    shown: list[tuple[Callable[..., Any], Flavour | None]] = [
        (each, _flavour(each)) for each in functions
    ]
    first, common = next((each for each in shown if each[1] is not None), (None, None))
    for other, flavour in shown:
        if flavour not in (None, common):
            raise TypeError(
                "the decorated function and its fallbacks must be all sync or all async: "
                f"{first!r} is {common}, {other!r} is {flavour}"
            )
    return common or "sync"


def _flavour(function: Callable[..., Any]) -> Flavour | None:
    """By the kind of the function, else by what it says that it returns; None: it does not show."""
    if is_async(function):
        return "async"
    if is_generator_function(function):
        return "sync"
    returned = getattr(function, "__annotations__", {}).get("return")
    if isinstance(returned, str):
        named = _ABSTRACT.match(returned)
        if named is None:
            return None
        return "async" if named["is_async"] else "sync"
    returned = get_origin(returned) or returned
    if hasattr(returned, "__aiter__"):
        return None if hasattr(returned, "__iter__") else "async"
    return "sync" if isinstance(returned, type) and hasattr(returned, "__iter__") else None


#: An annotation that is a string may name what cannot be imported here: read, not evaluated.
_ABSTRACT = re.compile(r"(?:\w+\.)*(?P<is_async>Async)?(?:Iterator|Iterable|Generator)\b")


def _check_progress(function: Callable[..., Any], policy: Options) -> None:
    parameters = inspect.signature(function, follow_wrapped=False).parameters
    declared = parameters.get("progress")
    takes_more = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters.values())
    if declared is None:
        if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
            return
    elif (
        declared.kind is inspect.Parameter.KEYWORD_ONLY
        or (declared.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and not takes_more)
    ) and declared.default is not inspect.Parameter.empty:
        return
    raise TypeError(
        f"{function!r} must declare progress: Progress = Progress() as a keyword, under "
        f"mid_stream={policy.mode_given}"
    )


def _take_progress(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], Progress[Any] | None]:
    """Part the arguments of a call from the `progress` that its caller gave, if any."""
    signature.bind(*args, **kwargs)
    kwargs = dict(kwargs)
    declared = signature.parameters.get("progress")
    if declared is not None and declared.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
        names = list(signature.parameters)
        place = names.index("progress")
        kwargs.update(zip(names[place:], args[place:], strict=False))
        args = args[:place]
    seed: Progress[Any] | None = kwargs.pop("progress", None)
    if not isinstance(seed, Progress | None):
        raise TypeError(f"progress must be a Progress, got {seed!r}")
    return args, kwargs, seed


class _Call:
    """One of the functions, to be called with the arguments of a call when its turn comes."""

    def __init__(
        self, function: Callable[..., Any], index: int, policy: Options, *, resumes: bool
    ) -> None:
        self.function = function
        self.index = index
        self.policy = policy
        self.resumes = resumes
        self.signature = inspect.signature(function, follow_wrapped=False)
        self.name = name_of(function, index)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """Make a source of it; a wrong call fails here, and not as an outage."""
        told = {"progress": None} if self.resumes else {}
        try:
            self.signature.bind(*args, **kwargs, **told)
        except TypeError as mismatch:
            raise TypeError(f"{self.name}() cannot take this call: {mismatch}") from None
        if self.resumes:
            factory = partial(_call_with_progress, self.function, args, kwargs)
        else:
            factory = partial(self.function, *args, **kwargs)
        entry = Entry(factory, self.index, self.policy)
        entry.name = self.name
        entry.resumable = self.resumes
        return entry


def _call_with_progress(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    progress: Progress[Any],
) -> Any:
    return function(*args, **kwargs, progress=progress)
