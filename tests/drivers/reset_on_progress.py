"""`reset_on_progress`, for both drivers: what is progress, and whose attempts count anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from drivers.base import Scripted, count, reset
from failover_iter import Bookmark, Decide, Policy, Resume, Source
from support.flavour import SyncFlavour


class ResetOnProgress(Scripted):
    """Attempts that count anew; a test module names the flavour."""

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
