"""Bookmarks, for both drivers: when they take effect, and that they are signs of life."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.base import BY_BOOKMARKS, Behaviour, Scripted, count, reset
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
)
from support.flavour import Ends, SyncFlavour


class Bookmarks(Scripted):
    """Where sources say that they are; a test module names the flavour."""

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
