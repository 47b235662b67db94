"""Checks of a user's source: whether it replays, resumes, and closes.

Each check is one coroutine for both flavours. Over a sync source it never suspends.
"""

from __future__ import annotations

import gc
import inspect
import logging
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeAlias, cast

from failover_iter import (
    Decide,
    Progress,
    Resume,
    Skip,
    Source,
    SourceError,
    afailover_stream,
)
from failover_iter.testing._either import (
    Either,
    Ended,
    WrongFlavour,
    await_if_needed,
    is_async_iterable,
    result_of,
)
from failover_iter.testing._log import shown
from failover_iter.testing._plans import check_number
from failover_iter.testing._worlds import Flavour, in_flavour, run_coroutine

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
        ValueError: `times` is not an int of at least 2, or the flavour is unknown.
        RuntimeError: as for `run_plan`.

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
    check_number("times", times, least=2)  # the first opening and another one

    async def check(opener: _Opener) -> None:
        first = await (await opener.open()).drained()
        for _ in range(times - 1):
            _compare(first, await (await opener.open()).drained())

    _run(check, factory, flavour)


def _compare(first: list[Any], again: list[Any]) -> None:
    for place, (item, other) in enumerate(zip(first, again, strict=False)):
        if item != other:
            was = f"item {place} was {shown(item)} in the first opening"
            raise BadSource(f"{was}, but {shown(other)} in a later one")
    if len(first) != len(again):
        raise BadSource(
            f"the first opening yielded {_items(len(first))}, but a later one {_items(len(again))}"
        )


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def check_resumable(
    factory: Callable[[Progress[Any]], Any] | Source[Any],
    reference: Reference,
    *,
    mid_stream: Resume | Decide | None = None,
    flavour: Flavour | None = None,
) -> None:
    """Check that a source yields exactly the missing items, wherever it resumes.

    A stream reads the source, which is cut off when it is asked for its first item (or bookmark),
    then for the second one, and so on, to the end; at last, after each item. The stream reopens it
    each time, with a `Progress` of what was delivered: the count, the items, the cursor, the memo.

    Args:
        factory: opens the source, sync or async, at the position of a `Progress`, as under
            `mid_stream="resume"`; or a `Source` with such a factory.
        reference: all items, or a function that returns them. If it is `bytes`, the chunks of the
            source are joined, wherever they were cut.
        mid_stream: how the source takes over, if it reads `progress.cursor`:
            `Resume(start=..., advance=...)`. By default that of the `Source`, or else
            `Resume(keep=None)`.
        flavour: "sync", "asyncio" or "trio". By default, the class of what the factory returns
            decides between "sync" and "asyncio". An async source runs in an event loop that the
            check starts.

    Raises:
        AssertionError: at some position, the source yielded other items than the remaining ones.
        ValueError: the `Source` takes over by starting again, or the flavour is unknown.
        RuntimeError: as for `run_plan`.

    Example:
        >>> from failover_iter import Resume
        >>> from failover_iter.testing import check_resumable
        >>> check_resumable(lambda progress: range(progress.delivered, 5), range(5))
        >>> try:
        ...     check_resumable(lambda progress: range(progress.last or 0, 5), range(5))
        ... except AssertionError as error:
        ...     print(error)
        resumed after 1 item, it yielded [0, 1, 2, 3, 4] instead of [1, 2, 3, 4]
        >>> by_row = Resume(start=0, advance=lambda cursor, row: row + 1)
        >>> check_resumable(lambda progress: range(progress.cursor, 5), range(5), mid_stream=by_row)
    """
    given = reference() if callable(reference) else reference
    items = given if isinstance(given, bytes) else list(given)
    source: Source[Any] = cast("Any", factory if isinstance(factory, Source) else Source(factory))
    if mid_stream is not None:
        source = replace(source, mid_stream=mid_stream)
    if isinstance(source.mid_stream, Skip) or source.mid_stream in ("restart", "raise", "skip"):
        raise ValueError(
            f"check_resumable is for sources that resume, got mid_stream={source.mid_stream!r}: "
            "check_replayable checks a source that starts over"
        )

    async def check(opener: _Opener) -> None:
        place = 0
        while await _CutStream(opener, source, place).compare(items):
            place += 1
        await _CutStream(opener, source, None).compare(items)

    with _unlogged():
        _run(check, source.factory, flavour)


class _CutOff(Exception):
    """The source was cut off."""


class _CutStream:
    """A stream over a source that is cut off once, after `place` items and bookmarks.

    If `place` is None, it is cut off after each item that it adds.
    """

    def __init__(self, opener: _Opener, source: Source[Any], place: int | None) -> None:
        self.opener = opener
        self.stream = afailover_stream(
            [Source(self.cut_off, mid_stream=source.mid_stream)],
            retry_on=_CutOff,
            switch_on=SourceError,
            attempts=sys.maxsize,
            mid_stream=Resume(keep=None),
        )
        self.place = place
        self.items: list[Any] = []
        #: How many items had been delivered at each cut.
        self.cuts: list[int] = []

    async def cut_off(self, progress: Progress[Any]) -> AsyncIterator[Any]:
        """Yield what the source does; at the cut, ask it for more, but deliver nothing."""
        opened = await self.opener.open(progress)
        yielded = 0
        try:
            while not self.is_cut(progress, yielded):
                yield await opened.next()
                yielded += 1
            self.cuts.append(len(self.items))
            with suppress(Ended):
                await opened.next()
        except Ended:
            return
        finally:
            await opened.close()
        raise _CutOff

    def is_cut(self, progress: Progress[Any], yielded: int) -> bool:
        if self.place is None:
            return len(self.items) > progress.total
        return yielded == self.place and not self.cuts

    async def compare(self, expected: list[Any] | bytes) -> bool:
        """Compare what the stream delivers with all items; return whether it was cut off."""
        try:
            async with aclosing(self.stream) as stream:
                async for item in stream:
                    self.items.append(item)
                    if len(self.items) > 2 * len(expected):
                        break  # or a wrong source might never end
        except SourceError as error:
            raise BadSource(f"{self.resumed()}, it raised {shown(error)}") from error
        before: Any = self.items[: self.seam]
        got: Any = self.items[self.seam :]
        if isinstance(expected, bytes):
            before, got = b"".join(before), b"".join(got)
        rest = expected[len(before) :]
        if got != rest:
            raise BadSource(f"{self.resumed()}, it yielded {shown(got)} instead of {shown(rest)}")
        return bool(self.cuts)

    @property
    def seam(self) -> int:
        """How many items the first opening delivered, if it was cut off at a place."""
        return self.cuts[0] if self.cuts and self.place is not None else 0

    def resumed(self) -> str:
        return f"resumed after {'each item' if self.place is None else _items(self.seam)}"


@contextmanager
def _unlogged() -> Generator[None]:
    """Do not log the failures that a check causes."""
    logger = logging.getLogger("failover_iter")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


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
        ValueError: `most` is not an int of at least 0, or the flavour is unknown.
        RuntimeError: as for `run_plan`.

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
    check_number("most", most)

    async def check(opener: _Opener) -> None:
        for pulls in range(most + 1):
            with _nothing_left(pulls):
                await _check_closed(opener, pulls)
            if closed is not None and not closed():
                raise BadSource(f"closed after {_items(pulls)}, it did not release its resources")

    _run(check, factory, flavour)


async def _check_closed(opener: _Opener, pulls: int) -> None:
    source = await opener.open()
    await _pulled(source, pulls)
    if not source.closers():
        close = source.method("close")
        raise BadSource(f"{type(source.iterator).__name__} has no method {close}")
    try:
        for close in source.closers() * 2:
            await result_of(close())
    except Exception as error:
        raise BadSource(f"closed after {_items(pulls)}, it raised {shown(error)}") from error
    if await _pulled(source, 1):
        raise BadSource(f"closed after {_items(pulls)}, it yielded another item")


async def _pulled(source: Either, times: int) -> int:
    """Pull this many times, and return how many items arrived."""
    for count in range(times):
        try:
            await source.next()
        except (Ended, ValueError):  # ValueError: a closed file
            return count
    return times


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
    """Opens a source, and finds out whether it is async."""

    def __init__(self, factory: Callable[..., Any]) -> None:
        self.factory = factory
        self.blocking = True
        #: Async sources that were opened before their flavour was known.
        self.unused: list[Any] = []

    async def open(self, *arguments: Any) -> Either:
        opened = self.factory(*arguments)
        if self.blocking and (is_async_iterable(opened) or inspect.isawaitable(opened)):
            self.unused.append(opened)
            raise WrongFlavour("the source is async")
        return Either(await await_if_needed(opened))

    async def close_unused(self) -> None:
        while self.unused:
            with suppress(Exception):  # `check_closes` says what its close raises
                await Either(await await_if_needed(self.unused.pop())).close()


def _run(
    check: Callable[[_Opener], Coroutine[Any, Any, None]],
    factory: Callable[..., Any],
    flavour: Flavour | None,
) -> None:
    opener = _Opener(factory)

    async def checked() -> None:
        await opener.close_unused()
        await check(opener)

    def run(chosen: Flavour) -> None:
        opener.blocking = chosen == "sync"
        run_coroutine(chosen, checked())

    in_flavour(flavour, run)
