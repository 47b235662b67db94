"""The iterators to which a blocking stream delegates with `yield from`: `Held`, then `Rest`.

All that a consumer can do to a generator reaches the source through these two classes. `Rest` is an
`itertools.compress`, so a pipeline in C delivers each item: `compress` counts it by drawing one
from `Delivered.left`, and `filterfalse` keeps it if an option needs that (`deque.append` returns
None). `send`, `throw` and `close` are rare, and may be slow.

Only code of the source runs in the pipeline, so an exception that leaves it is a failure of the
source. An exception that passes through our lines here is marked with `spare`: the
source is not to blame for it.
"""

from __future__ import annotations

import sys
from itertools import compress, filterfalse
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from failover_iter._core.notes import leaked, raise_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from failover_iter._core.attempt import Attempt

    class OpenSource(Protocol):
        """The part of an open source that is needed here."""

        attempt: Attempt
        iterable: Any
        iterator: Any
        by_index: bool
        has_ended: bool
        is_left: bool
        blamed: BaseException | None

        def end(self, value: Any, *, check_complete: bool = True) -> None:
            """The source has ended."""
            ...

        def spare(self, error: BaseException, *, by_consumer: bool = False) -> None:
            """This error is not the source's."""
            ...

        def close_iterator(self) -> None:
            """Close the iterator, once."""
            ...

    _Compress = compress[Any]
    _filterfalse: Any
else:
    _Compress = compress  # it takes no type argument at run time
    _filterfalse = filterfalse

#: A StopIteration that is thrown at an iterator without `throw` ends a `yield from` since 3.12.
_ENDS_BY_THROW: Final = sys.version_info >= (3, 12)


class _Delegate:
    """The operations of PEP 380 on a source, besides pulling it."""

    __slots__ = ()
    source: OpenSource

    def __next__(self) -> Any:
        raise NotImplementedError

    def send(self, value: Any) -> Any:
        """Send a value to the source: a pull like any other, unless it takes no values."""
        source, attempt = self.source, self.source.attempt
        if attempt.at_marker or (source.has_ended and not attempt.held):
            return next(self)
        try:
            attempt.check_sent(value)
            send = (source.iterable if source.by_index else source.iterator).send
        except BaseException as error:
            source.spare(error)
            raise
        try:
            item = send(value)
        except StopIteration as stop:
            source.end(stop.value)
            raise
        except BaseException as error:
            source.blamed = error
            raise
        return self._deliver(item)

    def throw(self, *thrown: Any) -> Any:
        """Throw into the source; whatever it raises is raised to the consumer."""
        source, attempt = self.source, self.source.attempt
        attempt.held.clear()
        attempt.at_marker = False
        try:
            throw = None if source.has_ended else getattr(source.iterator, "throw", None)
            item = _throw_here(*thrown) if throw is None else throw(*thrown)
        except StopIteration as stop:  # an end (PEP 380)
            source.end(stop.value, check_complete=False)
            raise
        except BaseException as error:
            source.spare(error, by_consumer=True)
            raise
        finally:
            del thrown  # or the traceback holds this frame, and this frame the error
        return self._deliver(item)

    def close(self) -> None:
        """The consumer closes, or throws GeneratorExit."""
        source = self.source
        source.is_left = True
        source.attempt.held.clear()
        source.close_iterator()

    def _deliver(self, item: Any) -> Any:
        """Deliver the item with which the source has answered; after a bookmark, the next one."""
        source, attempt = self.source, self.source.attempt
        delivered = attempt.delivered
        try:
            if delivered.save is not None and delivered.is_save_due:
                delivered.save()
            is_delivered = attempt.note(item)
        except BaseException as error:
            source.spare(error)
            raise
        return item if is_delivered else next(self)


class Held(_Delegate):
    """The items that were received before the attempt committed."""

    __slots__ = ("source",)

    def __init__(self, source: OpenSource) -> None:
        self.source = source

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self.source.attempt.held:
            raise StopIteration
        deadline = self.source.attempt.deadline
        if deadline is not None:
            deadline.check_stream()
        delivered = self.source.attempt.delivered
        if delivered.save is not None and delivered.is_save_due:
            delivered.save()
        return self.source.attempt.pop_held()


class Rest(_Compress, _Delegate):
    """The remaining items of the source. Its `__next__` is that of `compress`, in C."""

    __slots__ = ("source",)


def rest_of(source: OpenSource) -> Rest:
    """Return the remaining items of the source; each is counted and kept as it passes."""
    is_generator = type(source.iterator) is GeneratorType
    items: Any = source.iterator if is_generator else _Iterable(source.iterator)
    attempt = source.attempt
    on_item = attempt.on_item
    if on_item is not None:
        if attempt.is_sifted or attempt.delivered.calls_back:
            on_item = _sparing(source, on_item)
        items = _filterfalse(on_item, items)
    rest = Rest(items, attempt.delivered.left)
    rest.source = source
    return rest


def _sparing(source: OpenSource, function: Callable[[Any], object]) -> Callable[[Any], object]:
    """Wrap a function that the pipeline calls: the source is not to blame for its errors."""

    def call(item: Any) -> object:
        try:
            return function(item)
        except BaseException as error:
            source.spare(error)
            raise

    return call


class _Iterable:
    """An iterable over an iterator, which itself may lack `__iter__`."""

    __slots__ = ("_iterator",)

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator

    def __iter__(self) -> Iterator[Any]:
        return self._iterator


def _throw_here(kind: Any, value: Any = None, traceback: Any = None) -> NoReturn:
    """Do as `yield from` does over an iterator without `throw`."""
    error = kind if isinstance(kind, BaseException) else _instance(kind, value)
    if traceback is not None:
        error = error.with_traceback(traceback)
    try:
        if isinstance(error, StopIteration) and not _ENDS_BY_THROW:  # pragma: no cover (3.11)
            error = leaked(error, "generator")
        raise_unchanged(error)
    finally:
        del kind, value, error, traceback


def _instance(kind: Any, value: Any) -> BaseException:
    """The instance that `raise` makes from a class and a value."""
    if isinstance(value, kind):
        return value  # type: ignore[no-any-return]  # an instance of an exception class
    if value is None:
        return kind()  # type: ignore[no-any-return]  # as above
    return kind(*value) if isinstance(value, tuple) else kind(value)  # type: ignore[no-any-return]
