"""The options: frozen values, checked when they are built, safe to share."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic

from failover_iter._checks import (
    check_bool,
    check_callback,
    check_count,
    check_factory,
    check_limit,
    check_retry_on,
    limit_of,
    seconds_of,
)
from failover_iter._frozen import Frozen, changed
from failover_iter._strategies import Decide, Progress, Resume, Skip, check_mid_stream
from failover_iter._types import UNSET, Flavour, Mode, OpenedT, RetryOn, Unset

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
    from dataclasses import KW_ONLY
    from typing import Literal, TypeAlias

    from failover_iter._types import T
    from failover_iter.events import Event, Failed

    Limit: TypeAlias = float | timedelta | None
    Wait: TypeAlias = float | timedelta | Callable[[Failed], float | timedelta]
    CommitWhen: TypeAlias = int | Callable[[Any], bool]
    CompleteWhen: TypeAlias = Callable[[Any], bool] | None
    MidStream: TypeAlias = Mode | Skip | Resume | Decide

    Opened: TypeAlias = Iterable[T]
    AOpened: TypeAlias = AsyncIterable[T] | Awaitable[AsyncIterable[T]]
    Factories: TypeAlias = Iterable[
        Callable[[], Opened[T]] | Callable[[Progress], Opened[T]] | "Source[Opened[T]]"
    ]
    AFactories: TypeAlias = Iterable[
        Callable[[], AOpened[T]] | Callable[[Progress], AOpened[T]] | "Source[AOpened[T]]"
    ]


class Options(Frozen):
    """What a `Policy` holds: see `failover_stream` for the meaning of each option."""

    _: KW_ONLY
    retry_on: RetryOn
    mid_stream: MidStream | None = None
    attempts: int | None = 1
    reset_on_progress: bool = False
    wait: Wait = 0
    commit_when: CommitWhen = 1
    complete_when: CompleteWhen = None
    allow_empty: bool = True
    first_item_timeout: Limit = None
    idle_timeout: Limit = None
    total_timeout: Limit = None
    give_up_after: Limit = None
    on_exhausted: Literal["last", "group"] = "last"
    on_event: Callable[[Event], object] | None = None

    # What streams ask again and again is found out once; most have the answers of the class.

    #: How an attempt takes over, strategy objects in the place of "skip" and "resume".
    way: ClassVar[Mode | Skip | Resume | Decide] = "restart"
    #: Whether the items of a source have a limit of time.
    is_timed: ClassVar[bool] = False
    #: Whether any option looks at what was delivered.
    is_watching: ClassVar[bool] = False

    def __init__(
        self,
        *,
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
    ) -> None:
        given = self.__dict__  # what is not given stays with the class, and costs nothing
        check_retry_on(retry_on)
        given["retry_on"] = retry_on
        if mid_stream is not None:
            check_mid_stream(mid_stream)
            given["mid_stream"] = mid_stream
            given["way"] = _WAYS[mid_stream] if isinstance(mid_stream, str) else mid_stream
            given["is_watching"] = mid_stream not in _STARTING_OVER
        if attempts is not _ONE:
            check_attempts(attempts)
            given["attempts"] = attempts
        if reset_on_progress is not False:
            check_bool("reset_on_progress", reset_on_progress)
            given["reset_on_progress"] = reset_on_progress
            self._check_reset_on_progress()
        if wait is not _ZERO:
            check_wait(wait)
            given["wait"] = wait
            if callable(wait):
                given["is_watching"] = True
        if commit_when is not _ONE:
            check_commit_when(commit_when)
            given["commit_when"] = commit_when
        if complete_when is not None:
            check_complete_when(complete_when)
            given["complete_when"], given["is_watching"] = complete_when, True
        if allow_empty is not True:
            check_bool("allow_empty", allow_empty)
            given["allow_empty"] = allow_empty
        if first_item_timeout is not None:
            check_limit("first_item_timeout", first_item_timeout)
            given["first_item_timeout"], given["is_timed"] = first_item_timeout, True
        if idle_timeout is not None:
            check_limit("idle_timeout", idle_timeout)
            given["idle_timeout"], given["is_timed"] = idle_timeout, True
        if total_timeout is not None:
            check_limit("total_timeout", total_timeout)
            given["total_timeout"] = total_timeout
        if give_up_after is not None:
            check_limit("give_up_after", give_up_after)
            given["give_up_after"] = give_up_after
        if on_exhausted is not _LAST:
            check_on_exhausted(on_exhausted)
            given["on_exhausted"] = on_exhausted
        if on_event is not None:
            check_on_event(on_event)
            given["on_event"], given["is_watching"] = on_event, True
        if attempts is None:
            self._check_that_it_ends()

    def _check_that_it_ends(self) -> None:
        no_wait = not callable(self.wait) and seconds_of("wait", self.wait) == 0
        if no_wait and limit_of("give_up_after", self.give_up_after) == inf:
            raise ValueError(
                "attempts=None needs something that slows it down or ends it: set wait (seconds, "
                f"or backoff(...)) or give_up_after, got wait={self.wait!r} and "
                f"give_up_after={self.give_up_after!r}"
            )

    def _check_reset_on_progress(self) -> None:
        if not isinstance(self.way, Skip | Resume):
            raise ValueError(
                "reset_on_progress=True goes with mid_stream='skip' or 'resume' only, got "
                f"mid_stream={self.mode_given}: elsewhere an attempt repeats what was delivered, "
                "so it cannot tell whether it brought the stream further"
            )

    @property
    def mode_given(self) -> str:
        """What was given as `mid_stream`, for messages."""
        return "'restart' (not set)" if self.mid_stream is None else repr(self.mid_stream)


# What is the same object as the default needs no check; what only equals it is checked.
_ONE: Final = 1
_ZERO: Final = 0
_LAST: Final = "last"

_STARTING_OVER: Final = ("restart", "raise")
_WAYS: Final[dict[str, Any]] = {
    **{mode: mode for mode in _STARTING_OVER},
    "skip": Skip(),
    "resume": Resume(),
}


class Source(Frozen, Generic[OpenedT]):
    """A factory plus its name and its own settings.

    Args:
        factory: opens a stream: `() -> Iterable`, async `() -> AsyncIterable` or
            `async () -> AsyncIterable`; under "resume" or `Decide` called with a `Progress`.
        name: shown in events, errors and the log; the factory's own name unless given.
        close: `False`: keep hands off what the factory gave, at the end too.
        retry_on: what counts as its failure. This and all below mean what they do in
            `failover_stream`, for this source alone; where unset, those of the stream hold.
        mid_stream: how it takes over; "raise": it is passed over once items were delivered.
        attempts: openings before it is given up; `None` = no bound.
        reset_on_progress: count them anew after one that brought the stream further.
        wait: pause before it is opened again, in seconds, or `Failed -> seconds`.
        commit_when: what comes before it is held: a number of items, or a predicate on the item.
        complete_when: predicate on its last item: without it, it was cut.
        allow_empty: `False`: it has failed if it ends without an item.
        first_item_timeout: seconds from its opening until its first item.
        idle_timeout: seconds that each further item may take, and the first by default.

    Raises:
        TypeError: `factory` is no callable, or an option has a wrong type.
        ValueError: an option has a wrong value.

    Example:
        >>> from failover_iter import Source, failover_stream
        >>> def cache():
        ...     raise LookupError("not cached")
        ...     yield
        >>> def database():
        ...     yield "row"
        >>> sources = [Source(cache, retry_on=LookupError), database]
        >>> list(failover_stream(sources, retry_on=ConnectionError))
        ['row']
    """

    factory: Callable[[], OpenedT] | Callable[[Progress], OpenedT]
    _: KW_ONLY
    name: str | None = None
    close: bool = True
    retry_on: RetryOn | Unset = UNSET
    mid_stream: MidStream | Unset = UNSET
    attempts: int | Unset | None = UNSET
    reset_on_progress: bool | Unset = UNSET
    wait: Wait | Unset = UNSET
    commit_when: CommitWhen | Unset = UNSET
    complete_when: CompleteWhen | Unset = UNSET
    allow_empty: bool | Unset = UNSET
    first_item_timeout: Limit | Unset = UNSET
    idle_timeout: Limit | Unset = UNSET

    def __init__(
        self,
        factory: Callable[[], OpenedT] | Callable[[Progress], OpenedT],
        *,
        name: str | None = None,
        close: bool = True,
        retry_on: RetryOn | Unset = UNSET,
        mid_stream: MidStream | Unset = UNSET,
        attempts: int | Unset | None = UNSET,
        reset_on_progress: bool | Unset = UNSET,
        wait: Wait | Unset = UNSET,
        commit_when: CommitWhen | Unset = UNSET,
        complete_when: CompleteWhen | Unset = UNSET,
        allow_empty: bool | Unset = UNSET,
        first_item_timeout: Limit | Unset = UNSET,
        idle_timeout: Limit | Unset = UNSET,
    ) -> None:
        check_factory("Source(factory)", factory)
        if not isinstance(name, str | None):
            raise TypeError(f"Source(name=...) must be a str or None, got {name!r}")
        check_bool("Source(close=...)", close)
        self.__dict__.update(
            factory=factory,
            name=name,
            close=close,
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
        )
        for option, value in _own_options(self).items():
            _SOURCE_CHECKS[option](value)


def _own_options(source: Any) -> dict[str, Any]:
    """The options that a `Source` has of its own."""
    options = ((name, getattr(source, name)) for name in _SOURCE_CHECKS)
    return {name: value for name, value in options if value is not UNSET}


def over(source: Any, options: Options) -> Options:
    """The options that hold for a `Source` in a stream with those options."""
    own = _own_options(source)
    if not own:
        return options
    if own.get("mid_stream", "skip") in ("restart", "raise") and options.reset_on_progress:
        own.setdefault("reset_on_progress", False)  # it has no meaning for this source
    name = source.name or getattr(source.factory, "__name__", repr(source.factory))
    if options.mid_stream == "raise" and own.get("mid_stream", "raise") != "raise":
        raise ValueError(
            f"mid_stream={source.mid_stream!r} of source {name!r} can never "
            "hold: the stream's own mid_stream='raise' ends it at a failure after an item"
        )
    return changed(options, **own)


class Nested:
    """A factory that is itself a failover (`Policy.source`): opened by the stream around it."""

    options: Options
    #: Its sources, where they can be known before it is opened.
    entries: tuple[Any, ...] = ()

    def open(self, flavour: Flavour, handover: Any, announce: bool) -> Any:  # noqa: FBT001 (internal)
        """Open the stream inside, to go on from where the stream around is."""
        raise NotImplementedError

    def __call__(self, *_: object) -> Any:
        """Refuse: only a stream around it knows in which flavour."""
        raise TypeError("a Policy.source is opened by the stream that it is given to")


def check_attempts(value: object) -> None:
    """Refuse what is no number of openings."""
    if value is not None:
        check_count(
            "attempts", value, least=1, allowed="an int of at least 1, or None for no bound"
        )


def check_wait(value: object) -> None:
    """Refuse what is neither a duration nor a schedule."""
    allowed = "seconds, a timedelta or a function Failed -> seconds"
    if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
        seconds_of("wait", value)
    else:
        from failover_iter._backoff import backoff  # it imports what few need

        if value is backoff:
            raise TypeError(f"wait must be {allowed}, got backoff itself: call it, wait=backoff()")
        check_callback("wait", value, f"{allowed} (0: no pause)")


def check_commit_when(value: object) -> None:
    """Refuse what is neither a number of items nor a predicate."""
    if callable(value):
        check_callback("commit_when", value, "a number of items or a function item -> bool")
    else:
        allowed = "an int of at least 1 or a function item -> bool"
        check_count("commit_when", value, least=1, allowed=allowed)


def check_complete_when(value: object) -> None:
    """Refuse what is no predicate."""
    if value is not None:
        check_callback("complete_when", value, "a function item -> bool, or None")


def check_on_exhausted(value: object) -> None:
    """Refuse what is no way to end."""
    if value not in ("last", "group"):
        raise ValueError(f"on_exhausted must be 'last' or 'group', got {value!r}")


def check_on_event(value: object) -> None:
    """Refuse what is no listener; a class would be called once for each event."""
    allowed = "a function event -> anything (seen.append, say, or Trace()), or None"
    if isinstance(value, type):
        raise TypeError(f"on_event must be {allowed}, got the class {value!r}: make an instance")
    check_callback("on_event", value, allowed)


_SOURCE_CHECKS: dict[str, Callable[[Any], None]] = {
    "retry_on": check_retry_on,
    "mid_stream": check_mid_stream,
    "attempts": check_attempts,
    "reset_on_progress": lambda value: check_bool("reset_on_progress", value),
    "wait": check_wait,
    "commit_when": check_commit_when,
    "complete_when": check_complete_when,
    "allow_empty": lambda value: check_bool("allow_empty", value),
    "first_item_timeout": lambda value: check_limit("first_item_timeout", value),
    "idle_timeout": lambda value: check_limit("idle_timeout", value),
}
