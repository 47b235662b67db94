"""Cursors, bookmarks and the memo, for both drivers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import (
    Bookmark,
    Decide,
    DivergedStream,
    Policy,
    Progress,
    Resume,
    Skip,
    Source,
    SourceTimeout,
    Takeover,
    TruncatedStream,
)
from support.flavour import Ends, SyncFlavour


def count(cursor: int, _: object) -> int:
    return cursor + 1


def other_count(cursor: int, _: object) -> int:
    return cursor + 1


BY_BOOKMARKS = Resume(start="start")


class Positions(Behaviour):
    """Where a stream is, opening by opening; a test module names the flavour."""

    def script(self, flavour: SyncFlavour, *openings: list[Any]) -> tuple[Any, list[Progress[Any]]]:
        """A factory that yields, opening by opening, and raises what is an exception."""
        seen: list[Progress[Any]] = []

        def source(progress: Progress[Any]) -> Iterator[Any]:
            seen.append(progress)
            for item in openings[min(len(seen), len(openings)) - 1]:
                if isinstance(item, BaseException):
                    raise item
                yield item

        return flavour.generator(source), seen

    def positions(self, seen: list[Progress[Any]]) -> list[Any]:
        return [(each.cursor, each.delivered, each.to_replay, each.mode) for each in seen]

    # The fold.

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

    # One cursor a stream.

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

    # Bookmarks.

    def test_elsewhere_a_bookmark_is_an_item(self, flavour: SyncFlavour) -> None:
        """A source without a cursor yields objects of any kind."""
        mark = Bookmark(1)
        sources = [self.source(flavour, mark, mark, error=reset()), self.source(flavour, mark)]
        assert flavour.drain(flavour.stream(sources, commit_when=2)) == [mark] * 3
        plain, _ = self.script(flavour, [mark, reset()])
        marks, seen = self.script(flavour, [1, mark, 2])
        sources = [
            Source(plain, mid_stream="resume"),
            Source(marks, mid_stream=Resume(start=0)),
        ]
        assert flavour.drain(flavour.stream(sources)) == [mark, 2]
        assert self.positions(seen) == [(0, 1, 1, "resume")]

    def test_bookmarks_that_answer_the_consumer(self, flavour: SyncFlavour) -> None:
        """A source may answer `send` and `throw` with bookmarks: the next item is delivered."""
        answers: list[Any] = [1, Bookmark("a"), Bookmark("b"), 2, Bookmark("c"), 3, reset()]
        seen: list[Progress[Any]] = []

        def answer(*_: Any) -> Any:
            item = answers.pop(0)
            if isinstance(item, BaseException):
                raise item
            return item

        def opened(progress: Progress[Any]) -> Any:
            seen.append(progress)
            return flavour.iterator(answer, send=answer, throw=answer)

        stream = flavour.stream([opened] * 2, mid_stream=BY_BOOKMARKS)
        assert flavour.next(stream) == 1
        assert flavour.send(stream, "hello") == 2
        assert flavour.throw(stream, LookupError()) == 3
        answers += [3, 4]
        assert flavour.next(stream) == 4
        assert self.positions(seen)[1] == ("c", 3, 1, "resume")

    def test_a_throw_that_is_answered_after_the_pipeline_has_begun(
        self, flavour: SyncFlavour
    ) -> None:
        """It makes no difference that the source was pulled before."""
        answers: list[Any] = [1, 2, Bookmark("a"), 3]

        def answer(*_: Any) -> Any:
            if not answers:
                raise Ends
            return answers.pop(0)

        stream = flavour.stream(
            [lambda _: flavour.iterator(answer, throw=answer)], mid_stream=BY_BOOKMARKS
        )
        assert [flavour.next(stream), flavour.next(stream)] == [1, 2]
        assert flavour.throw(stream, LookupError()) == 3
        assert flavour.drain(stream) == []

    def test_a_bookmark_waits_for_the_held_items_before_it(self, flavour: SyncFlavour) -> None:
        """If these are discarded, so is the bookmark; a clean end delivers them."""
        source, seen = self.script(
            flavour,
            [Bookmark("a"), 1, Bookmark("b"), reset()],
            [1, Bookmark("b"), 2, Bookmark("c"), 3, reset()],
            [3, 4, Bookmark("d")],
        )
        stream = flavour.stream([source], attempts=3, commit_when=2, mid_stream=BY_BOOKMARKS)
        assert flavour.drain(stream) == [1, 2, 3, 4]
        assert self.positions(seen) == [
            ("start", 0, 0, None),
            ("a", 0, 0, None),
            ("c", 3, 1, "resume"),
        ]

    def test_the_fold_goes_on_from_a_bookmark(self, flavour: SyncFlavour) -> None:
        """Gaps in the numbering are known to the source alone."""
        source, seen = self.script(flavour, [1, Bookmark(100), 2, 3, reset()], [4])
        stream = flavour.stream([source] * 2, mid_stream=Resume(start=0, advance=count))
        assert flavour.drain(stream) == [1, 2, 3, 4]
        assert self.positions(seen)[1:] == [(102, 3, 0, "resume")]

    def test_replayed_items_count_as_in_a_skip(self, flavour: SyncFlavour) -> None:
        """For `commit_when` and `allow_empty`: nothing is held that need not be."""
        source, _ = self.script(flavour, [1, 2, 3, reset()], [1, 2, 3, 4, reset()], [1, 2, 3, 4])
        stream = flavour.stream(
            [source] * 3, mid_stream=BY_BOOKMARKS, commit_when=3, allow_empty=False
        )
        assert flavour.drain(stream) == [1, 2, 3, 4]

    def test_a_source_that_ends_before_it_has_replayed_the_rest(self, flavour: SyncFlavour) -> None:
        """It has diverged, as under "skip"."""
        source, seen = self.script(flavour, [1, Bookmark("a"), 2, 3, reset()], [2])
        stream = flavour.stream([source], attempts=2, mid_stream=BY_BOOKMARKS)
        with pytest.raises(DivergedStream, match="ended after 1 of the 2 items that were deliver"):
            flavour.drain(stream)
        assert self.positions(seen)[1:] == [("a", 3, 2, "resume")]

    def test_with_a_fold_a_bookmark_among_dropped_items_is_behind(
        self, flavour: SyncFlavour
    ) -> None:
        """Under "skip" the cursor stays where the stream is."""
        modes: Any = iter(["skip", "resume"])
        strategy = Decide(lambda _: next(modes), start=0, advance=count)
        source, seen = self.script(
            flavour, [1, 2, 3, reset()], [1, Bookmark(1), 2, 3, reset()], [4]
        )
        stream = flavour.stream([source], attempts=3, mid_stream=strategy)
        assert flavour.drain(stream) == [1, 2, 3, 4]
        assert self.positions(seen)[1:] == [(0, 0, 3, "skip"), (3, 3, 0, "resume")]

    def test_a_bookmark_among_items_that_are_dropped_by_size(self, flavour: SyncFlavour) -> None:
        """Its place is not known in items: it only shows life."""
        inner = Policy(retry_on=ConnectionError, mid_stream=Resume(start="start"))
        source, seen = self.script(
            flavour, ["ab", Bookmark("x"), "cde", Bookmark("y"), reset()], ["f"]
        )
        first = self.source(flavour, "abc", error=reset())
        stream = flavour.stream([first, inner.source([source] * 2)], mid_stream=Skip(size=len))
        assert flavour.drain(stream) == ["abc", "de", "f"]
        assert self.positions(seen) == [("start", 0, 3, "skip"), ("y", 2, 0, "resume")]

    def test_the_inner_source_of_a_stream_with_a_cursor(self, flavour: SyncFlavour) -> None:
        """A group is a source of the outer stream: bookmarks inside it are bookmarks."""
        inner = Policy(retry_on=ConnectionError, mid_stream="resume")
        source, seen = self.script(flavour, [1, Bookmark("a"), 2, reset()], [2, 3])
        stream = flavour.stream([inner.source([source] * 2)], mid_stream=BY_BOOKMARKS)
        assert flavour.drain(stream) == [1, 2, 3]
        assert self.positions(seen)[1:] == [("a", 2, 1, "resume")]

    # Signs of life.

    @pytest.mark.parametrize(("mark", "is_progress"), [(Bookmark(5), True), (Bookmark(), False)])
    def test_a_bookmark_with_a_cursor_is_progress(
        self, flavour: SyncFlavour, mark: Bookmark, is_progress: bool
    ) -> None:
        """`reset_on_progress` counts it like an item; a mere sign of life brings nothing."""
        source, seen = self.script(flavour, *[[mark, reset()]] * 4, [1])
        stream = flavour.stream(
            [source], attempts=2, reset_on_progress=True, mid_stream=Resume(start=0)
        )
        if is_progress:
            assert flavour.drain(stream) == [1]
            assert [each.attempt for each in seen] == [1] * 5
        else:
            with pytest.raises(ConnectionError):
                flavour.drain(stream)
            assert [each.attempt for each in seen] == [1, 2]

    @pytest.mark.parametrize("mark", [Bookmark(1), Bookmark()])
    def test_a_sign_of_life_ends_an_outage(self, flavour: SyncFlavour, mark: Bookmark) -> None:
        """Long polls that bring nothing new go on; failures without a sign give up."""
        counts: list[int] = []

        def wait(failed: Any) -> float:
            counts.append(failed.consecutive)
            return 4

        options: dict[str, Any] = {
            "attempts": None,
            "give_up_after": 5,
            "wait": wait,
            "mid_stream": Resume(start=0),
        }
        source, seen = self.script(flavour, *[[mark, reset()]] * 4, [1])
        assert flavour.drain(flavour.stream([source], **options)) == [1]
        assert counts == [1] * 4
        source, seen = self.script(flavour, [reset()])
        with pytest.raises(ConnectionError):
            flavour.drain(flavour.stream([source], **options))
        assert len(seen) == 2

    def test_long_polls_that_end_well_with_nothing_new(self, flavour: SyncFlavour) -> None:
        """Each is cut, by `complete_when`, and the outage starts over with its sign of life."""
        source, seen = self.script(flavour, [1, Bookmark("a")], *[[Bookmark()]] * 6, [2])
        stream = flavour.stream(
            [source],
            attempts=None,
            wait=4,
            give_up_after=5,
            mid_stream=BY_BOOKMARKS,
            complete_when=lambda item: item == 2,
        )
        assert flavour.drain(stream) == [1, 2]
        assert {each.cursor for each in seen[1:]} == {"a"}

    # Restarts.

    def test_a_decision_to_restart_holds_until_an_item(self, flavour: SyncFlavour) -> None:
        """A fresh start that fails once more does not use the dead token again."""
        asked: list[Any] = []

        def decide(progress: Progress[Any]) -> Any:
            asked.append(progress.cursor)
            return "restart" if progress.cursor == 2 else "resume"

        strategy = Decide(decide, start=0, advance=count)
        source, seen = self.script(
            flavour,
            [1, 2, reset()],
            [reset()],
            [Bookmark(), reset()],
            [7, reset()],
            [8],
        )
        stream = flavour.stream([source] * 4, attempts=2, mid_stream=strategy)
        assert flavour.drain(stream) == [1, 2, 7, 8]
        assert asked == [2, 1]
        assert self.positions(seen) == [
            (0, 0, 0, None),
            *[(0, 0, 0, "restart")] * 3,
            (1, 1, 0, "resume"),
        ]

    def test_a_held_decision_holds_for_the_next_source(self, flavour: SyncFlavour) -> None:
        """One that resumes by its own mode starts afresh; one that never takes over is left out."""
        source, seen = self.script(flavour, [1, reset()], [reset()], [2])
        decides = Decide(lambda _: "restart", start=0, advance=count)
        sources = [
            Source(source, mid_stream=decides, attempts=2),
            Source(self.source(flavour, 9), mid_stream="raise"),
            Source(source, mid_stream=Resume(start=0, advance=count)),
        ]
        assert flavour.drain(flavour.stream(sources)) == [1, 2]
        assert self.positions(seen)[1:] == [(0, 0, 0, "restart")] * 2

    def test_a_bookmark_ends_a_held_decision(self, flavour: SyncFlavour) -> None:
        """The fresh attempt has come somewhere: the next one may go on from there."""
        modes = iter(["restart", "resume"])
        strategy = Decide(lambda _: next(modes), start="start")
        source, seen = self.script(
            flavour, [1, 2, Bookmark("dead"), reset()], [Bookmark("fresh"), reset()], [7]
        )
        stream = flavour.stream([source] * 3, mid_stream=strategy, mark_takeovers=True)
        got = flavour.drain(stream)
        assert [got[0], got[1], got[3]] == [1, 2, 7]
        # The marker reports the restart, of which no item has arrived yet.
        assert isinstance(got[2], Takeover)
        assert (got[2].mode, got[2].delivered, len(got)) == ("restart", 2, 4)
        assert self.positions(seen)[1:] == [
            ("start", 0, 0, "restart"),
            ("fresh", 0, 0, "resume"),
        ]
        assert [each.total for each in seen] == [0, 2, 2]

    def test_a_second_restart_after_a_bookmark(self, flavour: SyncFlavour) -> None:
        """The marker still says how many items are to be discarded."""
        strategy = Decide(lambda _: "restart", start="start")
        source, _ = self.script(
            flavour, [1, 2, reset()], [Bookmark("a"), reset()], [Bookmark("b"), reset()], [7]
        )
        stream = flavour.stream([source] * 4, mid_stream=strategy, mark_takeovers=True)
        marker = flavour.drain(stream)[2]
        assert (marker.mode, marker.delivered) == ("restart", 2)

    def test_a_fresh_attempt_that_bookmarks_and_delivers(self, flavour: SyncFlavour) -> None:
        """The items start over once: the bookmark and the items after it count."""
        modes = iter(["restart", "resume"])
        strategy = Decide(lambda _: next(modes), start="start")
        source, seen = self.script(
            flavour, [1, 2, reset()], [Bookmark("a"), 7, 8, reset()], [7, 8, 9]
        )
        stream = flavour.stream([source] * 3, mid_stream=strategy)
        assert flavour.drain(stream) == [1, 2, 7, 8, 9]
        assert self.positions(seen)[2:] == [("a", 2, 2, "resume")]
        assert seen[2].total == 4

    def test_a_fresh_attempt_that_only_bookmarks_is_cut(self, flavour: SyncFlavour) -> None:
        """`complete_when` does not look at the items from before the restart."""
        source, _ = self.script(flavour, [1, 2, reset()], [Bookmark("a")])
        strategy = Decide(lambda _: "restart", start="start")
        stream = flavour.stream([source] * 2, mid_stream=strategy, complete_when=lambda _: True)
        with pytest.raises(TruncatedStream):
            flavour.drain(stream)

    # The memo.

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

    # Attempts that count anew.

    def test_reset_on_progress_beside_sources_with_their_own_mode(
        self, flavour: SyncFlavour
    ) -> None:
        """It holds for the source that shows progress, and for no other."""
        source, _ = self.script(flavour, *[[1, reset()]] * 3, [reset()])
        plain = self.source(flavour, 7, error=reset())
        events: list[Any] = []
        stream = flavour.stream(
            [Source(source, name="own", mid_stream=Resume(start=0, advance=count)), plain],
            attempts=2,
            reset_on_progress=True,
            on_event=events.append,
        )
        with pytest.raises(ConnectionError):
            flavour.drain(stream)
        opened = [
            (event.source, event.attempt) for event in events if type(event).__name__ == "Opening"
        ]
        assert opened == [*[("own", 1)] * 4, ("own", 2), ("source", 1), ("source", 2)]

    def test_reset_on_progress_of_a_group(self, flavour: SyncFlavour) -> None:
        """It holds for a group whose sources have their own mode, and for one of lazy sources."""
        source, _ = self.script(flavour, *[[1, reset()]] * 4, [reset()])
        own = Source(source, mid_stream=Resume(start=0, advance=count))
        policy = Policy(retry_on=ConnectionError)
        stream = flavour.stream([policy.source([own])], attempts=2, reset_on_progress=True)
        got = [flavour.next(stream) for _ in range(4)]
        with pytest.raises(ConnectionError):
            flavour.next(stream)
        assert got == [1] * 4

        class Lazy:
            def __iter__(self) -> Iterator[Any]:
                return iter([own])

        flavour.stream([policy.source(Lazy())], reset_on_progress=True)
        for wrong in (policy.source([self.source(flavour, 1)]), self.source(flavour, 1)):
            with pytest.raises(ValueError, match="^reset_on_progress=True works only with"):
                flavour.stream([wrong], reset_on_progress=True)
        with pytest.raises(ValueError, match="^reset_on_progress=True works only with"):
            Policy(retry_on=OSError, reset_on_progress=True).source([self.source(flavour, 1)])

    def test_reset_on_progress_with_decide(self, flavour: SyncFlavour) -> None:
        """An attempt that repeats items has brought the stream no further."""
        modes = iter(["resume", "restart", "restart"])
        source, seen = self.script(flavour, [1, 2, reset()], [3, reset()], [1, reset()])
        stream = flavour.stream(
            [source],
            attempts=2,
            reset_on_progress=True,
            mid_stream=Decide(lambda _: next(modes)),
        )
        with pytest.raises(ConnectionError):
            flavour.drain(stream)
        assert [(each.attempt, each.mode) for each in seen] == [
            (1, None),
            (1, "resume"),
            (1, "restart"),
            (2, "restart"),
        ]


class QuietFeeds(Behaviour):
    """Time limits of a source that yields bookmarks; a test module names the flavour."""

    def test_a_heartbeat_restarts_the_idle_timeout(self, flavour: SyncFlavour) -> None:
        """It counts from the last bookmark, before the first item and after it."""
        source = self.feed(flavour, [Bookmark(), Bookmark(), 1, Bookmark(), Bookmark(3), 2])
        stream = flavour.stream([source], idle_timeout=1, mid_stream=Resume(start=0))
        assert flavour.drain(stream) == [1, 2]

    def test_a_heartbeat_is_not_the_first_item(self, flavour: SyncFlavour) -> None:
        """`first_item_timeout` goes on from the opening."""
        source = self.feed(flavour, [Bookmark()] * 9)
        stream = flavour.stream(
            [source], first_item_timeout=2, idle_timeout=1, mid_stream=Resume(start=0)
        )
        with pytest.raises(SourceTimeout, match="produced no first item within 2 s"):
            flavour.drain(stream)

    def test_a_feed_that_falls_silent(self, flavour: SyncFlavour) -> None:
        """After a heartbeat, the limit is that of any further item."""
        source = self.feed(flavour, [Bookmark(), None, 1])
        stream = flavour.stream([source], idle_timeout=1, mid_stream=Resume(start=0))
        with pytest.raises(SourceTimeout, match="produced no item for 1 s"):
            flavour.drain(stream)

    def test_an_abandoned_source_moves_nothing(self, flavour: SyncFlavour) -> None:
        """The items that a blocked source yields too late are yielded again by the next one."""
        if flavour.name == "async":
            pytest.skip("an async source is cancelled, and yields no more")
        seen: list[int] = []
        gone_on = threading.Event()

        def source(progress: Progress[int]) -> Iterator[Any]:
            seen.append(progress.cursor)
            for number in range(progress.cursor, 4):
                if number == 2 and len(seen) == 1:
                    flavour.clock.sleep(5)
                    gone_on.set()
                yield number
                yield Bookmark(number + 1)

        stream = flavour.stream(
            [source] * 2, idle_timeout=1, mid_stream=Resume(start=0, advance=count)
        )
        got = [flavour.next(stream) for _ in range(3)]
        flavour.clock.wake_all()
        assert gone_on.wait(10)
        assert (got + flavour.drain(stream), seen) == ([0, 1, 2, 3], [0, 2])

    def feed(self, flavour: SyncFlavour, items: list[Any]) -> Any:
        """A source that waits 0.7 s before each of these, and twice that before None."""
        if flavour.name == "async":
            import asyncio

            async def feed(_: Progress[Any]) -> Any:
                for item in items:
                    await asyncio.sleep(0.7 if item is not None else 1.4)
                    yield item

            return feed

        def blocking(_: Progress[Any]) -> Iterator[Any]:
            for item in items:
                flavour.clock.sleep(0.7 if item is not None else 1.4)
                yield item

        return blocking
