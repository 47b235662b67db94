"""Checks of a user's source: whether it replays, resumes, and closes.

Each check is one coroutine for both flavours. Over a sync source it never suspends.
"""

from __future__ import annotations

import gc
import inspect
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from typing import Any, TypeAlias

from failover_iter import Progress
from failover_iter.testing._async_runs import run_coroutine
from failover_iter.testing._consumers import is_async_iterable
from failover_iter.testing._run_plan import Flavour

Reference: TypeAlias = Iterable[Any] | Callable[[], Iterable[Any]]


class BadSource(AssertionError):
    """A source does not do what a check requires."""


def check_replayable(
    factory: Callable[[], Any], *, times: int = 2, flavour: Flavour | None = None
) -> None:
    """Check that a source yields the same items each time it is opened, as `skip` requires.

    Args:
        factory: opens the source, sync or async.
        times: how many times to open it; at least 2.
        flavour: "sync", "asyncio" or "trio". By default, the source's class decides between "sync"
            and "asyncio". An async source runs in an event loop that the check starts.

    Raises:
        AssertionError: a later opening yielded something else. The message says where they differ.
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
    if times < 2:  # noqa: PLR2004 (the first opening and another one)
        raise ValueError(f"times must be at least 2, got {times!r}")

    async def check(opener: _Opener) -> None:
        first = await (await opener.open()).drained()
        for _ in range(times - 1):
            _compare(first, await (await opener.open()).drained())

    _run(check, _Opener(factory), flavour)


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
    factory: Callable[[Progress[Any]], Any],
    reference: Reference,
    *,
    flavour: Flavour | None = None,
) -> None:
    """Check that a source yields exactly the missing items, wherever it resumes.

    The source is opened with the `Progress` after 0 items, after 1 item, and so on, to the end.

    Args:
        factory: opens the source, sync or async, at the position of a `Progress`, as under
            `mid_stream="resume"`.
        reference: all items, or a function that returns them.
        flavour: "sync", "asyncio" or "trio". By default, the source's class decides between "sync"
            and "asyncio". An async source runs in an event loop that the check starts.

    Raises:
        AssertionError: at some position, the source yielded other items than the remaining ones.

    Example:
        >>> from failover_iter.testing import check_resumable
        >>> check_resumable(lambda progress: range(progress.delivered, 5), range(5))
        >>> try:
        ...     check_resumable(lambda progress: range(progress.last or 0, 5), range(5))
        ... except AssertionError as error:
        ...     print(error)
        resumed after 1 item, it yielded [0, 1, 2, 3, 4] instead of [1, 2, 3, 4]
    """
    cuts = _cuts(reference)

    async def check(opener: _Opener) -> None:
        for progress, rest in cuts:
            got = await (await opener.open(progress)).drained()
            if got != rest:
                after = _items(progress.delivered)
                raise BadSource(f"resumed after {after}, it yielded {got!r} instead of {rest!r}")

    _run(check, _Opener(factory, cuts[0][0]), flavour)


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


def check_closes(
    factory: Callable[[], Any],
    *,
    closed: Callable[[], bool] | None = None,
    most: int = 3,
    flavour: Flavour | None = None,
) -> None:
    """Check that a source can be closed at any point, and then releases its resources.

    The source is opened, pulled 0, 1, 2, ... times, and closed twice. Closing must end it, must
    not raise, and must not leave behind anything that Python warns about (open files, sockets).

    Args:
        factory: opens the source, sync or async.
        closed: returns whether the resources are released, for those Python does not know about.
        most: the largest number of items to pull before closing.
        flavour: "sync", "asyncio" or "trio". By default, the source's class decides between "sync"
            and "asyncio". An async source runs in an event loop that the check starts.

    Raises:
        AssertionError: the source has no `close`, or closing did not have these effects.

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

    async def check(opener: _Opener) -> None:
        for pulls in range(most + 1):
            with _nothing_left(pulls):
                await _check_closed(opener, pulls)
            if closed is not None and not closed():
                raise BadSource(f"closed after {_items(pulls)}, it did not release its resources")

    _run(check, _Opener(factory), flavour)


async def _check_closed(opener: _Opener, pulls: int) -> None:
    source = await opener.open()
    await source.pull(pulls)
    if not source.closers():
        raise BadSource(f"{type(source.iterator).__name__} has no method {source.closes_by}")
    try:
        for close in source.closers() * 2:
            await _result(close())
    except Exception as error:
        raise BadSource(f"closed after {_items(pulls)}, it raised {error!r}") from error
    if await source.pull(1):
        raise BadSource(f"closed after {_items(pulls)}, it yielded another item")


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


class _Opener:
    """Opens a source. The first opening also shows of which flavour it is."""

    def __init__(self, factory: Callable[..., Any], *arguments: Any) -> None:
        self.factory = factory
        self.arguments = arguments
        self.first: list[Any] = []

    def is_async(self) -> bool:
        if inspect.iscoroutinefunction(self.factory):
            return True
        self.first = [self.factory(*self.arguments)]
        return is_async_iterable(self.first[0]) or inspect.isawaitable(self.first[0])

    async def open(self, *arguments: Any) -> _Source:
        source = self.first.pop() if self.first else self.factory(*arguments)
        if is_async_iterable(source):
            return _Source(source)
        return _Source(await _result(source))


class _Source:
    """An opened source of either flavour."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.is_async = is_async_iterable(source)
        self.closes_by = "aclose" if self.is_async else "close"
        self.iterator = aiter(source) if self.is_async else iter(source)

    async def next(self) -> Any:
        """Return the next item, or raise `StopAsyncIteration`."""
        if self.is_async:
            return await anext(self.iterator)
        try:
            return next(self.iterator)
        except StopIteration:
            raise StopAsyncIteration from None

    async def pull(self, times: int) -> int:
        """Pull this many times, and return how many items arrived."""
        for count in range(times):
            try:
                await self.next()
            except (StopAsyncIteration, ValueError):  # ValueError: a closed file
                return count
        return times

    async def drained(self) -> list[Any]:
        """Return all items, and close the source."""
        items: list[Any] = []
        try:
            while True:
                items.append(await self.next())
        except StopAsyncIteration:
            return items
        finally:
            for close in self.closers():
                await _result(close())

    def closers(self) -> list[Any]:
        """Return the close methods of the iterator and of its iterable, if they have one."""
        both = [self.iterator] if self.source is self.iterator else [self.iterator, self.source]
        return [getattr(one, self.closes_by) for one in both if hasattr(one, self.closes_by)]


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _run(
    check: Callable[[_Opener], Coroutine[Any, Any, None]],
    opener: _Opener,
    flavour: Flavour | None,
) -> None:
    if flavour is None:
        flavour = "asyncio" if opener.is_async() else "sync"
    run_coroutine(flavour, check(opener))
