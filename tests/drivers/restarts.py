"""Decisions to restart, for both drivers: what becomes of the cursor, and until when they hold."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.base import Scripted, count, reset
from failover_iter import Bookmark, Decide, Progress, Resume, Source, Takeover, TruncatedStream
from support.flavour import SyncFlavour


class Restarts(Scripted):
    """A fresh start, opening by opening; a test module names the flavour."""

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
