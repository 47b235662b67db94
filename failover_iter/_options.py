"""The options: frozen values, checked when they are built, safe to share."""

from __future__ import annotations

import sys
from dataclasses import KW_ONLY, dataclass, replace
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Generic

from failover_iter._mid_stream import Decide, Progress, Resume, Skip, check_mid_stream
from failover_iter._types import UNSET, Flavour, Mode, OpenedT, RetryOn, Unset
from failover_iter._validation import (
    check_bool,
    check_callback,
    check_count,
    check_factory,
    check_limit,
    check_retry_on,
    limit_of,
    seconds_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
    from typing import Literal, TypeAlias

    from failover_iter._mid_stream import MidStream
    from failover_iter._types import T
    from failover_iter.events import Event, Failed

    Limit: TypeAlias = float | timedelta | None
    Wait: TypeAlias = float | timedelta | Callable[[Failed], float | timedelta]
    CommitWhen: TypeAlias = int | Callable[[Any], bool]
    CompleteWhen: TypeAlias = Callable[[Any], bool] | None

    Opened: TypeAlias = Iterable[T]
    AOpened: TypeAlias = AsyncIterable[T] | Awaitable[AsyncIterable[T]]
    Factories: TypeAlias = Iterable[
        Callable[[], Opened[T]] | Callable[[Progress], Opened[T]] | "Source[Opened[T]]"
    ]
    AFactories: TypeAlias = Iterable[
        Callable[[], AOpened[T]] | Callable[[Progress], AOpened[T]] | "Source[AOpened[T]]"
    ]


_ONE, _ZERO, _LAST = 1, 0, "last"  # the defaults, to be told by identity


@dataclass(frozen=True, kw_only=True, init=False)
class Options:
    """What a `Policy` holds: see `failover_stream` for the meaning of each option."""

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
        """Take them all at once: a stream is made in half the time that setting each would take."""
        values = {
            "retry_on": retry_on,
            "mid_stream": mid_stream,
            "attempts": attempts,
            "reset_on_progress": reset_on_progress,
            "wait": wait,
            "commit_when": commit_when,
            "complete_when": complete_when,
            "allow_empty": allow_empty,
            "first_item_timeout": first_item_timeout,
            "idle_timeout": idle_timeout,
            "total_timeout": total_timeout,
            "give_up_after": give_up_after,
            "on_exhausted": on_exhausted,
            "on_event": on_event,
        }
        object.__setattr__(self, "__dict__", values)
        if (
            mid_stream is None
            and complete_when is None
            and on_event is None
            and first_item_timeout is None
            and idle_timeout is None
            and total_timeout is None
            and give_up_after is None
            and attempts is _ONE
            and commit_when is _ONE
            and wait is _ZERO
            and reset_on_progress is False
            and allow_empty is True
            and on_exhausted is _LAST
        ):
            check_retry_on(retry_on)  # all else is as most streams have it
        else:
            self.__post_init__()

    __init__.__qualname__ = "Policy.__init__"  # that is what people call, and see in an error

    def __post_init__(self) -> None:
        """Check each option, and how they go together."""
        check_retry_on(self.retry_on)
        if self.mid_stream is not None:
            check_mid_stream(self.mid_stream)
        if type(self.attempts) is not int or self.attempts != 1:
            check_attempts(self.attempts)
        if self.reset_on_progress is not False:
            self._check_reset_on_progress()
        if type(self.wait) is not int or self.wait != 0:
            check_wait(self.wait)
        if type(self.commit_when) is not int or self.commit_when != 1:
            check_commit_when(self.commit_when)
        if self.complete_when is not None:
            check_complete_when(self.complete_when)
        if self.allow_empty is not True:
            check_bool("allow_empty", self.allow_empty)
        if self.first_item_timeout is not None:
            check_limit("first_item_timeout", self.first_item_timeout)
        if self.idle_timeout is not None:
            check_limit("idle_timeout", self.idle_timeout)
        if self.total_timeout is not None:
            check_limit("total_timeout", self.total_timeout)
        if self.give_up_after is not None:
            check_limit("give_up_after", self.give_up_after)
        if self.on_exhausted not in ("last", "group"):
            raise ValueError(f"on_exhausted must be 'last' or 'group', got {self.on_exhausted!r}")
        if self.on_event is not None:
            check_on_event(self.on_event)
        if self.attempts is None:
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
        check_bool("reset_on_progress", self.reset_on_progress)
        if not isinstance(self.strategy, Skip | Resume):
            raise ValueError(
                "reset_on_progress=True goes with mid_stream='skip' or 'resume' only, got "
                f"mid_stream={self.mode_given}: elsewhere an attempt repeats what was delivered, "
                "so it cannot tell whether it brought the stream further"
            )

    @property
    def is_timed(self) -> bool:
        """Whether the items of a source have a limit of time."""
        return self.first_item_timeout is not None or self.idle_timeout is not None

    @property
    def is_watching(self) -> bool:
        """Whether any option looks at what was delivered."""
        return (
            self.on_event is not None
            or self.complete_when is not None
            or self.mid_stream not in (None, "restart", "raise")
            or callable(self.wait)
        )

    @property
    def mode_given(self) -> str:
        """What was given as `mid_stream`, for messages."""
        return "'restart' (not set)" if self.mid_stream is None else repr(self.mid_stream)

    @property
    def strategy(self) -> Mode | Skip | Resume | Decide:
        """How an attempt takes over, strategy objects in the place of "skip" and "resume"."""
        match self.mid_stream:
            case None:
                return "restart"
            case "skip":
                return _SKIP
            case "resume":
                return _RESUME
            case strategy:
                return strategy


_SKIP, _RESUME = Skip(), Resume()


@dataclass(frozen=True)  # no slots: they break Source[T](...) before Python 3.13
class Source(Generic[OpenedT]):
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

    def __post_init__(self) -> None:
        """Check the factory and each option that was given."""
        check_factory("Source(factory)", self.factory)
        if not isinstance(self.name, str | None):
            raise TypeError(f"Source(name=...) must be a str or None, got {self.name!r}")
        check_bool("Source(close=...)", self.close)
        for option, check in _SOURCE_CHECKS.items():
            value = getattr(self, option)
            if value is not UNSET:
                check(value)


def merged_options(source: Any, options: Options) -> Options:
    """The options that hold for a `Source` in a stream with those options."""
    own = {name: getattr(source, name) for name in _SOURCE_CHECKS}
    own = {name: value for name, value in own.items() if value is not UNSET}
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
    return replace(options, **own)


class Nested:
    """A factory that is itself a failover (`Policy.source`): opened by the stream around it."""

    options: Options
    #: Its sources, where they can be known before it is opened.
    entries: tuple[Any, ...] = ()

    def open(self, flavour: Flavour, handover: Any, mark_takeovers: bool) -> Any:  # noqa: FBT001 (internal)
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
    schedules = sys.modules.get("failover_iter._backoff")  # imported by those who have one
    if schedules is not None and value is schedules.backoff:
        raise TypeError(f"wait must be {allowed}, got backoff itself: call it, wait=backoff()")
    if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
        seconds_of("wait", value)
    else:
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
