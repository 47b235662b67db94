"""The options of a stream: one frozen value, checked when it is made."""

# Annotations here are objects, not strings: those of a subclass's `__init__` belong to its module.

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from inspect import signature
from math import inf
from typing import Any, Final, Literal, TypeAlias

from failover_iter._mid_stream import Decide, MidStream, Resume, Skip, check_mid_stream
from failover_iter._types import AnyBudget, AnyCheckpoint, AnyHealth, AnyT, Mode, RetryOn
from failover_iter._validation import (
    check_bool,
    check_callback,
    check_count,
    check_limit,
    check_retry_on,
    limit_of,
    offers,
    refuse_unknown,
    seconds_of,
)
from failover_iter.events import Event, Failed

#: A time limit: seconds or a timedelta; `None` or infinity = no limit.
Limit: TypeAlias = float | timedelta | None
#: A pause: seconds or a timedelta, or a function that computes it from the failure.
Wait: TypeAlias = float | timedelta | Callable[[Failed], float | timedelta]
#: When an attempt may deliver: after that many items, or from the first that meets the predicate.
CommitWhen: TypeAlias = int | Callable[[Any], bool]
#: A predicate that the last item of a complete stream meets; `None` = not checked.
CompleteWhen: TypeAlias = Callable[[Any], bool] | None

_SKIP: Final = Skip()
_RESUME: Final = Resume()


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a `Policy`; `failover_stream` documents each of them."""

    retry_on: RetryOn
    switch_on: RetryOn | None = None
    mid_stream: MidStream | None = None
    attempts: int | None = 1
    reset_on_progress: bool = False
    wait: Wait = 0
    commit_when: CommitWhen = 1
    complete_when: CompleteWhen = None
    expect_items: int | None = None
    allow_empty: bool = True
    first_item_timeout: Limit = None
    idle_timeout: Limit = None
    total_timeout: Limit = None
    give_up_after: Limit = None
    on_exhausted: Literal["last", "group"] = "last"
    on_event: Callable[[Event], object] | None = None
    health: AnyHealth | None = None
    budget: AnyBudget | None = None
    checkpoint: AnyCheckpoint | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        _check(self, {option: getattr(self, option) for option in CHECKS})

    def no_progress(self) -> ValueError:
        """The error for `reset_on_progress` where no source can make progress."""
        return ValueError(
            "reset_on_progress=True works only with mid_stream='skip', 'resume' or a Decide, of "
            f"the stream or of a source, got mid_stream={self.mode_given}: in other modes an "
            "attempt repeats delivered items, so it cannot be told whether it made progress"
        )

    @property
    def shows_progress(self) -> bool:
        """Whether an attempt that brings the stream further can be told from a repetition."""
        return isinstance(self.strategy, Skip | Resume | Decide)

    @property
    def is_timed(self) -> bool:
        """Whether the items of a source have a time limit."""
        return self.first_item_timeout is not None or self.idle_timeout is not None

    @property
    def mode_given(self) -> str:
        """The value of `mid_stream`, for messages."""
        return "'restart' (not set)" if self.mid_stream is None else repr(self.mid_stream)

    @property
    def strategy(self) -> Mode | Skip | Resume | Decide:
        """`mid_stream`, with the strategy objects instead of "skip" and "resume"."""
        match self.mid_stream:
            case None:
                return "restart"
            case "skip":
                return _SKIP
            case "resume":
                return _RESUME
            case strategy:
                return strategy


def check_switch_on(option: str, value: object) -> None:
    """Accept what `retry_on` accepts, or None."""
    if value == ():
        raise ValueError(
            f"{option} must name at least one exception class, got (): leave it out if no failure "
            "is to leave its source before the `attempts` are used up"
        )
    if value is not None:
        check_retry_on(option, value)


def check_attempts(option: str, value: object) -> None:
    """Accept a number of attempts, or None."""
    if value is not None:
        check_count(option, value, least=1, allowed="an int of at least 1, or None for no limit")


def check_wait(option: str, value: object) -> None:
    """Accept a duration, or a function that returns one."""
    allowed = "seconds, a timedelta or a function Failed -> seconds"
    backoff = sys.modules.get("failover_iter._backoff")  # whoever passes it has imported it
    if backoff is not None and value is backoff.backoff:
        raise TypeError(
            f"{option} must be {allowed}, got the function backoff: call it, {option}=backoff()"
        )
    if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
        seconds_of(option, value)
    else:
        check_callback(option, value, f"{allowed} (0: no pause)")


def check_commit_when(option: str, value: object) -> None:
    """Accept a number of items, or a predicate."""
    if callable(value):
        check_callback(option, value, "a number of items or a function item -> bool")
    else:
        allowed = "an int of at least 1 or a function item -> bool"
        check_count(option, value, least=1, allowed=allowed)


def check_complete_when(option: str, value: object) -> None:
    """Accept a predicate, or None."""
    if value is not None:
        check_callback(option, value, "a function item -> bool, or None")


def check_expect_items(option: str, value: object) -> None:
    """Accept a number of items, or None."""
    if value is not None:
        allowed = "an int of at least 0, or None if the number is not known"
        check_count(option, value, least=0, allowed=allowed)


def check_on_exhausted(option: str, value: object) -> None:
    """Accept one of the two words."""
    if value not in ("last", "group"):
        raise ValueError(f"{option} must be 'last' or 'group', got {value!r}")


def check_on_event(option: str, value: object) -> None:
    """Accept a listener; a class would be instantiated for each event."""
    allowed = "a function event -> anything (seen.append, for example, or Trace()), or None"
    if isinstance(value, type):
        raise TypeError(
            f"{option} must be {allowed}, got the class {value!r}: pass an instance of it"
        )
    check_callback(option, value, allowed)


def check_health(option: str, value: object) -> None:
    """Accept a `Health`, or None."""
    _check_offers(option, value, "a Health", ("admit", "aadmit", "report"))


def check_budget(option: str, value: object) -> None:
    """Accept a `Budget`, or None."""
    _check_offers(option, value, "a Budget", ("earn", "spend"))


def check_checkpoint(option: str, value: object) -> None:
    """Accept a `Checkpoint`, or None."""
    _check_offers(option, value, "a Checkpoint", ("open", "save", "release"))


def _check_offers(option: str, value: object, allowed: str, methods: tuple[str, ...]) -> None:
    if value is not None and not all(offers(value, method) for method in methods):
        raise TypeError(f"{option} must be {allowed}, or None, got {value!r}")


#: The check of each option, called with its name and value.
CHECKS: Final[dict[str, Callable[[str, Any], None]]] = {
    "retry_on": check_retry_on,
    "switch_on": check_switch_on,
    "mid_stream": check_mid_stream,
    "attempts": check_attempts,
    "reset_on_progress": check_bool,
    "wait": check_wait,
    "commit_when": check_commit_when,
    "complete_when": check_complete_when,
    "expect_items": check_expect_items,
    "allow_empty": check_bool,
    "first_item_timeout": check_limit,
    "idle_timeout": check_limit,
    "total_timeout": check_limit,
    "give_up_after": check_limit,
    "on_exhausted": check_on_exhausted,
    "on_event": check_on_event,
    "health": check_health,
    "budget": check_budget,
    "checkpoint": check_checkpoint,
}

_CHECKED: Final = {each.name: (each.default, CHECKS[each.name]) for each in fields(Options)}


def shows_options(function: AnyT) -> AnyT:
    """Show each option in the signature of a function that takes them as `**options`."""
    shown: Any = function
    own = signature(shown)
    sources, *others, last = own.parameters.values()
    assert last.kind is last.VAR_KEYWORD  # noqa: S101 (the options)
    options = signature(Options).parameters.values()
    # Without their types, which fill a screen.
    options_shown = [each.replace(annotation=each.empty) for each in options]
    shown.__signature__ = own.replace(parameters=[sources, *options_shown, *others])
    shown.__annotations__.update((each.name, each.annotation) for each in options)
    return function


def new_options(function: Callable[..., object], given: Mapping[str, Any]) -> Options:
    """Make the options that a function was given; an error about a name names the function."""
    if not given.keys() <= CHECKS.keys():
        refuse_unknown(function, given)
    if "retry_on" not in given:
        name = function.__qualname__
        raise TypeError(f"{name}() missing 1 required keyword-only argument: 'retry_on'")
    return _made(given)


def changed_options(options: Options, own: Mapping[str, Any]) -> Options:
    """Return the options with some of them changed; a subclass may not be made as `Options` is."""
    return _made({option: getattr(options, option) for option in CHECKS} | dict(own))


def _made(given: Mapping[str, Any]) -> Options:
    options = object.__new__(Options)  # `__init__` would set each option once more:
    vars(options).update(given)  # the defaults are attributes of the class
    _check(options, given)
    return options


def _check(options: Options, given: Mapping[str, Any]) -> None:
    """Check each of the options given that differs from its default, then how all combine."""
    for option, value in given.items():
        default, check = _CHECKED[option]
        if value is not default:
            check(option, value)
    if options.attempts is None:
        _check_that_it_ends(options)
    if options.reset_on_progress and options.mid_stream == "raise":
        raise options.no_progress()  # other modes may be those of the sources


def _check_that_it_ends(options: Options) -> None:
    wait = options.wait
    no_wait = not callable(wait) and seconds_of("wait", wait) == 0
    if no_wait and limit_of("give_up_after", options.give_up_after) == inf:
        raise ValueError(
            "attempts=None would retry forever without a pause: set wait (seconds, or "
            f"backoff(...)) or give_up_after, got wait={wait!r} and "
            f"give_up_after={options.give_up_after!r}"
        )
