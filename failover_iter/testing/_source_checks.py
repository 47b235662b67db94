"""Checks of a user's source: whether it replays, resumes, and closes."""

from __future__ import annotations

import gc
import inspect
import warnings
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from failover_iter import Progress
from failover_iter.testing._consumers import is_async_iterable

Reference: TypeAlias = Iterable[Any] | Callable[[], Iterable[Any]]


class BadSource(AssertionError):
    """A source does not do what a check requires."""


def check_replayable(factory: Callable[[], Iterable[Any]], *, times: int = 2) -> None:
    """Check that a source yields the same items each time it is opened, as `skip` requires.

    Args:
        factory: opens the source.
        times: how many times to open it; at least 2.

    Raises:
        BadSource: a later opening yielded something else. The message says where they differ.
        ValueError: `times` is less than 2.

    Example:
        >>> import os
        >>> from failover_iter.testing import check_replayable
        >>> check_replayable(lambda: open(os.__file__))
        >>> numbers = iter(range(6))
        >>> try:
        ...     check_replayable(lambda: [next(numbers), next(numbers)])
        ... except AssertionError as error:
        ...     print(error)
        item 0 was 0 in the first opening, but 2 in a later one
    """
    first = _drained(factory)
    for _ in range(_checked(times)):
        _compare(first, _drained(factory))


async def acheck_replayable(factory: Callable[[], Any], *, times: int = 2) -> None:
    """Check an async source: the async version of `check_replayable`."""
    first = await _adrained(factory)
    for _ in range(_checked(times)):
        _compare(first, await _adrained(factory))


def _checked(times: int) -> int:
    if times < 2:  # noqa: PLR2004 (the first opening and another one)
        raise ValueError(f"times must be at least 2, got {times!r}")
    return times - 1


def _compare(first: list[Any], again: list[Any]) -> None:
    for place, (item, other) in enumerate(zip(first, again, strict=False)):
        if item != other:
            raise BadSource(
                f"item {place} was {item!r} in the first opening, but {other!r} in a later one"
            )
    if len(first) != len(again):
        raise BadSource(
            f"the first opening yielded {_items(len(first))}, but a later one {_items(len(again))}"
        )


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def check_resumable(
    factory: Callable[[Progress[Any]], Iterable[Any]], reference: Reference
) -> None:
    """Check that a source yields exactly the missing items, wherever it resumes.

    The source is opened with the `Progress` after 0 items, after 1 item, and so on, to the end.

    Args:
        factory: opens the source at the position of a `Progress`, as under `mid_stream="resume"`.
        reference: all items, or a function that returns them.

    Raises:
        BadSource: at some position, the source yielded something other than the remaining items.

    Example:
        >>> from failover_iter.testing import check_resumable
        >>> check_resumable(lambda progress: range(progress.delivered, 5), range(5))
        >>> try:
        ...     check_resumable(lambda progress: range(progress.last or 0, 5), range(5))
        ... except AssertionError as error:
        ...     print(error)
        resumed after 1 item, it yielded [0, 1, 2, 3, 4] instead of [1, 2, 3, 4]
    """
    for progress, rest in _cuts(reference):
        _check_rest(progress, rest, _drained(partial(factory, progress)))


async def acheck_resumable(factory: Callable[[Progress[Any]], Any], reference: Reference) -> None:
    """Check an async source: the async version of `check_resumable`."""
    for progress, rest in _cuts(reference):
        _check_rest(progress, rest, await _adrained(partial(factory, progress)))


def _cuts(reference: Reference) -> list[tuple[Progress[Any], list[Any]]]:
    items = list(reference() if callable(reference) else reference)
    return [
        (
            Progress(
                delivered=cut,
                last=items[cut - 1] if cut else None,
                items=tuple(items[:cut]),
                total=cut,
                attempt=min(cut + 1, 2),
            ),
            items[cut:],
        )
        for cut in range(len(items) + 1)
    ]


def _check_rest(progress: Progress[Any], rest: list[Any], got: list[Any]) -> None:
    if got != rest:
        after = _items(progress.delivered)
        raise BadSource(f"resumed after {after}, it yielded {got!r} instead of {rest!r}")


def check_closes(
    factory: Callable[[], Iterable[Any]],
    *,
    closed: Callable[[], bool] | None = None,
    most: int = 3,
) -> None:
    """Check that a source can be closed at any point, and then releases its resources.

    The source is opened, pulled 0, 1, 2, ... times, and closed twice. Closing must end it, must
    not raise, and must not leave behind anything that Python warns about (open files, sockets).

    Args:
        factory: opens the source.
        closed: returns whether the resources are released, for those Python does not know about.
        most: the largest number of items to pull before closing.

    Raises:
        BadSource: the source has no `close`, or closing did not have these effects.

    Example:
        >>> import os
        >>> from failover_iter.testing import check_closes
        >>> def lines():
        ...     with open(os.__file__) as file:
        ...         yield from file
        >>> check_closes(lines)
        >>> try:
        ...     check_closes(lambda: iter([1, 2]))
        ... except AssertionError as error:
        ...     print(error)
        list_iterator has no method close
    """
    for pulls in range(most + 1):
        with _nothing_left(pulls):
            source = factory()
            iterator = iter(source)
            _pull(iterator, pulls)
            _close_twice(_closable(source, iterator, "close"), pulls)
            if _pull(iterator, 1):
                raise BadSource(f"closed after {_items(pulls)}, it yielded another item")
            del source, iterator
        _check_closed(closed, pulls)


async def acheck_closes(
    factory: Callable[[], Any], *, closed: Callable[[], bool] | None = None, most: int = 3
) -> None:
    """Check that an async source can be closed by `aclose`: the async version of `check_closes`."""
    for pulls in range(most + 1):
        with _nothing_left(pulls):
            source = await _opened(factory)
            iterator = aiter(source)
            await _apull(iterator, pulls)
            await _aclose_twice(_closable(source, iterator, "aclose"), pulls)
            if await _apull(iterator, 1):
                raise BadSource(f"closed after {_items(pulls)}, it yielded another item")
            del source, iterator
        _check_closed(closed, pulls)


def _closable(source: Any, iterator: Any, close: str) -> list[Any]:
    """Return those of the iterator and its iterable that have a close method."""
    both = [iterator] if source is iterator else [iterator, source]
    found = [one for one in both if hasattr(one, close)]
    if not found:
        raise BadSource(f"{type(source).__name__} has no method {close}")
    return found


def _close_twice(opened: list[Any], pulls: int) -> None:
    try:
        for one in opened * 2:
            one.close()
    except Exception as error:
        raise _failed(pulls, error) from error


async def _aclose_twice(opened: list[Any], pulls: int) -> None:
    try:
        for one in opened * 2:
            await one.aclose()
    except Exception as error:
        raise _failed(pulls, error) from error


def _failed(pulls: int, error: Exception) -> BadSource:
    return BadSource(f"closed after {_items(pulls)}, it raised {error!r}")


def _check_closed(closed: Callable[[], bool] | None, pulls: int) -> None:
    if closed is not None and not closed():
        raise BadSource(f"closed after {_items(pulls)}, it did not release its resources")


@contextmanager
def _nothing_left(pulls: int) -> Generator[None]:
    """Fail if Python warns that something in the block was left open."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    for warning in caught:
        if issubclass(warning.category, ResourceWarning):
            raise BadSource(
                f"closed after {_items(pulls)}, it left something open: {warning.message}"
            )


def _pull(iterator: Any, times: int) -> int:
    """Pull this many times, and return how many items arrived."""
    for count in range(times):
        try:
            next(iterator)
        except (StopIteration, ValueError):  # ValueError: a closed file
            return count
    return times


async def _apull(iterator: Any, times: int) -> int:
    for count in range(times):
        try:
            await anext(iterator)
        except StopAsyncIteration:
            return count
    return times


def _drained(factory: Callable[[], Iterable[Any]]) -> list[Any]:
    source = factory()
    iterator = iter(source)
    try:
        return list(iterator)
    finally:
        for one in (iterator, source):
            getattr(one, "close", bool)()


async def _adrained(factory: Callable[[], Any]) -> list[Any]:
    source = await _opened(factory)
    iterator = aiter(source)
    try:
        return [item async for item in iterator]
    finally:
        both: list[Any] = [iterator, source]
        for one in both:
            if hasattr(one, "aclose"):
                await one.aclose()


async def _opened(factory: Callable[[], Any]) -> AsyncIterable[Any]:
    source: Any = factory()
    if not is_async_iterable(source) and inspect.isawaitable(source):
        source = await source
    opened: AsyncIterable[Any] = source  # if it is not, the caller's aiter() raises
    return opened
