"""What stands in `factories`: plain callables and `Source` objects, checked and named."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import inf
from types import FunctionType
from typing import TYPE_CHECKING, Any

from failover_iter._mid_stream import Decide, Progress, Resume
from failover_iter._source import Nested, Source, merged_options
from failover_iter._types import UNSET
from failover_iter._validation import (
    CO_ASYNC,
    CO_GENERATOR,
    check_factory,
    is_async,
    is_generator_function,
    limit_of,
    offers,
)
from failover_iter.errors import NoSources, mark_usage_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_iter._options import Options
    from failover_iter._types import Flavour

_OTHER_FLAVOUR = {"sync": CO_ASYNC, "async": CO_GENERATOR, None: 0}


class Entry:
    """A source as the core uses it: its factory and the options that hold for it."""

    # Class attributes are what most sources never change: to make one is half the work then.
    owned = True
    #: Whether it says itself how it takes over, and whether that may be not at all.
    sets_mode = False
    has_own_mode = False
    #: Whether the factory is called with a `Progress`.
    resumable = False
    #: Whether it is a failover itself.
    nests = False
    _name: str | None = None

    def __init__(self, factory: Callable[..., Any], index: int, options: Options) -> None:
        """Take a plain factory; a `Source` says more."""
        self.factory = factory
        self.index = index
        self.options = options

    @property
    def name(self) -> str:
        """The name of the source; made when somebody wants to know it."""
        if self._name is None:
            self._name = name_of(self.factory, self.index)
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = name


def read_factories(
    factories: Iterable[Any], flavour: Flavour | None, options: Options
) -> tuple[Entry, ...] | Iterable[Any]:
    """Check what can be checked at the call: all of a list or tuple, nothing of a lazy iterable."""
    if isinstance(factories, (list, tuple)):
        if not factories:
            raise NoSources("factories is empty: there must be at least one source")
        return tuple(
            [read_entry(item, index, flavour, options) for index, item in enumerate(factories)]
        )
    if callable(factories) or isinstance(factories, str | bytes | Source):
        raise TypeError(
            f"factories must be an iterable of factories, got {factories!r}: "
            "put the source into a list, [source], also when it is the only one"
        )
    if not (offers(factories, "__iter__") or offers(factories, "__getitem__")):
        raise TypeError(f"factories must be an iterable of factories, got {factories!r}")
    return factories


def read_entry(item: Any, index: int, flavour: Flavour | None, options: Options) -> Entry:
    """Check one factory or `Source`."""
    if type(item) is Entry:
        return item  # made and checked by @failover
    if type(item) is FunctionType and options.mid_stream in _NOT_RESUMABLE:
        code = item.__code__  # the usual case, in one look
        other = code.co_flags & _OTHER_FLAVOUR[flavour]
        if not (code.co_argcount or code.co_kwonlyargcount or other):
            return Entry(item, index, options)
    if isinstance(item, Source):
        entry = Entry(item.factory, index, merged_options(item, options))
        entry.name = item.name
        entry.owned = item.close
        entry.sets_mode = item.mid_stream is not UNSET
        entry.has_own_mode = item.mid_stream == "raise" or isinstance(item.mid_stream, Decide)
    else:
        check_factory(f"source[{index}]", item)
        entry = Entry(item, index, options)
    entry.nests = isinstance(entry.factory, Nested)
    if isinstance(entry.factory, Nested):
        _leave_limits_to(entry.factory, item, entry)
    else:
        entry.resumable = isinstance(entry.options.strategy, Resume | Decide)
    _check_flavour(entry, flavour)
    _check_parameters(entry)
    _check_nested(entry)
    return entry


def _leave_limits_to(nested: Nested, item: Any, entry: Entry) -> None:
    """Let a `Policy.source` with a limit of its own judge its sources: it would switch in time."""
    idle = limit_of("idle_timeout", nested.options.idle_timeout)
    first = limit_of("first_item_timeout", nested.options.first_item_timeout)
    left: dict[str, Any] = {}
    if item.idle_timeout is not UNSET:
        return  # said of this source, it is meant for it, and for its first item too
    if idle < inf:
        left["idle_timeout"] = inf
    if min(first, idle) < inf and item.first_item_timeout is UNSET:
        left["first_item_timeout"] = inf
    if left:
        entry.options = replace(entry.options, **left)


_NOT_RESUMABLE = (None, "restart", "raise", "skip")


def name_of(factory: object, index: int) -> str:
    """The factory's own name, or its place where it has no good one."""
    while isinstance(factory, partial):
        factory = factory.func
    name = getattr(factory, "__name__", None) or type(factory).__name__
    return f"source[{index}]" if name == "<lambda>" else str(name)


def _check_flavour(entry: Entry, flavour: Flavour | None) -> None:
    if flavour == "sync" and is_async(entry.factory):
        raise wrong_flavour(entry.name, flavour)
    if flavour == "async" and is_generator_function(entry.factory):
        raise wrong_flavour(entry.name, flavour)
    if isinstance(entry.factory, Nested):
        for inner in entry.factory.entries:
            _check_flavour(inner, flavour)


def wrong_flavour(name: str, flavour: Flavour) -> TypeError:
    """The error for a source that belongs to the other twin."""
    is_, use = ("async", "afailover_stream (or Policy.astream)")
    if flavour == "async":
        is_, use = ("sync", "failover_stream (or Policy.stream)")
    return mark_usage_error(TypeError(f"source {name!r} is {is_}: use {use} for it"))


def no_stream(name: str, kind: str, given: object) -> TypeError:
    """The error for a factory that opens nothing that could be iterated; it begins as Python's."""
    return TypeError(
        f"{type(given).__name__!r} object is not {'an ' * (kind != 'iterable')}{kind}: the factory "
        f"of source {name!r} must give an {kind}, got {given!r}"
    )


def _check_nested(entry: Entry) -> None:
    """Refuse a `Policy.source` that could not go on where the stream around it stopped."""
    nested = entry.factory
    if not (isinstance(nested, Nested) and isinstance(entry.options.strategy, Resume)):
        return
    for inner in nested.entries[:1]:
        if not (inner.resumable or isinstance(inner.factory, Nested)):
            raise mark_usage_error(
                ValueError(
                    f"source {entry.name!r} is a Policy.source with mid_stream="
                    f"{nested.options.mode_given}: under a stream that resumes, give its policy "
                    "mid_stream='resume' or a Decide"
                )
            )


def _takes_as_many(factory: object, count: int) -> bool:
    """Whether this is a plain function of so many positional parameters and no others."""
    code = factory.__code__ if type(factory) is FunctionType else None
    return code is not None and (code.co_argcount, code.co_kwonlyargcount) == (count, 0)


def _check_parameters(entry: Entry) -> None:
    """Refuse a factory that cannot be called as it will be: the error would pass for an outage."""
    if isinstance(entry.factory, Nested) or _takes_as_many(entry.factory, entry.resumable):
        return
    from inspect import signature  # slow to import, and few factories are worth the question

    try:
        signature(entry.factory, follow_wrapped=False).bind(*[Progress()] * entry.resumable)
    except ValueError:  # a builtin that does not tell
        return
    except TypeError as mismatch:
        given = f"{entry.factory!r} ({mismatch})"
    else:
        return
    if entry.resumable:
        message = (
            f"source {entry.name!r} must take one positional argument, the Progress, under "
            f"mid_stream={entry.options.mode_given}, got {given}: write it as f(progress), and let "
            "it give what comes after progress.delivered items"
        )
    else:
        message = (
            f"source {entry.name!r} must be callable without arguments, got {given}: bind them "
            "with functools.partial or a lambda, or set mid_stream='resume' if it takes a Progress"
        )
    raise mark_usage_error(TypeError(message))
