"""A factory with its own options, and how these combine with the options of the stream."""

# Annotations here are objects, not strings: see `public`.

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Final, Generic, TypeAlias

from failover_iter._mid_stream import Bookmark, MidStream, Progress
from failover_iter._options import (
    CHECKS,
    CommitWhen,
    CompleteWhen,
    Limit,
    Options,
    Wait,
    changed_options,
)
from failover_iter._types import UNSET, OpenedT, RetryOn, T, Unset, public
from failover_iter._validation import (
    check_callback,
    check_factory,
    is_async,
    shown,
    suggest_options,
)

#: Makes a blocked source return: called with what its factory returned, and with the memo.
Abort: TypeAlias = Callable[[Any, dict[str, Any]], object]


@public
@suggest_options
@dataclass(frozen=True, repr=False)  # no slots: they break Source[T](...) before Python 3.13
class Source(Generic[OpenedT]):
    """A factory with a name and its own options.

    An option that is set here replaces the stream's option for this source alone. The others
    are those of the stream. `failover_stream` explains what each option means.

    Args:
        factory: callable that opens a stream: `() -> Iterable`; async: `() -> AsyncIterable` or
            `async () -> AsyncIterable`. With `mid_stream="resume"` or `Decide` it is called with
            a `Progress`.
        name: name in events, errors and the log. Default: the name of the factory.
        close: `False`: never close what the factory returns. A function: called with what the
            factory returned, instead of the `close` of that object, for example
            `lambda call: call.cancel()`. An iterator that is another object is closed first. In
            an async stream the function may return an awaitable, except with `in_thread`.
        abort: `(opened, memo) -> anything`, thread-safe: makes a blocked source return. Called
            once, from the consumer's thread, when a blocking source is abandoned (a timeout
            expired, or the consumer left). `opened` is what the factory returned, `memo` the
            dictionary of the stream in which a generator can leave a handle. Not called while
            the factory itself blocks, nor once the source is being closed. Its errors are logged.
            By default the method `failover_abort` of `opened`, if it has one.
        health_key: the name by which `health` knows the source, for example if it has different
            names in several policies. Default: its name in the events.
        retry_on: which errors count as failures of this source: an exception class, a tuple of
            them, or a predicate on the error.
        switch_on: which errors leave this source at once, whatever `attempts` are left.
        mid_stream: how this source takes over. "raise": it is skipped once the stream has
            delivered an item.
        attempts: how often this source is tried; `None` = no limit.
        reset_on_progress: `True`: an attempt that made progress restores all `attempts`.
        wait: pause before this source is retried: seconds, a timedelta, or a function
            `Failed -> seconds`.
        commit_when: hold items back until this many have arrived, or until one meets the
            predicate.
        complete_when: predicate that the last item must meet. A source that ends otherwise
            counts as truncated.
        expect_items: how many items a complete stream has, those of earlier sources included.
        allow_empty: `False`: an attempt that ends without an item has failed.
        first_item_timeout: time limit for the first item, in seconds or as a timedelta, counted
            from the opening.
        idle_timeout: time limit for each further item, and for the first one if
            `first_item_timeout` is not set.

    Raises:
        TypeError: `factory` is not callable, or an option has the wrong type.
        ValueError: an option has a value that is not allowed.

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
    close: bool | Callable[[Any], object] = True
    abort: Abort | None = None
    health_key: str | None = None
    retry_on: RetryOn | Unset = UNSET
    switch_on: RetryOn | Unset | None = UNSET
    mid_stream: MidStream | Unset = UNSET
    attempts: int | Unset | None = UNSET
    reset_on_progress: bool | Unset = UNSET
    wait: Wait | Unset = UNSET
    commit_when: CommitWhen | Unset = UNSET
    complete_when: CompleteWhen | Unset = UNSET
    expect_items: int | Unset | None = UNSET
    allow_empty: bool | Unset = UNSET
    first_item_timeout: Limit | Unset = UNSET
    idle_timeout: Limit | Unset = UNSET

    def __post_init__(self) -> None:
        """Check the factory and each option that was given."""
        factory: object = self.factory
        if isinstance(factory, Source):
            raise TypeError(
                "Source(factory) must be a factory, got a Source: use "
                "dataclasses.replace(source, ...) to change its options"
            )
        check_factory("Source(factory)", self.factory)
        if not isinstance(self.name, str | None):
            raise TypeError(f"Source(name=...) must be a str or None, got {self.name!r}")
        if not isinstance(self.health_key, str | None):
            raise TypeError(
                f"Source(health_key=...) must be a str or None, got {self.health_key!r}"
            )
        _check_close("Source(close=...)", self.close)
        _check_abort("Source(abort=...)", self.abort, self.factory)
        for option, value in options_of(self).items():
            CHECKS[option](option, value)

    def __repr__(self) -> str:
        """Show the factory by its name, and the options that were given."""
        name = getattr(self.factory, "__qualname__", None) or shown(self.factory)
        given = [name.rpartition("<locals>.")[2]]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value is not field.default:
                given.append(f"{field.name}={shown(value) if callable(value) else repr(value)}")
        return f"{type(self).__qualname__}({', '.join(given)})"


def _check_close(option: str, value: object) -> None:
    """Accept True, False or a function, also an async one."""
    if not isinstance(value, bool) and not callable(value):
        raise TypeError(
            f"{option} must be True, False or a function that closes what the factory returned, "
            f"got {shown(value)}"
        )


def _check_abort(option: str, value: object, factory: object) -> None:
    """Accept a plain function, for a blocking source."""
    if value is None:
        return
    check_callback(option, value, "a function (opened, memo) -> anything, or None")
    if is_async(factory):
        raise TypeError(
            f"{option} is for blocking sources, which a thread pulls, got {shown(value)} for the "
            f"async {shown(factory)}: an async source is cancelled, so it needs no abort"
        )


#: The options that a `Source` may set for itself.
SOURCE_OPTIONS: Final = [each.name for each in fields(Source) if each.name in CHECKS]


def options_of(source: Any) -> dict[str, Any]:
    """The options that were given to a source."""
    options = {option: getattr(source, option) for option in SOURCE_OPTIONS}
    return {option: value for option, value in options.items() if value is not UNSET}


def merged_options(source: Any, options: Options) -> Options:
    """The options of a stream, with those of one of its sources in effect."""
    own = options_of(source)
    if not own:
        return options
    mode = own.get("mid_stream")
    if mode in ("restart", "raise") and options.reset_on_progress:
        own.setdefault("reset_on_progress", False)  # the stream's value cannot apply to it
    if options.mid_stream == "raise" and mode not in (None, "raise"):
        name = source.name or getattr(source.factory, "__name__", shown(source.factory))
        raise ValueError(
            f"mid_stream={mode!r} of source {name!r} can never take effect: the stream has "
            "mid_stream='raise', so it ends at the first failure after an item"
        )
    return changed_options(options, own)


#: The result of a sync factory; bookmarks are not delivered.
Opened: TypeAlias = Iterable[T | Bookmark]
#: The result of an async factory; bookmarks are not delivered.
AOpened: TypeAlias = AsyncIterable[T | Bookmark] | Awaitable[AsyncIterable[T | Bookmark]]
#: The sources of a sync stream.
Factories: TypeAlias = Iterable[
    Callable[[], Opened[T]] | Callable[[Progress], Opened[T]] | Source[Opened[T]]
]
#: The sources of an async stream.
AFactories: TypeAlias = Iterable[
    Callable[[], AOpened[T]] | Callable[[Progress], AOpened[T]] | Source[AOpened[T]]
]
