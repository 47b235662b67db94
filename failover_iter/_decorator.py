"""`@failover`: a function that gives a stream gets fallbacks with the same parameters."""

from __future__ import annotations

import inspect
import re
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, cast, get_origin, overload

from failover_iter import _async, _sync
from failover_iter._begin import begin
from failover_iter._checks import check_factory, is_async, is_generator_function
from failover_iter._entries import Entry, name_of
from failover_iter._strategies import Decide, Progress, Resume
from failover_iter.policy import Policy

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Callable,
        Coroutine,
        Generator,
        Iterable,
    )
    from typing import Literal

    from typing_extensions import ParamSpec

    from failover_iter._options import CommitWhen, CompleteWhen, Limit, MidStream, Wait
    from failover_iter._types import Flavour, RetryOn, T
    from failover_iter.events import Event

    P = ParamSpec("P")


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
    policy = Policy(
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
    return policy.failover(*fallbacks)


class Decorator:
    """What `failover(...)` gives: call it with the function to decorate."""

    __slots__ = ("_fallbacks", "_policy")

    def __init__(self, policy: Policy, fallbacks: tuple[Callable[..., Any], ...]) -> None:
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
        resumes = isinstance(policy.way, Resume | Decide)
        if resumes:
            for each in functions:
                _check_progress(each, policy)
        calls = [
            _Call(each, index, policy, resumes=resumes) for index, each in enumerate(functions)
        ]
        drive: Callable[..., Any] = _sync.drive if flavour == "sync" else _async.drive

        @wraps(function)
        def stream(*args: Any, **kwargs: Any) -> Any:
            seed = None
            if resumes:
                args, kwargs, seed = _take_progress(calls[0].signature, args, kwargs)
            entries = [call.bind(args, kwargs) for call in calls]
            return drive(begin(policy, entries, flavour, announce=False, seed=seed))

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


def _check_progress(function: Callable[..., Any], policy: Policy) -> None:
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
        self, function: Callable[..., Any], index: int, policy: Policy, *, resumes: bool
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
