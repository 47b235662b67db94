"""`@failover`: fallbacks for a function that returns a stream."""

from __future__ import annotations

import inspect
import re
from functools import WRAPPER_UPDATES, partial, wraps
from typing import TYPE_CHECKING, Any, cast, get_origin

from failover_iter._core.names import name_of
from failover_iter._core.run import new_run
from failover_iter._core.sources import ResolvedSource
from failover_iter._drivers import aio, sync
from failover_iter._mid_stream import Decide, Progress, Resume
from failover_iter._validation import check_factory, is_async, is_generator_function, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._options import Options
    from failover_iter._types import Flavour


class StreamDecorator:
    """Decorates a function with a policy and fallbacks: see `failover`."""

    __slots__ = ("_fallbacks", "_policy")

    def __init__(self, policy: Options, fallbacks: tuple[Callable[..., Any], ...]) -> None:
        self._policy = policy
        if policy.reset_on_progress and not policy.shows_progress:
            raise policy.no_progress()
        self._fallbacks = tuple(_function(fallback) for fallback in fallbacks)
        for fallback in self._fallbacks:
            check_factory("a fallback", fallback)

    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Decorate a function."""
        if isinstance(function, classmethod | staticmethod):
            rewrapped: Callable[..., Any] = _rewrap(function, self)
            return rewrapped
        check_factory("the decorated function", function)
        functions = (function, *self._fallbacks)
        flavour = _common_flavour(functions)
        policy = self._policy
        resumes = isinstance(policy.strategy, Resume | Decide)
        calls = [
            _Call(each, index, policy, resumes=resumes) for index, each in enumerate(functions)
        ]
        drive: Callable[..., Any] = sync.drive if flavour == "sync" else aio.drive

        # The attributes of a class are not those of a function: `stream` would look iterable.
        @wraps(function, updated=() if isinstance(function, type) else WRAPPER_UPDATES)
        def stream(*args: Any, **kwargs: Any) -> Any:
            seed = None
            if resumes:
                args, kwargs, seed = calls[0].take_progress(args, kwargs)
            sources = [call.bind(args, kwargs) for call in calls]
            return drive(new_run(policy, sources, flavour, seed=seed))

        return stream


def _rewrap(wrapped: Any, decorate: Callable[[Any], Any]) -> Any:
    """Decorate the function in a classmethod or staticmethod."""
    return type(wrapped)(decorate(wrapped.__func__))


def _function(fallback: Any) -> Any:
    """The function itself, if a fallback is a classmethod or staticmethod of a class body."""
    is_wrapped = isinstance(fallback, classmethod | staticmethod)
    return cast("Any", fallback).__func__ if is_wrapped else fallback


def _common_flavour(functions: tuple[Callable[..., Any], ...]) -> Flavour:
    """The flavour of the functions; "sync" if none of them shows one."""
    flavours: list[tuple[Callable[..., Any], Flavour | None]]
    flavours = [(each, _flavour(each)) for each in functions]
    if not any(flavour for _, flavour in flavours):
        # A decorator in between hides the kind of a function: look at what it wraps.
        flavours = [(each, _flavour(inspect.unwrap(each))) for each in functions]
    first, common = next((each for each in flavours if each[1] is not None), (None, None))
    for other, flavour in flavours:
        if flavour not in (None, common):
            raise TypeError(
                "the decorated function and its fallbacks must be all sync or all async: "
                f"{shown(first)} is {common}, {shown(other)} is {flavour}"
            )
    return common or "sync"


def _flavour(function: Callable[..., Any]) -> Flavour | None:
    """The flavour, from the kind of the function or its return annotation; None: unknown."""
    if is_async(function):
        return "async"
    if is_generator_function(function):
        return "sync"
    if isinstance(function, type):
        returned: Any = function
    else:
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


#: Reads a string annotation without evaluating it: its names may not be importable here.
_ABSTRACT = re.compile(r"(?:\w+\.)*(?P<is_async>Async)?(?:Iterator|Iterable|Generator)\b")


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """The signature; None if a callable does not tell, as many builtins do not."""
    for follow_wrapped in (False, True):  # what it takes itself, else what it wraps (lru_cache)
        try:
            return inspect.signature(function, follow_wrapped=follow_wrapped)
        except (TypeError, ValueError):
            continue
    return None


class _Call:
    """One of the functions, which is called with the arguments of the decorated function."""

    def __init__(
        self, function: Callable[..., Any], index: int, policy: Options, *, resumes: bool
    ) -> None:
        self.function = function
        self.index = index
        self.policy = policy
        self.resumes = resumes
        self.signature = _signature(function)
        self.name = name_of(function, index)
        if resumes:
            self.check_progress()

    def check_progress(self) -> None:
        """Refuse a function that cannot be called with `progress=...`."""
        signature = inspect.Signature() if self.signature is None else self.signature
        parameters = signature.parameters
        kinds = {each.kind for each in parameters.values()}
        declared = parameters.get("progress")
        if declared is None:
            if inspect.Parameter.VAR_KEYWORD in kinds:
                return
        elif declared.default is not inspect.Parameter.empty and (
            declared.kind is inspect.Parameter.KEYWORD_ONLY
            or (
                declared.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
                and inspect.Parameter.VAR_POSITIONAL not in kinds
            )
        ):
            return
        raise TypeError(
            f"{shown(self.function)} must declare progress: Progress = Progress() as a keyword, "
            f"under mid_stream={self.policy.mode_given}"
        )

    def take_progress(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], Progress[Any] | None]:
        """Split the arguments of a call into the `progress` of the caller, if any, and the rest."""
        signature = cast("inspect.Signature", self.signature)  # `progress` was found in it
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
            raise TypeError(f"progress must be a Progress, got {shown(seed)}")
        return args, kwargs, seed

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ResolvedSource:
        """Make a source; a call that does not fit the signature fails here, not as an outage."""
        progress = {"progress": None} if self.resumes else {}
        if self.signature is not None:
            try:
                self.signature.bind(*args, **kwargs, **progress)
            except TypeError as mismatch:
                raise TypeError(f"{self.name}() cannot take this call: {mismatch}") from None
        if self.resumes:
            factory = partial(_call_with_progress, self.function, args, kwargs)
        else:
            factory = partial(self.function, *args, **kwargs)
        source = ResolvedSource(factory, self.index, self.policy)
        source.name = self.name
        source.resumable = self.resumes
        return source


def _call_with_progress(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    progress: Progress[Any],
) -> Any:
    return function(*args, **kwargs, progress=progress)
