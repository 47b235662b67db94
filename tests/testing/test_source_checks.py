"""Checks on a user's own source, blocking and async, on sources that are right and wrong."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from failover_iter import Progress
from failover_iter.testing import (
    BadSource,
    acheck_closes,
    acheck_replayable,
    acheck_resumable,
    check_closes,
    check_replayable,
    check_resumable,
)


def asynchronous(factory: Callable[..., Any]) -> Callable[..., Any]:
    """The same source as an async generator function."""

    async def opened(*args: Any) -> AsyncIterator[Any]:
        items = factory(*args)
        try:
            for item in items:
                yield item
        finally:
            getattr(items, "close", bool)()

    return opened


class Checks:
    """The checks of one flavour, as if they were blocking."""

    def __init__(self, flavour: str) -> None:
        self.flavour = flavour

    def replayable(self, factory: Any, **how: Any) -> None:
        if self.flavour == "sync":
            return check_replayable(factory, **how)
        return asyncio.run(acheck_replayable(asynchronous(factory), **how))

    def resumable(self, factory: Any, reference: Any) -> None:
        if self.flavour == "sync":
            return check_resumable(factory, reference)
        return asyncio.run(acheck_resumable(asynchronous(factory), reference))

    def closes(self, factory: Any, **how: Any) -> None:
        if self.flavour == "sync":
            return check_closes(factory, **how)
        return asyncio.run(acheck_closes(asynchronous(factory), **how))


@pytest.fixture(params=["sync", "async"])
def checks(request: pytest.FixtureRequest) -> Checks:
    return Checks(request.param)


def test_what_replays(checks: Checks) -> None:
    """The same items each time, empty ones included."""
    checks.replayable(lambda: [1, 2, 3])
    checks.replayable(list, times=3)


def test_what_does_not_replay(checks: Checks) -> None:
    """Other items, fewer, more: where it differs is said."""
    runs = iter([[1, 2], [1, 3]])
    with pytest.raises(BadSource, match="it gave 3 as item 1, where it had given 2"):
        checks.replayable(lambda: next(runs))
    runs = iter([[1, 2], [1]])
    with pytest.raises(BadSource, match="it gave 1 items, where it had given 2"):
        checks.replayable(lambda: next(runs))
    runs = iter([[1], [1], [1, 2]])
    with pytest.raises(BadSource, match="it gave 2 items, where it had given 1"):
        checks.replayable(lambda: next(runs), times=3)


def test_once_is_no_check(checks: Checks) -> None:
    """To be opened once says nothing."""
    with pytest.raises(ValueError, match="times must be at least 2, got 1"):
        checks.replayable(list, times=1)


def test_what_is_drained_is_closed(checks: Checks) -> None:
    """Each opening is closed by the check."""
    closed: list[int] = []

    def source() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(1)

    checks.replayable(source)
    assert closed == [1, 1]


def test_what_resumes(checks: Checks) -> None:
    """By offset, by last item, by the items so far."""
    reference = [3, 5, 8, 9]
    checks.resumable(lambda progress: reference[progress.delivered :], reference)
    checks.resumable(
        lambda progress: [n for n in reference if progress.last is None or n > progress.last],
        lambda: iter(reference),
    )
    checks.resumable(lambda progress: reference[len(progress.items) :], reference)


def test_what_does_not_resume(checks: Checks) -> None:
    """The first cut after which it does not give the rest is said."""

    def from_the_start(progress: Progress) -> list[int]:
        return [1, 2, 3]

    with pytest.raises(BadSource, match=r"resumed after 1 items it gave \[1, 2, 3\], not \[2, 3"):
        checks.resumable(from_the_start, [1, 2, 3])


def test_what_closes(checks: Checks, tmp_path: Path) -> None:
    """A generator with a file that it closes, wherever it is."""
    path = tmp_path / "lines"
    path.write_text("1\n2\n3\n4\n5\n", "utf-8")
    files: list[Any] = []

    def lines() -> Iterator[str]:
        with path.open(encoding="utf-8") as file:
            files.append(file)
            yield from file

    checks.closes(lines, closed=lambda: all(file.closed for file in files))
    checks.closes(lambda: path.open(encoding="utf-8"))
    assert len(files) == 3  # not opened where nothing was pulled


class Stubborn:
    """Goes on after it was closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __iter__(self) -> Stubborn:
        return self

    def __next__(self) -> int:
        return 1

    def close(self) -> None:
        if self.error is not None:
            raise self.error


class AsyncStubborn(Stubborn):
    def __aiter__(self) -> AsyncStubborn:
        return self

    async def __anext__(self) -> int:
        return 1

    async def aclose(self) -> None:
        self.close()


def test_what_does_not_close(tmp_path: Path) -> None:
    """No close, one that raises, one that does not end it, one that leaves something open."""
    with pytest.raises(BadSource, match="has no close: list_iterator"):
        check_closes(lambda: iter([1]))
    with pytest.raises(BadSource, match="closing it after 0 items raised OSError"):
        check_closes(lambda: Stubborn(OSError()))
    with pytest.raises(BadSource, match="closed after 0 items it gave one more"):
        check_closes(Stubborn)
    with pytest.raises(BadSource, match="closed after 2 items, what it held was still open"):
        answers = iter([True, True, False])
        check_closes(lambda: io.StringIO("1\n2\n3\n"), closed=lambda: next(answers))
    path = tmp_path / "file"
    path.write_text("1\n2\n", "utf-8")

    def leaves_it_open() -> Iterator[str]:
        file = path.open(encoding="utf-8")
        yield from iter(file.readline, "")

    with pytest.raises(BadSource, match="closed after 1 items it left something open: unclosed fi"):
        check_closes(leaves_it_open)


def test_what_does_not_close_async() -> None:
    """The same of async sources."""

    class Bare:
        def __aiter__(self) -> Bare:
            return self

        async def __anext__(self) -> int:
            raise StopAsyncIteration

    async def awaited() -> Bare:
        return Bare()

    for factory, message in (
        (Bare, "has no aclose: Bare"),
        (awaited, "has no aclose: Bare"),
        (lambda: AsyncStubborn(OSError()), "closing it after 0 items raised OSError"),
        (AsyncStubborn, "closed after 0 items it gave one more"),
    ):
        with pytest.raises(BadSource, match=message):
            asyncio.run(acheck_closes(factory))
    asyncio.run(acheck_replayable(awaited))


@pytest.mark.filterwarnings("always::DeprecationWarning")
def test_other_warnings_are_no_matter(checks: Checks) -> None:
    """Only what was left open is."""

    def warns() -> Iterator[int]:
        import warnings

        warnings.warn("old", DeprecationWarning, stacklevel=1)
        yield 1

    checks.closes(warns)
