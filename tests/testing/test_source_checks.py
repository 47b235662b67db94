"""The checks of a user's source, sync and async, on correct and wrong sources."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from failover_iter import Bookmark, Decide, Progress, Resume, Skip, Source
from failover_iter.testing import check_closes, check_replayable, check_resumable
from failover_iter.testing._source_checks import BadSource


def asynchronous(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same source as an async generator function."""

    async def opened(*args: Any) -> AsyncIterator[Any]:
        items = factory(*args)
        try:
            for item in items:
                yield item
        finally:
            getattr(items, "close", bool)()

    return opened


class Checks:
    """The checks of one flavour."""

    def __init__(self, flavour: Any) -> None:
        self.flavour = flavour
        self.made: Any = asynchronous if flavour in ("asyncio", "trio") else lambda factory: factory

    def replayable(self, factory: Any, **how: Any) -> None:
        check_replayable(self.made(factory), flavour=self.flavour, **how)

    def resumable(self, factory: Any, reference: Any, **how: Any) -> None:
        check_resumable(self.made(factory), reference, flavour=self.flavour, **how)

    def closes(self, factory: Any, **how: Any) -> None:
        check_closes(self.made(factory), flavour=self.flavour, **how)


@pytest.fixture(params=["sync", "asyncio", "trio", None])
def checks(request: pytest.FixtureRequest) -> Checks:
    return Checks(request.param)


def test_the_flavour_is_found_out() -> None:
    """By default, async generators and awaitables of async iterables run under asyncio."""

    async def rows(progress: Progress[int] = Progress()) -> AsyncIterator[int]:
        asyncio.get_running_loop()
        for row in range(progress.delivered, 3):
            yield row

    async def awaited() -> AsyncIterator[int]:
        asyncio.get_running_loop()
        return rows()

    check_replayable(rows)
    check_replayable(awaited)
    check_replayable(lambda: awaited())
    check_resumable(rows, range(3))
    check_closes(rows)
    with pytest.raises(BadSource, match="resumed after 1 item"):
        check_resumable(lambda _: rows(), range(3))


def test_replayable_sources(checks: Checks) -> None:
    """A source that yields the same items each time passes, also an empty one."""
    checks.replayable(lambda: [1, 2, 3])
    checks.replayable(list, times=3)


def test_sources_that_are_not_replayable(checks: Checks) -> None:
    """Other items, fewer items or more items fail, with the first difference."""
    runs = iter([[1, 2], [1, 3]])
    with pytest.raises(BadSource, match="item 1 was 2 in the first opening, but 3 in a later one"):
        checks.replayable(lambda: next(runs))
    runs = iter([[1, 2], [1]])
    with pytest.raises(
        BadSource, match="the first opening yielded 2 items, but a later one 1 item"
    ):
        checks.replayable(lambda: next(runs))
    runs = iter([[1], [1], [1, 2]])
    with pytest.raises(
        BadSource, match="the first opening yielded 1 item, but a later one 2 items"
    ):
        checks.replayable(lambda: next(runs), times=3)


def test_one_opening_is_not_enough(checks: Checks) -> None:
    """`times` must be at least 2."""
    with pytest.raises(ValueError, match="times must be an int of at least 2, got 1"):
        checks.replayable(list, times=1)


def test_drained_sources_are_closed(checks: Checks) -> None:
    """The check closes each source that it opens."""
    closed: list[int] = []

    def source() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(1)

    checks.replayable(source)
    assert closed == [1, 1]


def test_resumable_sources(checks: Checks) -> None:
    """A source can resume by offset, by the last item, or by the items so far."""
    reference = [3, 5, 8, 9]
    checks.resumable(lambda progress: reference[progress.delivered :], reference)
    checks.resumable(
        lambda progress: [n for n in reference if progress.last is None or n > progress.last],
        lambda: iter(reference),
    )
    checks.resumable(lambda progress: reference[len(progress.items) :], reference)


def test_sources_that_do_not_resume(checks: Checks) -> None:
    """The message names the first position at which the source does not yield the rest."""

    def from_the_start(progress: Progress) -> list[int]:
        return [1, 2, 3]

    with pytest.raises(
        BadSource, match=r"resumed after 1 item, it yielded \[1, 2, 3\] instead of \[2, 3"
    ):
        checks.resumable(from_the_start, [1, 2, 3])


ROWS = [3, 0, 8, 9]


def by_row(cursor: int, row: int) -> int:
    return ROWS.index(row) + 1


def with_bookmarks(progress: Progress[int]) -> Iterator[Any]:
    """Says where it is after every second row."""
    for place in range(progress.cursor, len(ROWS)):
        yield ROWS[place]
        if place % 2:
            yield Bookmark(place + 1)


def learns_the_size(progress: Progress[int]) -> Iterator[int]:
    """Asks for the size once, and would fail without the memo."""
    if not progress.delivered:
        progress.memo["size"] = len(ROWS)
    yield from ROWS[progress.cursor : progress.memo["size"]]


def learns_late(progress: Progress[int]) -> Iterator[int]:
    """Learns the size when it is asked for more, as nothing is sure before."""
    size = progress.memo["size"] if progress.delivered else len(ROWS)
    for row in ROWS[progress.cursor : size]:
        yield row
        progress.memo["size"] = len(ROWS)


CURSOR = Resume(start=0, advance=by_row)


def test_sources_that_resume_at_a_cursor(checks: Checks) -> None:
    """The stream folds the cursor, moves it by bookmarks, drops what is replayed, has a memo."""
    checks.resumable(lambda progress: ROWS[progress.cursor :], ROWS, mid_stream=CURSOR)
    checks.resumable(with_bookmarks, ROWS, mid_stream=CURSOR)
    checks.resumable(with_bookmarks, ROWS, mid_stream=Resume(start=0))
    checks.resumable(learns_the_size, ROWS, mid_stream=CURSOR)
    checks.resumable(learns_late, ROWS, mid_stream=CURSOR)
    checks.resumable(
        learns_the_size, ROWS, mid_stream=Decide(lambda _: "resume", start=0, advance=by_row)
    )


def test_sources_with_a_strategy(checks: Checks) -> None:
    """A `Source` brings its own strategy, and an argument replaces it."""
    made = checks.made(lambda progress: ROWS[progress.cursor :])
    check_resumable(Source(made, mid_stream=CURSOR), ROWS, flavour=checks.flavour)
    check_resumable(Source(made), ROWS, mid_stream=CURSOR, flavour=checks.flavour)
    by_count = Source(checks.made(lambda progress: ROWS[progress.delivered :]))
    check_resumable(by_count, ROWS, flavour=checks.flavour)


@pytest.mark.parametrize("mode", ["restart", "skip", "raise", Skip(key=str)])
def test_a_source_that_starts_over_cannot_resume(mode: Any) -> None:
    """The message names the check for such a source."""
    with pytest.raises(ValueError, match="sources that resume, got mid_stream=.*check_replayable"):
        check_resumable(Source(lambda _: ROWS, mid_stream=mode), ROWS)


def counts_from_one(progress: Progress[int]) -> Iterator[Any]:
    """Its bookmarks are places in this opening, not in the stream."""
    for place, row in enumerate(ROWS[progress.cursor :], start=1):
        yield row
        yield Bookmark(place)


def ends_in_the_replay(progress: Progress[int]) -> Iterator[int]:
    """Forgets the rows after the bookmark that the stream still drops."""
    yield from [] if progress.to_replay else ROWS


def counts_what_it_yields(progress: Progress[int]) -> Iterator[int]:
    """Counts an item that may never be delivered."""
    memo = progress.memo
    for row in ROWS[memo.get("place", 0) :]:
        memo["place"] = memo.get("place", 0) + 1
        yield row


@pytest.mark.parametrize(
    ("factory", "strategy", "message"),
    [
        (counts_what_it_yields, CURSOR, r"after 0 items, it yielded \[0, 8, 9\] instead of"),
        (lambda progress: ROWS[progress.cursor or 0 :], Resume(), r"after 1 item, it yielded \[3,"),
        (counts_from_one, Resume(start=0), "resumed after each item, it yielded"),
        (ends_in_the_replay, Resume(start=0), r"after 1 item, it raised DivergedStream\("),
        (lambda _: iter([3]), CURSOR, r"after 0 items, it yielded \[3\] instead of \[3, 0, 8, 9\]"),
        (lambda _: iter(ROWS[:1]), CURSOR, "after 0 items"),
    ],
)
def test_sources_that_do_not_resume_at_a_cursor(
    checks: Checks, factory: Any, strategy: Any, message: str
) -> None:
    """The message says where the source was cut off, and what came then."""
    with pytest.raises(BadSource, match=message):
        checks.resumable(factory, ROWS, mid_stream=strategy)


def test_chunks_may_be_cut_anywhere(checks: Checks) -> None:
    """With bytes as the reference, the chunks are joined."""
    data = b"to be or not"

    def chunks(progress: Progress[bytes], size: int = 5) -> Iterator[bytes]:
        for place in range(progress.cursor, len(data), size):
            yield data[place : place + size]

    def from_the_start(progress: Progress[bytes]) -> Iterator[bytes]:
        return chunks(replace(progress, cursor=0))

    by_bytes = Resume(start=0, advance=lambda cursor, chunk: cursor + len(chunk))
    checks.resumable(chunks, data, mid_stream=by_bytes)
    with pytest.raises(BadSource, match="1 item, it yielded b'to be or not' instead of b' or"):
        checks.resumable(from_the_start, data, mid_stream=by_bytes)


def test_a_source_that_never_gets_further(checks: Checks) -> None:
    """The check ends, although each opening adds an item."""
    with pytest.raises(BadSource, match="resumed after 1 item"):
        checks.resumable(lambda progress: [3] if progress.delivered == 1 else ROWS, ROWS)


def test_the_cuts_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The failures are those of the check."""
    check_resumable(lambda progress: ROWS[progress.delivered :], ROWS)
    assert not caplog.records


def test_a_flavour_may_be_demanded() -> None:
    """An async source is a TypeError if the flavour is "sync"."""

    async def rows() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="the source is async"):
        check_replayable(rows, flavour="sync")


def test_sources_that_close(checks: Checks, tmp_path: Path) -> None:
    """A generator that closes its file passes, and so does a file."""
    path = tmp_path / "lines"
    path.write_text("1\n2\n3\n4\n5\n", "utf-8")
    files: list[Any] = []

    def lines() -> Iterator[str]:
        with path.open(encoding="utf-8") as file:
            files.append(file)
            yield from file

    checks.closes(lines, closed=lambda: all(file.closed for file in files))
    checks.closes(lambda: path.open(encoding="utf-8"))
    assert len(files) == 3  # not opened if nothing was pulled


class Stubborn:
    """Continues after it was closed."""

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


def test_sources_that_do_not_close(tmp_path: Path) -> None:
    """`close` must exist, must not raise, must end the source, and must leave nothing open."""
    with pytest.raises(BadSource, match="list_iterator has no method close"):
        check_closes(lambda: iter([1]))
    with pytest.raises(BadSource, match="closed after 0 items, it raised OSError"):
        check_closes(lambda: Stubborn(OSError()))
    with pytest.raises(BadSource, match="closed after 0 items, it yielded another item"):
        check_closes(Stubborn)
    with pytest.raises(BadSource, match="closed after 2 items, it did not release its resources"):
        answers = iter([True, True, False])
        check_closes(lambda: io.StringIO("1\n2\n3\n"), closed=lambda: next(answers))
    path = tmp_path / "file"
    path.write_text("1\n2\n", "utf-8")

    def leaves_it_open() -> Iterator[str]:
        file = path.open(encoding="utf-8")
        yield from iter(file.readline, "")

    with pytest.raises(BadSource, match="closed after 1 item, it left something open: unclosed fi"):
        check_closes(leaves_it_open)


def test_async_sources_that_do_not_close() -> None:
    """`aclose` must exist, must not raise, and must end the source."""

    class Bare:
        def __aiter__(self) -> Bare:
            return self

        async def __anext__(self) -> int:
            raise StopAsyncIteration

    async def awaited() -> Bare:
        return Bare()

    for factory, message in (
        (Bare, "Bare has no method aclose"),
        (awaited, "Bare has no method aclose"),
        (lambda: AsyncStubborn(OSError()), "closed after 0 items, it raised OSError"),
        (AsyncStubborn, "closed after 0 items, it yielded another item"),
    ):
        with pytest.raises(BadSource, match=message):
            check_closes(factory)
    check_replayable(awaited)


@pytest.mark.filterwarnings("always::DeprecationWarning")
def test_other_warnings_are_ignored(checks: Checks) -> None:
    """Only a ResourceWarning is an error."""

    def warns() -> Iterator[int]:
        import warnings

        warnings.warn("old", DeprecationWarning, stacklevel=1)
        yield 1

    checks.closes(warns)
