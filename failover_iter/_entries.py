"""What stands in `factories`: plain callables and `Source` objects, checked and named."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from failover_iter._checks import check_factory, is_async, is_generator_function
from failover_iter._options import Decide, Nested, Progress, Resume, Source
from failover_iter.errors import NoSources, wrong_use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from failover_iter._options import Options
    from failover_iter._types import Flavour


@dataclass(frozen=True, slots=True)
class Entry:
    """A source as the core uses it: its factory, its name and the options that hold for it."""

    factory: Callable[..., Any]
    name: str
    options: Options
    owned: bool
    has_own_mode: bool

    @property
    def resumable(self) -> bool:
        """Whether the factory is called with a `Progress`."""
        return isinstance(self.options.way, Resume | Decide)


def read_factories(
    factories: Iterable[Any], flavour: Flavour | None, options: Options
) -> tuple[Entry, ...] | Iterable[Any]:
    """Check what can be checked at the call: all of a list or tuple, nothing of a lazy iterable."""
    if isinstance(factories, list | tuple):
        if not factories:
            raise NoSources("factories is empty: there must be at least one source")
        return tuple(
            [read_entry(item, index, flavour, options) for index, item in enumerate(factories)]
        )
    if callable(factories) or isinstance(factories, str | bytes | Source):
        raise TypeError(
            f"factories must be an iterable of factories, got {factories!r}: "
            "put it into a list, also when it is the only one"
        )
    try:
        return iter(factories)
    except TypeError:
        raise TypeError(f"factories must be an iterable of factories, got {factories!r}") from None


def read_entry(item: object, index: int, flavour: Flavour | None, options: Options) -> Entry:
    """Check one factory or `Source`, and give it its name."""
    if isinstance(item, Source):
        name = name_of(item.factory, index) if item.name is None else item.name
        own_mode = item.mid_stream == "raise" or isinstance(item.mid_stream, Decide)
        entry = Entry(item.factory, name, item.over(options), item.close, own_mode)
    else:
        check_factory(f"source[{index}]", item)
        entry = Entry(item, name_of(item, index), options, True, False)  # type: ignore[arg-type]  # checked to be callable
    _check_flavour(entry, flavour)
    _check_parameters(entry)
    return entry


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


def wrong_flavour(name: str, flavour: Flavour) -> TypeError:
    """The error for a source that belongs to the other twin."""
    is_, use = ("async", "afailover_stream (or Policy.astream)")
    if flavour == "async":
        is_, use = ("sync", "failover_stream (or Policy.stream)")
    return wrong_use(TypeError(f"source {name!r} is {is_}: use {use} for it"))


def _check_parameters(entry: Entry) -> None:
    """Refuse a factory that cannot be called as it will be: the error would pass for an outage."""
    factory = entry.factory
    if isinstance(factory, Nested):
        return
    if entry.resumable:
        try:
            inspect.signature(factory).bind(Progress())
        except ValueError:  # a builtin that does not tell
            return
        except TypeError:
            raise wrong_use(
                TypeError(
                    f"source {entry.name!r} must take one positional argument, the Progress, under "
                    f"mid_stream={entry.options.mid_stream!r}, got {factory!r}"
                )
            ) from None
    elif _required_arguments(factory):
        raise wrong_use(
            TypeError(
                f"source {entry.name!r} must be callable without arguments, got {factory!r}: bind "
                "them with functools.partial or a lambda, or set mid_stream='resume' if it takes "
                "a Progress"
            )
        )


def _required_arguments(factory: object) -> int:
    bound = 0
    if isinstance(factory, MethodType):
        factory, bound = factory.__func__, 1
    if not isinstance(factory, FunctionType):
        return 0
    return max(0, factory.__code__.co_argcount - len(factory.__defaults__ or ()) - bound)
