"""The entries of `factories`: checked, named, and in the order in which they are tried."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.cursor import has_cursor
from failover_iter._core.names import REMEMBERED, Names, name_of
from failover_iter._core.refusals import async_close, wrong_flavour
from failover_iter._core.usage import mark_usage_error
from failover_iter._mid_stream import Decide, Progress, Resume
from failover_iter._options import changed_options
from failover_iter._source import Source, merged_options, options_of
from failover_iter._validation import (
    CO_ASYNC,
    CO_GENERATOR,
    check_factory,
    identity,
    is_async,
    is_generator_function,
    offers,
    shown,
)
from failover_iter.errors import NoSources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from failover_iter._options import Options
    from failover_iter._source import Abort
    from failover_iter._types import AnyDelay, Flavour

_NO_OPTIONS: Final = frozenset[str]()
_OTHER_FLAVOUR: Final = {"sync": CO_ASYNC, "async": CO_GENERATOR, None: 0}
_NOT_RESUMABLE: Final = (None, "restart", "raise", "skip")


class Group:
    """The factory of a `Policy.source`, whose sources are one source to the outer stream.

    It is never called: the core opens the sources one by one, as part of the outer stream.
    """

    def __init__(
        self, options: Options, factories: Iterable[Any], delay: AnyDelay | None = None
    ) -> None:
        self.options = options
        #: As they were given.
        self.given = factories
        #: Of a hedge: when the next source is opened beside those that are open.
        self.delay = delay
        #: Checked where they are a list; a lazy iterable is read anew at each opening.
        self.factories = read_factories(factories, None, options)
        names, contenders = Names(), Names()
        for source in self.sources:
            source.name = names.tell_apart(source.name, source.factory)
            if delay is not None:
                tell_contender_apart(source, contenders)
                if source.group is not None:
                    source.group.refuse_hedges(source.name)

    def refuse_hedges(self, name: str) -> None:
        """Refuse a hedge in a hedge."""
        if self.delay is not None:
            raise mark_usage_error(
                ValueError(
                    f"source {name!r} of a hedge is or contains another hedge: put the sources "
                    "of both into one list"
                )
            )
        for source in self.sources:
            if source.group is not None:
                source.group.refuse_hedges(name)

    @property
    def sources(self) -> tuple[ResolvedSource, ...]:
        """The sources that are known before the group is opened."""
        return self.factories if isinstance(self.factories, tuple) else ()

    def changed(self, change: Callable[[Any], Any], **options: Any) -> Group:
        """A group with these options, and with `change` applied to each factory or `Source`."""
        given = _Changed(self.given, change)
        factories = list(given) if self.sources else given
        return Group(changed_options(self.options, options), factories, self.delay)

    def leaves(self) -> Iterator[ResolvedSource]:
        """The known sources that are not groups, in order."""
        for source in self.sources:
            if source.group is None or "mid_stream" in source.own or not source.group.sources:
                yield source
            else:
                yield from source.group.leaves()

    def __call__(self, *_: object) -> Any:
        raise TypeError(
            "a Policy.source cannot be called: pass it to a stream, which then opens it"
        )

    def __repr__(self) -> str:
        return "<Policy.source>" if self.delay is None else "<Policy.hedge>"


class _Changed:
    """A lazy iterable of factories, each of them changed; it can be read more than once."""

    def __init__(self, factories: Iterable[Any], change: Callable[[Any], Any]) -> None:
        self.factories = factories
        self.change = change

    def __iter__(self) -> Iterator[Any]:
        return map(self.change, self.factories)


class ResolvedSource:
    """A source as the core uses it: its factory, and the options that hold for it."""

    # Class attributes are what most sources never change: to make one is half the work then.
    #: Whether the stream closes what the factory returns, and the function that does it, if not
    #: the `close` of that object.
    owned = True
    closer: Callable[[Any], object] | None = None
    #: Makes the source return when it is blocked in a thread.
    abort: Abort | None = None
    #: The options that the `Source` itself sets.
    own: frozenset[str] = _NO_OPTIONS
    #: Whether its own mode may refuse a takeover.
    has_own_mode = False
    #: Whether the factory is called with a `Progress`.
    resumable = False
    #: The group, if it is a `Policy.source`.
    group: Group | None = None
    _name: str | None = None
    health_key: str | None = None  # by default its name

    def __init__(self, factory: Callable[..., Any], index: int, options: Options) -> None:
        self.factory = factory
        self.index = index
        self.options = options

    @property
    def name(self) -> str:
        """The name of the source; made when it is asked for."""
        if self._name is None:
            self._name = name_of(self.factory, self.index)
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = name

    @property
    def has_cursor(self) -> bool:
        """Whether it, or a source in it, knows where the stream is."""
        inside = () if self.group is None else self.group.leaves()
        return has_cursor(self.options.strategy) or any(leaf.has_cursor for leaf in inside)

    @property
    def shows_progress(self) -> bool:
        """Whether an attempt that brings the stream further can be told from a repetition."""
        group = self.group
        if self.options.shows_progress or group is None or "mid_stream" in self.own:
            return self.options.shows_progress
        own = [leaf for leaf in group.leaves() if "mid_stream" in leaf.own]
        return not group.sources or any(leaf.shows_progress for leaf in own)


def tell_contender_apart(source: ResolvedSource, names: Names) -> None:
    """Name a source of a hedge. A factory may be open twice there; its health sees one source."""
    if source.health_key is None:
        source.health_key = source.name
    source.name = names.tell_apart(source.name, object())


class SourceQueue:
    """The remaining sources of a stream or group, and the ones opened last."""

    # Class attributes are what most streams never change: to make one is half the work then.
    lazy = False
    #: All of them, where they are known before they are needed.
    known: tuple[ResolvedSource, ...] = ()
    _left: Iterator[Any] | None = None
    _index = 0
    _opened: dict[object, object] | None = None
    _first: ResolvedSource | None = None
    _names: Names | None = None
    #: Of a hedge.
    contenders: Names | None = None
    _put_back: ResolvedSource | None = None

    def __init__(
        self,
        sources: tuple[ResolvedSource, ...] | Iterable[Any],
        flavour: Flavour,
        options: Options,
    ) -> None:
        if isinstance(sources, tuple):
            self.known = sources
        else:
            self.lazy = True
        self._sources = sources
        self._flavour: Flavour = flavour
        self._options = options

    @property
    def is_unread(self) -> bool:
        """Whether no source of a lazy iterable has been read."""
        return self.lazy and not self._index

    def next(self) -> ResolvedSource | None:
        """Return the next source; None at the end."""
        source, self._put_back = self._put_back, None
        if source is not None:
            return source
        if self._left is None:  # not before: `factories` may be anything
            self._left = iter(self._sources)
        for item in self._left:
            source = self._read(item) if self.lazy else item
            if self._first is None:
                self._first = source
            else:
                self._tell_apart(self._first, source)
            if self.contenders is not None and self.lazy:
                tell_contender_apart(source, self.contenders)
            return source
        return None

    def put_back(self, source: ResolvedSource) -> None:
        """Make this the next source again."""
        self._put_back = source

    def _tell_apart(self, first: ResolvedSource, source: ResolvedSource) -> None:
        if self._names is None:
            self._names = Names()
            self._names.tell_apart(first.name, first.factory)
        source.name = self._names.tell_apart(source.name, source.factory)

    def _read(self, item: object) -> ResolvedSource:
        try:
            source = read_source(item, self._index, self._flavour, self._options)
        except (TypeError, ValueError) as error:
            raise mark_usage_error(error)  # noqa: B904 (the same error, marked)
        self._index += 1
        return source

    def opened_before(self, source: ResolvedSource, *, left: ResolvedSource) -> bool:
        """Whether this source was opened before; the one that is left was, from now on."""
        opened = self._opened = self._opened or {}
        place = identity(left.factory)
        opened.pop(place, None)
        opened[place] = left.factory  # kept alive, so that no other object gets its id
        if len(opened) > REMEMBERED:
            del opened[next(iter(opened))]
        return identity(source.factory) in opened


def read_factories(
    factories: Iterable[Any], flavour: Flavour | None, options: Options
) -> tuple[ResolvedSource, ...] | Iterable[Any]:
    """Check what can be checked at the call: all of a list or tuple, nothing of a lazy iterable."""
    if isinstance(factories, (list, tuple)):
        if not factories:
            raise NoSources("factories is empty: there must be at least one source")
        sources = tuple(
            [read_source(item, index, flavour, options) for index, item in enumerate(factories)]
        )
        if options.reset_on_progress and not any(source.shows_progress for source in sources):
            raise options.no_progress()
        return sources
    got = repr(factories) if isinstance(factories, Source) else shown(factories)
    got = f"factories must be an iterable of factories, got {got}"
    is_iterable = offers(factories, "__iter__") or offers(factories, "__getitem__")
    if callable(factories) and is_iterable and not isinstance(factories, type):
        raise TypeError(
            f"{got}, which is also callable: pass iter(...) of it to read the factories from it, "
            "or [...] with it alone if it is the factory of the only source"
        )
    if isinstance(factories, str | bytes):
        raise TypeError(
            f"{got}: pass a list of functions that open a stream, for example [lambda: read(url)]"
        )
    if callable(factories) or isinstance(factories, Source):
        raise TypeError(f"{got}: put the source into a list, [source], even if it is the only one")
    if not is_iterable:
        raise TypeError(got)
    return factories


def read_source(item: Any, index: int, flavour: Flavour | None, options: Options) -> ResolvedSource:
    """Check one factory or `Source`."""
    if type(item) is ResolvedSource:
        return item  # from @failover, which has checked it
    if type(item) is FunctionType and options.mid_stream in _NOT_RESUMABLE:
        code = item.__code__  # the usual case, in one look
        other = code.co_flags & _OTHER_FLAVOUR[flavour]
        if not (code.co_argcount or code.co_kwonlyargcount or other):
            return ResolvedSource(item, index, options)
    source = _resolved(item, index, options)
    check_flavour(source, flavour)
    _check_parameters(source)
    _check_group(source)
    return source


def _resolved(item: Any, index: int, options: Options) -> ResolvedSource:
    if isinstance(item, Source):
        source = ResolvedSource(item.factory, index, merged_options(item, options))
        source.name = item.name
        source.health_key = item.health_key
        source.owned = item.close is not False
        source.closer = item.close if callable(item.close) else None
        source.abort = item.abort
        source.own = frozenset(options_of(item))
        source.has_own_mode = item.mid_stream == "raise" or isinstance(item.mid_stream, Decide)
    else:
        check_factory(f"source[{index}]", item)
        source = ResolvedSource(item, index, options)
    if isinstance(source.factory, Group):
        source.group = group = source.factory
        if source.closer is not None or source.abort is not None:
            raise mark_usage_error(
                ValueError(
                    f"source {source.name!r} is a Policy.source, which opens nothing itself: set "
                    "close and abort on the sources in it"
                )
            )
        if "mid_stream" not in source.own and group.sources:
            source.has_own_mode = all(leaf.has_own_mode for leaf in group.leaves())
    else:
        source.resumable = isinstance(source.options.strategy, Resume | Decide)
    is_own = "reset_on_progress" in source.own and source.options.reset_on_progress
    if is_own and not source.shows_progress:
        raise source.options.no_progress()
    return source


def check_flavour(source: ResolvedSource, flavour: Flavour | None) -> None:
    """Refuse a source that belongs to the other kind of stream."""
    if flavour == "sync" and is_async(source.factory):
        raise wrong_flavour(source.name, flavour)
    if flavour == "sync" and source.closer is not None and is_async(source.closer):
        raise mark_usage_error(async_close(source.name, source.closer))
    if flavour == "async" and is_generator_function(source.factory):
        raise wrong_flavour(source.name, flavour)
    if source.group is not None:
        for inner in source.group.sources:
            check_flavour(inner, flavour)


def _check_group(source: ResolvedSource) -> None:
    """Refuse a `Policy.source` that could not go on where the outer stream stopped."""
    group = source.group
    if group is None or not isinstance(source.options.strategy, Resume):
        return
    for first in group.sources[:1]:
        # A source with its own mode takes over in that mode, whatever the outer one is.
        if not (first.resumable or first.group is not None or "mid_stream" in first.own):
            raise mark_usage_error(
                ValueError(
                    f"source {source.name!r} is a Policy.source with mid_stream="
                    f"{group.options.mode_given}: under an outer stream that resumes, its policy "
                    "needs mid_stream='resume' or a Decide"
                )
            )


def _takes_as_many(factory: object, count: int) -> bool:
    """Whether this is a plain function with `count` positional parameters and no others."""
    code = factory.__code__ if type(factory) is FunctionType else None
    return code is not None and (code.co_argcount, code.co_kwonlyargcount) == (count, 0)


def _check_parameters(source: ResolvedSource) -> None:
    """Refuse a factory that cannot be called as it will be: the error would look like a failure."""
    if source.group is not None or _takes_as_many(source.factory, source.resumable):
        return
    from inspect import signature  # slow to import, and few factories are worth the question

    try:
        signature(source.factory, follow_wrapped=False).bind(*[Progress()] * source.resumable)
    except ValueError:  # a builtin that has no signature
        return
    except TypeError as mismatch:
        got = f"{shown(source.factory)} ({mismatch})"
    else:
        return
    if source.resumable:
        message = (
            f"source {source.name!r} must take one positional argument, the Progress, under "
            f"mid_stream={source.options.mode_given}, got {got}: write it as f(progress), and let "
            "it yield what comes after progress.delivered items"
        )
    else:
        message = (
            f"source {source.name!r} must be callable without arguments, got {got}: bind them "
            "with functools.partial or a lambda, or set mid_stream='resume' if it takes a Progress"
        )
    raise mark_usage_error(TypeError(message))
