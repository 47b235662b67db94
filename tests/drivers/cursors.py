"""Cursors and the memo, for both drivers: the fold, and sources that share them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from checkpoint.memory import Disk
from drivers.base import BY_BOOKMARKS, Scripted, count, reset
from failover_iter import Checkpoint, Decide, Policy, Progress, Resume, Source
from failover_iter.events import Event
from support.flavour import SyncFlavour


def other_count(cursor: int, _: object) -> int:
    return cursor + 1


class Cursors(Scripted):
    """Where a stream is, opening by opening; a test module names the flavour."""

    def test_an_error_of_advance_is_the_consumers(self, flavour: SyncFlavour) -> None:
        """It is raised unchanged, although `retry_on` lists it; the source is closed."""
        closed: list[str] = []
        error = reset()

        def source(_: Progress[Any]) -> Iterator[int]:
            try:
                yield from (1, 2)
            finally:
                closed.append("closed")

        def advance(cursor: int, item: int) -> int:
            if item == 2:
                raise error
            return item

        for commit_when in (1, 2):
            stream = flavour.stream(
                [flavour.generator(source)] * 2,
                mid_stream=Resume(start=0, advance=advance),
                commit_when=commit_when,
            )
            assert flavour.next(stream) == 1
            with pytest.raises(ConnectionError) as caught:
                flavour.next(stream)
            assert caught.value is error
        assert closed == ["closed"] * 2

    @pytest.mark.parametrize("at", [1, 2])
    def test_a_stop_iteration_of_advance_ends_nothing(self, flavour: SyncFlavour, at: int) -> None:
        """It is PEP 479's `RuntimeError`, not the end of the source."""

        def advance(cursor: int, item: int) -> int:
            return item if item < at else next(iter(()))

        source, _ = self.script(flavour, [1, 2])
        stream = flavour.stream([source], mid_stream=Resume(start=0, advance=advance))
        with pytest.raises(RuntimeError, match="the function of advance raised StopIteration"):
            flavour.drain(stream)

    @pytest.mark.parametrize("at", [1, 2])
    def test_a_stop_async_iteration_of_advance_ends_nothing(
        self, flavour: SyncFlavour, at: int
    ) -> None:
        """It is an error like any other; in an async stream, Python wraps it (PEP 525)."""

        def advance(cursor: int, item: int) -> int:
            if item == at:
                raise StopAsyncIteration
            return item

        source, _ = self.script(flavour, [1, 2])
        stream = flavour.stream([source], mid_stream=Resume(start=0, advance=advance))
        expected = StopAsyncIteration if flavour.name == "sync" else RuntimeError
        with pytest.raises(expected):
            flavour.drain(stream)

    @pytest.mark.parametrize("is_saved", [False, True])
    @pytest.mark.parametrize("at", [1, 2])
    def test_an_item_with_which_advance_fails_does_not_count(
        self, flavour: SyncFlavour, at: int, *, is_saved: bool
    ) -> None:
        """It was not delivered, whether it was held, and whether a checkpoint was saved before."""

        def advance(cursor: int, item: int) -> int:
            return item if item < at else item // 0

        events: list[Event] = []
        source, _ = self.script(flavour, [1, 2])
        stream = flavour.stream(
            [source],
            mid_stream=Resume(start=0, advance=advance),
            checkpoint=Checkpoint(store=Disk().store(), every=0) if is_saved else None,
            on_event=events.append,
        )
        with pytest.raises(ZeroDivisionError):
            flavour.drain(stream)
        assert events[-1].delivered == at - 1

    def test_an_advance_that_returns_a_coroutine(self, flavour: SyncFlavour) -> None:
        """It is a wrong use, for nobody awaits it."""

        async def later() -> int:
            return 1

        source, seen = self.script(flavour, [1, 2])
        stream = flavour.stream(
            [source] * 2,
            mid_stream=Resume(start=0, advance=lambda *_: later()),
            retry_on=Exception,
        )
        with pytest.raises(TypeError, match="advance must return a cursor, got a coroutine"):
            flavour.drain(stream)
        assert len(seen) == 1

    def test_each_stream_and_restart_has_its_own_start(self, flavour: SyncFlavour) -> None:
        """Whatever a factory or `advance` does to its cursor, `start` never changes."""
        start: list[int] = []
        seen: list[list[int]] = []

        def source(progress: Progress[int]) -> Iterator[int]:
            seen.append(list(progress.cursor))
            progress.cursor.append(-1)
            yield len(seen)
            raise reset()

        def advance(cursor: list[int], item: int) -> list[int]:
            cursor.append(item)
            return cursor

        modes = iter(["restart", "resume"])
        strategy = Decide(lambda _: next(modes), start=start, advance=advance)
        stream = flavour.stream([flavour.generator(source)] * 3, mid_stream=strategy)
        with pytest.raises(ConnectionError):
            flavour.drain(stream)
        assert (start, seen) == ([], [[], [], [2]])

    def test_without_start_the_cursor_is_none_at_first(self, flavour: SyncFlavour) -> None:
        """`advance` alone is enough, where the start needs no value."""
        source, seen = self.script(flavour, [5, 0, reset()], [9])
        stream = flavour.stream(
            [source], attempts=2, mid_stream=Resume(advance=lambda _, item: item)
        )
        assert flavour.drain(stream) == [5, 0, 9]
        assert [each.cursor for each in seen] == [None, 0]

    def test_sources_share_one_cursor(self, flavour: SyncFlavour) -> None:
        """Sources with another `start` or `advance` are refused at the call."""
        source, _ = self.script(flavour, [])
        first = Source(source, mid_stream=Resume(start=0, advance=count))
        for strategy in (
            Resume(start=1, advance=count),
            Resume(start=False, advance=count),
            Decide(lambda _: "resume", start=0, advance=other_count),
            Resume(start=0),
        ):
            wrong = Source(source, name="wrong", mid_stream=strategy)
            with pytest.raises(ValueError, match="share one cursor.*: source 'wrong' has start="):
                flavour.stream([first, wrong])
        flavour.stream([first, Source(source, mid_stream=Resume(start=0, advance=count, keep=3))])
        flavour.stream([first, Source(source, mid_stream="resume")])

    def test_starts_that_cannot_be_compared_are_different(self, flavour: SyncFlavour) -> None:
        """Their owners' errors are not ours."""

        class Odd:
            def __eq__(self, other: object) -> bool:
                raise RuntimeError("compared")

            __hash__ = None  # type: ignore[assignment]

        source, _ = self.script(flavour, [])
        sources = [Source(source, mid_stream=Resume(start=Odd())) for _ in range(2)]
        with pytest.raises(ValueError, match="share one cursor"):
            flavour.stream(sources)
        flavour.stream([sources[0]] * 2)

    def test_a_lazy_source_with_another_cursor(self, flavour: SyncFlavour) -> None:
        """It is refused where it is reached, whatever `retry_on` says."""
        source, seen = self.script(flavour, [1, reset()])
        sources = [
            Source(source, mid_stream=Resume(start=each, advance=count)) for each in (0, 1, 2)
        ]
        stream = flavour.stream(iter(sources), retry_on=Exception, mid_stream=sources[0].mid_stream)
        assert flavour.next(stream) == 1
        with pytest.raises(ValueError, match="share one cursor"):
            flavour.next(stream)
        assert len(seen) == 1

    def test_a_lazy_source_that_is_the_first_with_a_cursor(self, flavour: SyncFlavour) -> None:
        """A fold misses the items before it; a cursor by bookmarks replays them."""
        plain = self.source(flavour, 1, 2, error=reset())
        source, seen = self.script(flavour, [1, 2, 3])
        folds = Source(source, mid_stream=Resume(start=0, advance=count))
        with pytest.raises(ValueError, match="looks at each item"):
            flavour.drain(flavour.stream(iter([plain, folds])))
        marks = Source(source, mid_stream=BY_BOOKMARKS)
        stream = flavour.stream(iter([plain, marks]), complete_when=lambda item: item == 3)
        assert flavour.drain(stream) == [1, 2, 3]
        assert self.positions(seen) == [("start", 2, 2, "resume")]

    def test_the_memo_lives_as_long_as_the_stream(self, flavour: SyncFlavour) -> None:
        """Attempts, groups and `Decide` share one dict; another stream has another one."""
        memos: list[dict[str, Any]] = []

        def decide(progress: Progress[Any]) -> Any:
            memos.append(progress.memo)
            return "restart"

        source, seen = self.script(flavour, [1, reset()], [reset()], [2])
        policy = Policy(retry_on=ConnectionError, mid_stream=Decide(decide))
        sources = [source, policy.source([source, source])]
        assert flavour.drain(flavour.of(policy, sources)) == [1, 2]
        memos += [each.memo for each in seen]
        assert all(memo is memos[0] for memo in memos)
        other, seen = self.script(flavour, [1])
        flavour.drain(flavour.of(policy, [other]))
        assert seen[0].memo is not memos[0]
