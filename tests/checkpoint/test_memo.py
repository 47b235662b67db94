"""The entry "checkpoint" of the memo: it is saved with the cursor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from failover_iter import Bookmark, Checkpoint, Decide, Resume, Source, failover_stream

from .memory import Disk
from .streams import RESUME, stream


class Memory:
    """Numbers whose source keeps something in the memo, which the next process reads."""

    def __init__(self, kept: Any = None) -> None:
        self.kept = kept
        self.found: list[Any] = []

    def __call__(self, progress: Any) -> Iterator[int]:
        self.found.append(progress.memo.get("checkpoint"))
        for number in range(progress.cursor, 5):
            if self.kept is not None:
                progress.memo["checkpoint"] = self.kept
            yield number


@pytest.mark.parametrize("auto", [True, False])
def test_what_a_source_keeps(auto: bool) -> None:
    """The entry "checkpoint" of the memo is saved with the cursor, from the first item on."""
    disk, first, second = Disk(), Memory({"etag": "a"}), Memory()
    checkpoint = Checkpoint(store=disk.store(), every=0, auto=auto)
    running = stream(checkpoint, first)
    assert next(running) == 0
    checkpoint.done(1) if not auto else next(running)
    again = Checkpoint(store=disk.store(), auto=auto)
    assert list(stream(again, second)) == [1, 2, 3, 4]
    assert (first.found, second.found) == ([None], [{"etag": "a"}])
    running.close()


def test_what_a_discarded_attempt_keeps() -> None:
    """It is not saved with the position of other items."""
    disk = Disk()

    def breaks(name: str, progress: Any) -> Iterator[int]:
        progress.memo["checkpoint"] = {"file": name}
        yield from (0, 1)[progress.cursor :]
        raise OSError("broken")

    restart = Decide(lambda _: "restart", start=0, advance=RESUME.advance)
    sources: list[Any] = [
        Source(partial(breaks, "a")),
        Source(partial(breaks, "b"), mid_stream=restart, commit_when=3),
    ]
    checkpoint = Checkpoint(store=disk.store())
    with pytest.raises(OSError, match="broken"):
        list(failover_stream(sources, retry_on=OSError, mid_stream=RESUME, checkpoint=checkpoint))
    saved = json.loads(disk.saves[-1])
    assert (saved["cursor"], saved["memo"]) == ("2", {"file": "a"})


def test_what_a_bookmark_keeps() -> None:
    """A source that yields bookmarks alone keeps something with each of them."""
    disk = Disk()

    def feed(progress: Any) -> Iterator[Any]:
        for number in (1, 2):
            progress.memo["checkpoint"] = number
            yield Bookmark(number)

    assert list(stream(Checkpoint(store=disk.store()), feed, mid_stream=Resume(start=0))) == []
    saved = json.loads(disk.saves[-1])
    assert (saved["cursor"], saved["memo"]) == ("2", 2)


def test_what_json_cannot_keep() -> None:
    """The save says which entry it is, and not what is in it."""
    checkpoint = Checkpoint(store=Disk().store(), every=0)
    with pytest.raises(TypeError, match="'checkpoint'] must be plain data for JSON, got a set"):
        list(stream(checkpoint, Memory({"secret"})))
