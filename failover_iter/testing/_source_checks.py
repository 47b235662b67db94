"""Checks on a user's own source: may it be replayed, does it resume, does it close."""

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
    """A source is not what it would have to be for what is asked of it."""


def check_replayable(factory: Callable[[], Iterable[Any]], *, times: int = 2) -> None:
    """Check that a source gives the same items each time it is opened: may `skip` be used with it?

    Args:
        factory: opens the source.
        times: how often it is opened; at least 2.

    Raises:
        BadSource: it gave something else; the message says where.
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
        opened again it gave 2 as item 0, where it had given 0
    """
    first = _drained(factory)
    for _ in range(_checked(times)):
        _compare(first, _drained(factory))


async def acheck_replayable(factory: Callable[[], Any], *, times: int = 2) -> None:
    """Check an async source as `check_replayable` does a blocking one."""
    first = await _adrained(factory)
    for _ in range(_checked(times)):
        _compare(first, await _adrained(factory))


def _checked(times: int) -> int:
    if times < 2:  # noqa: PLR2004 (once, and once again)
        raise ValueError(f"times must be at least 2, got {times!r}")
    return times - 1


def _compare(first: list[Any], again: list[Any]) -> None:
    for place, (item, other) in enumerate(zip(first, again, strict=False)):
        if item != other:
            raise BadSource(
                f"opened again it gave {other!r} as item {place}, where it had given {item!r}"
            )
    if len(first) != len(again):
        raise BadSource(f"opened again it gave {len(again)} items, where it had given {len(first)}")


def check_resumable(
    factory: Callable[[Progress[Any]], Iterable[Any]], reference: Reference
) -> None:
    """Check that a source gives exactly what is missing, wherever it is resumed.

    It is opened with the `Progress` of each cut: after no item, after the first, and so on until
    all of them were delivered.

    Args:
        factory: opens the source from where a `Progress` says, as under `mid_stream="resume"`.
        reference: all items, or a function that gives them.

    Raises:
        BadSource: after some cut it gave something else than the rest.

    Example:
        >>> from failover_iter.testing import check_resumable
        >>> check_resumable(lambda progress: range(progress.delivered, 5), range(5))
        >>> try:
        ...     check_resumable(lambda progress: range(progress.last or 0, 5), range(5))
        ... except AssertionError as error:
        ...     print(error)
        resumed after 1 items it gave [0, 1, 2, 3, 4], not [1, 2, 3, 4]
    """
    for progress, rest in _cuts(reference):
        _check_rest(progress, rest, _drained(partial(factory, progress)))


async def acheck_resumable(factory: Callable[[Progress[Any]], Any], reference: Reference) -> None:
    """Check an async source as `check_resumable` does a blocking one."""
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
        raise BadSource(f"resumed after {progress.delivered} items it gave {got!r}, not {rest!r}")


def check_closes(
    factory: Callable[[], Iterable[Any]],
    *,
    closed: Callable[[], bool] | None = None,
    most: int = 3,
) -> None:
    """Check that a source can be closed wherever it is, and gives up what it holds.

    It is opened, pulled 0, 1, 2, ... times, and closed twice. That must raise nothing, leave
    nothing that Python warns of (open files, sockets), and end it.

    Args:
        factory: opens the source.
        closed: whether what it held is closed now, for what Python cannot know of.
        most: up to so many items are pulled before it is closed.

    Raises:
        BadSource: it has no `close`, or closing it did not do that.

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
        what it gives has no close: list_iterator
    """
    for pulls in range(most + 1):
        with _nothing_left(pulls):
            given = factory()
            iterator = iter(given)
            _pull(iterator, pulls)
            _close_twice(_closable(given, iterator, "close"), pulls)
            if _pull(iterator, 1):
                raise BadSource(f"closed after {pulls} items it gave one more")
            del given, iterator
        _check_closed(closed, pulls)


async def acheck_closes(
    factory: Callable[[], Any], *, closed: Callable[[], bool] | None = None, most: int = 3
) -> None:
    """Check an async source as `check_closes` does a blocking one, by its `aclose`."""
    for pulls in range(most + 1):
        with _nothing_left(pulls):
            given = await _opened(factory)
            iterator = aiter(given)
            await _apull(iterator, pulls)
            await _aclose_twice(_closable(given, iterator, "aclose"), pulls)
            if await _apull(iterator, 1):
                raise BadSource(f"closed after {pulls} items it gave one more")
            del given, iterator
        _check_closed(closed, pulls)


def _closable(given: Any, iterator: Any, close: str) -> list[Any]:
    """The iterator, and the iterable that it came from, as far as they can be closed."""
    both = [iterator] if given is iterator else [iterator, given]
    found = [one for one in both if hasattr(one, close)]
    if not found:
        raise BadSource(f"what it gives has no {close}: {type(given).__name__}")
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
    return BadSource(f"closing it after {pulls} items raised {error!r}")


def _check_closed(closed: Callable[[], bool] | None, pulls: int) -> None:
    if closed is not None and not closed():
        raise BadSource(f"closed after {pulls} items, what it held was still open")


@contextmanager
def _nothing_left(pulls: int) -> Generator[None]:
    """Python warns of nothing that was left open in here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    for warning in caught:
        if issubclass(warning.category, ResourceWarning):
            raise BadSource(f"closed after {pulls} items it left something open: {warning.message}")


def _pull(iterator: Any, times: int) -> int:
    """Pull so often, and say how often that gave an item."""
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
    given = factory()
    iterator = iter(given)
    try:
        return list(iterator)
    finally:
        for one in (iterator, given):
            getattr(one, "close", bool)()


async def _adrained(factory: Callable[[], Any]) -> list[Any]:
    given = await _opened(factory)
    iterator = aiter(given)
    try:
        return [item async for item in iterator]
    finally:
        both: list[Any] = [iterator, given]
        for one in both:
            if hasattr(one, "aclose"):
                await one.aclose()


async def _opened(factory: Callable[[], Any]) -> AsyncIterable[Any]:
    given: Any = factory()
    if not is_async_iterable(given) and inspect.isawaitable(given):
        given = await given
    opened: AsyncIterable[Any] = given  # iterated next, which says so if it cannot be
    return opened
