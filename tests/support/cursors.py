"""A source with a cursor, a consumer that folds beside the stream, and streams with one bug each.

The source reads numbers from `progress.cursor` on, yields a bookmark at some positions, and fails
after so many numbers, opening by opening. The consumer knows what it got, so it knows where each
opening has to begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from failover_iter import (
    Bookmark,
    Decide,
    Policy,
    Progress,
    Resume,
    Skip,
    Takeover,
    afailover_stream,
    failover_stream,
)
from failover_iter.testing import VirtualClock
from support.virtual import virtual_time

from .loops import LOOPS


def count(cursor: int, item: int) -> int:
    """The position after an item, which is its number."""
    assert cursor == item, "an item was folded twice, or never"
    return cursor + 1


@dataclass(frozen=True)
class Cursors:
    """The script of the source, and the options."""

    size: int = 6
    #: For each opening, after how many numbers it fails; later ones come to the end.
    fails_after: tuple[int, ...] = ()
    #: Positions at which it says that it is there.
    bookmarks: frozenset[int] = frozenset()
    advances: bool = True
    commit_when: int = 1
    #: What `Decide` answers at each takeover; "resume" without it.
    decisions: tuple[Any, ...] = ()
    #: Whether most of the sources are in a `Policy.source`, and whether they have a timeout.
    nested: bool = False
    timed: bool = False

    @property
    def cursor(self) -> dict[str, Any]:
        return {"start": 0, **({"advance": count} if self.advances else {})}

    @property
    def strategy(self) -> Any:
        if not self.decisions:
            return Resume(**self.cursor)
        decisions = iter(self.decisions)
        return Decide(lambda _: next(decisions, "resume"), **self.cursor)


@dataclass
class Seen:
    """A record of what the consumer and the source saw."""

    case: Cursors
    got: list[int] = field(default_factory=list)
    progresses: list[Progress[int]] = field(default_factory=list)
    yielded: int = 0
    #: The bookmarks of this opening, and where the last one was that took effect.
    said: list[int] = field(default_factory=list)
    bookmark: int = 0

    def source(self, progress: Progress[int]) -> Iterator[Any]:
        self.check(progress)
        opening = len(self.progresses)
        self.progresses.append(progress)
        fails_after = self.case.fails_after
        left = fails_after[opening] if opening < len(fails_after) else self.case.size
        for number in range(progress.cursor, self.case.size):
            if number in self.case.bookmarks:
                self.said.append(number)
                yield Bookmark(number)
            if not left:
                raise ConnectionError("reset by peer")
            left -= 1
            self.yielded += 1
            yield number
        if opening < len(fails_after):
            raise ConnectionError("reset by peer")

    def check(self, progress: Progress[int]) -> None:
        """The naive fold: where an opening that resumes has to begin."""
        if self.case.decisions:
            return
        if self.case.advances:
            assert (progress.cursor, progress.to_replay) == (len(self.got), 0)
        else:
            here = [said for said in self.said if said <= len(self.got)]
            self.bookmark = here[-1] if here else self.bookmark
            assert progress.cursor == self.bookmark
            assert progress.to_replay == len(self.got) - self.bookmark
        self.said.clear()
        progress.memo.setdefault("openings", []).append(len(self.progresses))
        assert progress.memo["openings"] == [*range(len(self.progresses) + 1)]

    def take(self, item: Any) -> None:
        if isinstance(item, Takeover):
            if item.mode == "restart":
                assert item.delivered == len(self.got)
                self.got.clear()
        else:
            assert item == len(self.got)
            self.got.append(item)


FLAVOURS = ["sync", *(loop.name for loop in LOOPS)]


def check_cursors(case: Cursors, flavour: str = "sync", combinator: Any = None) -> None:
    """Each number arrives once and in order, and each opening begins at the right number."""
    seen = Seen(case)
    options: dict[str, Any] = {
        "retry_on": ConnectionError,
        "mid_stream": case.strategy,
        "commit_when": case.commit_when,
        **({"idle_timeout": 1} if case.timed else {}),
    }
    source: Any = seen.source if flavour == "sync" else _async(seen.source)
    sources = [source] * (len(case.fails_after) + 1)
    if case.nested:
        sources = [Policy(**options).source(sources[:-1] or sources), sources[-1]]
    if flavour == "sync":
        with virtual_time(VirtualClock()):
            for item in (combinator or failover_stream)(sources, mark_takeovers=True, **options):
                seen.take(item)
    else:

        async def main() -> None:
            stream = afailover_stream(sources, mark_takeovers=True, **options)
            async with aclosing(stream):
                async for item in stream:
                    seen.take(item)

        next(loop for loop in LOOPS if loop.name == flavour).run(main)
    assert seen.got == [*range(case.size)]


def _async(function: Callable[..., Iterator[Any]]) -> Any:
    async def source(progress: Progress[int]) -> Any:
        for item in function(progress):
            yield item

    return source


# Streams with one bug each.


def naive(
    factories: Any,
    *,
    retry_on: Any,
    mid_stream: Any,
    commit_when: int = 1,
    bug: str = "",
    **_: Any,
) -> Iterator[Any]:
    """A stream that resumes by a cursor, as one might write it; `bug` names one."""
    advance = mid_stream.advance
    cursor, behind = mid_stream.start, 0
    memo: dict[str, Any] = {}
    for factory in factories:
        passed = {} if bug == "memo" else memo
        left = behind if bug != "forgets" else 0
        held: list[Any] = []
        received, committed = 0, False
        try:
            for item in factory(Progress(cursor=cursor, to_replay=behind, memo=passed)):
                if isinstance(item, Bookmark):
                    if bug == "delivers":
                        yield item
                    if held and bug != "early":
                        held.append(item)
                    elif left and bug == "whole":
                        cursor, behind, left = item.cursor, 0, 0
                    else:
                        cursor, behind = item.cursor, left
                    continue
                received += 1
                if bug == "yielded" and advance is not None:
                    cursor += 1
                if left:
                    left -= 1
                    continue
                held.append(item)
                committed = committed or received >= commit_when
                if bug == "held" and not committed and advance is not None:
                    cursor = advance(cursor, item)
                while committed and held:
                    each = held.pop(0)
                    if isinstance(each, Bookmark):
                        cursor, behind = each.cursor, 0
                        continue
                    if advance is None:
                        behind += 1
                    elif bug != "yielded":
                        cursor = advance(cursor, each)
                    yield each
        except retry_on:
            continue
        for each in held:
            if not isinstance(each, Bookmark):
                yield each
        return


# Sized items.


def pieces(data: Any, cuts: frozenset[int]) -> list[Any]:
    """The data, cut at these places."""
    places = [0, *sorted(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    return [data[one:other] for one, other in pairwise(places)]


def check_sized(
    data: Any, sources: list[tuple[frozenset[int], int]], flavour: str, combinator: Any = None
) -> list[Any]:
    """Sources that cut the data elsewhere, each failing after so many pieces, deliver it whole."""

    def opened(cuts: frozenset[int], fails_after: int) -> Any:
        def source() -> Iterator[Any]:
            yield from pieces(data, cuts)[:fails_after]
            raise ConnectionError("reset by peer")

        return source if flavour == "sync" else lambda: _async(lambda _: source())(Progress())

    factories = [opened(*each) for each in sources]
    got: list[Any] = []
    options: dict[str, Any] = {
        "retry_on": ConnectionError,
        "mid_stream": Skip(size=len, key=type(data)),
    }
    if flavour == "sync":
        with suppress(ConnectionError):
            got += (combinator or failover_stream)(factories, **options)
    else:

        async def main() -> None:
            stream = afailover_stream(factories, **options)
            async with aclosing(stream):
                with suppress(ConnectionError):
                    async for item in stream:
                        got.append(item)

        next(loop for loop in LOOPS if loop.name == flavour).run(main)
    longest = max(sum(map(len, pieces(data, cuts)[:end])) for cuts, end in sources)
    assert data[:0].join(got) == data[:longest]
    return got


def skips_by_count(factories: Any, *, retry_on: Any, **_: Any) -> Iterator[Any]:
    """Skips as many chunks as were delivered, whatever their size."""
    delivered = 0
    for factory in factories:
        with suppress(retry_on):
            for number, item in enumerate(factory()):
                if number >= delivered:
                    delivered += 1
                    yield item
            return
