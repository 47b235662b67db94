"""When a checkpoint is saved: by `done`, by bookmarks, at the end, in a thread."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failover_iter import Bookmark, Checkpoint, CheckpointError, Resume, Source, afailover_stream
from failover_iter._drivers.away import away
from failover_iter.testing import VirtualClock
from support.needs import needs
from support.runners import quiet
from support.virtual import virtual_time

from .memory import Disk
from .streams import RESUME, anumbers, astream, numbers, stream


def test_a_consumer_that_reads_ahead(tmp_path: Path) -> None:
    """With `auto=False`, what is processed is what `done` was called with."""
    path = tmp_path / "state.json"
    with quiet():
        checkpoint = Checkpoint(path, every=3600, auto=False)
        batch = list(stream(checkpoint))
        assert not path.exists()
        checkpoint.done(batch[2] + 1)  # after the end it is saved at once
        assert json.loads(json.loads(path.read_text("utf-8"))["cursor"]) == 3
        with pytest.raises(CheckpointError, match="in use"):
            next(stream(Checkpoint(path)))
        assert list(stream(checkpoint)) == [3, 4]
        checkpoint.close()
        assert list(stream(Checkpoint(path))) == [3, 4]


def test_an_advance_that_raises_stop_iteration(tmp_path: Path) -> None:
    """It does not pass for the end of the source."""

    def leaks(cursor: int, item: int) -> int:
        raise StopIteration

    strategy = Resume(start=0, advance=leaks)
    with pytest.raises(RuntimeError, match="^the function of advance raised StopIteration$"):
        list(stream(Checkpoint(tmp_path / "state"), mid_stream=strategy))


def test_done_while_the_stream_runs(tmp_path: Path) -> None:
    """It saves if that is due, and the end of the stream saves the rest."""
    path = tmp_path / "state.json"
    checkpoint = Checkpoint(path, every=3600, auto=False)
    items = stream(checkpoint)
    for number in (1, 2):
        next(items)
        checkpoint.done(number)
    assert json.loads(json.loads(path.read_text("utf-8"))["cursor"]) == 1
    items.close()
    assert json.loads(json.loads(path.read_text("utf-8"))["cursor"]) == 2
    checkpoint.close()

    async def later() -> list[int]:
        again = Checkpoint(path, every=0, auto=False)
        items = afailover_stream([anumbers], retry_on=OSError, mid_stream=RESUME, checkpoint=again)
        first = await anext(items)
        await again.adone(3)
        await items.aclose()
        await away(again.close)
        return [first]

    assert asyncio.run(later()) == [2]
    assert list(stream(Checkpoint(path))) == [3, 4]


def test_bookmarks_alone_are_saved(tmp_path: Path) -> None:
    """A source that yields bookmarks for hours brings the stream further."""
    path = tmp_path / "state.json"

    def feed(progress: Any) -> Iterator[Any]:
        yield "item"
        for number in range(progress.cursor or 1, 4):
            yield Bookmark(number)
        raise KeyboardInterrupt

    items = stream(Checkpoint(path, every=0), feed, mid_stream=Resume(start=0))
    assert next(items) == "item"
    with pytest.raises(KeyboardInterrupt):
        next(items)
    assert json.loads(json.loads(path.read_text("utf-8"))["cursor"]) == 2


def test_a_cancelled_save_is_waited_for() -> None:
    """A save that went on after its stream had gone could undo that of the next one."""
    log: list[str] = []

    async def main() -> None:
        import threading

        begun, go_on = threading.Event(), threading.Event()

        def save() -> None:
            begun.set()
            go_on.wait(30)
            log.append("saved")

        task = asyncio.create_task(away(save))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        asyncio.get_running_loop().call_later(0.01, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        log.append("cancelled")

    asyncio.run(main())
    assert log == ["saved", "cancelled"]


def test_without_a_loop_it_is_called_here() -> None:
    """Neither asyncio nor trio runs the coroutine: it has no thread to wait for."""
    call = away(lambda: 3)
    with pytest.raises(StopIteration) as stop:
        call.send(None)
    assert stop.value.value == 3


def saves_of(disk: Disk) -> list[int]:
    return [json.loads(text)["delivered"] for text in disk.saves]


def test_each_interval_is_saved() -> None:
    """An async stream saves at the first item after each interval, as a blocking one does."""
    trio = needs("trio")
    blocking, waiting = Disk(), Disk()
    with virtual_time(VirtualClock()) as manual:
        for _ in stream(Checkpoint(store=blocking.store(), every=1)):
            manual.now += 2

    async def main() -> None:
        async for _ in astream(Checkpoint(store=waiting.store(), every=1)):
            mock.jump(2)

    mock = trio.testing.MockClock()
    trio.run(main, clock=mock)
    assert saves_of(blocking) == saves_of(waiting) == [1, 2, 3, 4, 5]


def test_a_consumer_that_sends() -> None:
    """`send` asks for the next item, as `next` does."""
    disk = Disk()

    def echo(progress: Any) -> Iterator[int]:
        for number in range(progress.cursor, 5):
            yield number

    items = stream(Checkpoint(store=disk.store(), every=0), echo)
    next(items)
    for number in range(1, 4):
        assert items.send("more") == number
        assert saves_of(disk)[-1] == number


def test_done_is_tried_again_by_close() -> None:
    """A save that fails does not lose what is done."""
    disk = Disk()
    checkpoint = Checkpoint(store=disk.store(), every=0, auto=False)
    items = stream(checkpoint)
    next(items)
    disk.error = OSError("full")
    with pytest.raises(OSError, match="full"):
        checkpoint.done(3)
    disk.error = None
    items.close()
    checkpoint.close()
    assert json.loads(json.loads(disk.text or "")["cursor"]) == 3


def test_done_before_the_first_pull(tmp_path: Path) -> None:
    """It does not write into the file of another stream."""
    path = tmp_path / "state"
    items = stream(Checkpoint(path))
    next(items)
    late = Checkpoint(path, auto=False)
    with pytest.raises(CheckpointError, match="in use by another stream"):
        late.done(5)
    items.close()
    assert list(stream(Checkpoint(path))) == [0, 1, 2, 3, 4]


def test_a_consumer_that_reads_ahead_has_no_count(tmp_path: Path) -> None:
    """`done` takes a cursor, not a count: `expect_items` is refused."""
    checkpoint = Checkpoint(tmp_path / "state", auto=False)
    message = r"^expect_items needs the count of items, which Checkpoint\(auto=False\) lacks$"
    with pytest.raises(ValueError, match=message):
        next(stream(checkpoint, expect_items=5))
    with pytest.raises(ValueError, match=message):
        next(stream(checkpoint, Source(numbers, expect_items=5)))
    checkpoint.close()
