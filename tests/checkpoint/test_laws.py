"""The laws of a checkpoint, for sync streams, asyncio and trio; and checkpoints that break them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st

from failover_iter import Bookmark, Checkpoint, Policy, Resume, SourceError, TruncatedStream
from failover_iter._core.cursor import SAVE, Cursor
from failover_iter._core.delivered import Delivered
from failover_iter._core.takeovers import Takeovers
from failover_iter._drivers import aio
from failover_iter._drivers.opened import OpenedSource
from failover_iter._drivers.saving import Saver
from support.laws import SEARCH, each_law, each_mutant, table
from support.worlds import World, check_law

from .memory import Disk

ITEMS = 8
END = object()


def advance(cursor: int, item: int) -> int:
    return cursor + 1


class Job:
    """A program that processes all items, in one process after the other."""

    def __init__(self, world: World, data: Any) -> None:
        self.world = world
        self.data = data
        self.disk = Disk()
        self.every = self.draw(0, 1, 3)
        self.folds = self.draw(True, False)
        #: Each item that was processed, and when it had arrived, by process.
        self.processed: list[list[tuple[int, float]]] = []
        self.opened = 0
        self.fails = True

    def draw(self, *values: Any) -> Any:
        return self.data.draw(st.sampled_from(values))

    def source(self) -> Any:
        """Yields the rest of the items, fails now and then, and places bookmarks."""

        async def body(progress: Any) -> AsyncIterator[Any]:
            self.opened += 1
            for item in range(progress.cursor, ITEMS):
                await self.world.sleep(self.draw(0, 0.25, 0.5, 2))
                if self.fails and self.draw(*[False] * 6, True):
                    raise ConnectionError("lost")
                yield item
                if self.draw(True, False) and (not self.folds or self.draw(False, True)):
                    yield Bookmark(item + 1)

        return self.world.source("numbers", body)

    def stream(self, **options: Any) -> Any:
        """The stream of a new process."""
        strategy = Resume(start=0, advance=advance if self.folds else None)
        options = {
            "retry_on": ConnectionError,
            "attempts": 100,
            "mid_stream": strategy,
            "commit_when": self.draw(1, 1, 3),
            "checkpoint": Checkpoint(every=self.every, store=self.disk.store()),
            **options,
        }
        stream = self.world.stream(Policy(**options), [self.source()])
        self.world.events.append(stream)
        return stream

    async def process(self, stop_after: int | None, **options: Any) -> Any:
        """Process items, up to the middle of one; return the stream, which is still open."""
        stream = self.stream(**options)
        done: list[tuple[int, float]] = []
        self.processed.append(done)
        self.arrived: list[int] = []
        while (item := await self.pull(stream)) is not END:
            arrived = self.world.time()
            self.arrived.append(item)
            if stop_after is not None and len(done) >= stop_after:
                break
            await self.world.sleep(self.draw(0, 0.1))
            done.append((item, arrived))
        return stream

    async def pull(self, stream: Any) -> Any:
        """The next item, or `END`."""
        if self.world.flavour == "sync":
            return next(stream, END)
        return await anext(stream, END)

    @property
    def items(self) -> list[int]:
        return [item for done in self.processed for item, _ in done]


async def a_kill_loses_nothing(world: World, data: Any) -> None:
    """Killed at any point, and run again: no item is lost, and those of one interval repeat."""
    job = Job(world, data)
    for _ in range(job.draw(1, 2, 3)):
        # Nothing of a killed process runs after the kill: its stream is closed after the law.
        await job.process(job.draw(0, 1, 2, 5))
        if not job.every and job.processed[-1]:
            last, _ = job.processed[-1][-1]
            assert job.disk.text is not None
            assert json.loads(job.disk.text)["delivered"] == last + 1
        frozen, job.disk = job.disk, Disk()
        job.disk.text = frozen.text
    await job.process(None)
    assert sorted(set(job.items)) == list(range(ITEMS))
    for before, after in zip(job.processed, job.processed[1:], strict=False):
        again = {item for item, _ in after}
        repeated = [arrived for item, arrived in before if item in again]
        assert len(repeated) <= 1 or repeated[-1] - repeated[0] < job.every


async def a_close_repeats_the_item_at_hand(world: World, data: Any) -> None:
    """A consumer that leaves has processed all items but the last one it received."""
    job = Job(world, data)
    stream = await job.process(job.draw(0, 1, 4))
    if job.draw(True, False):
        await world.close(stream)
    else:
        with suppress(KeyError):
            await world.throw(stream, KeyError("consumer"))
    count, at_hand = len(job.processed[0]), job.arrived[-1:]
    await job.process(None)
    assert job.items == list(range(ITEMS))
    assert job.items[count : count + 1] == at_hand


async def the_end_is_saved(world: World, data: Any) -> None:
    """After the end, and after an error of the sources, all that was delivered is processed."""
    job = Job(world, data)
    attempts = job.draw(1, 100)
    ended = False
    with suppress(ConnectionError):
        await job.process(None, attempts=attempts)
        ended = True
    while not ended:
        with suppress(ConnectionError):
            await job.process(None, attempts=attempts)
            ended = True
    assert job.items == list(range(ITEMS))
    await job.process(None)
    assert job.items == list(range(ITEMS))


async def saves_are_rare_and_go_forward(world: World, data: Any) -> None:
    """Two saves of a running stream are `every` seconds apart, and no save goes back."""
    job = Job(world, data)
    began = world.time()
    await job.process(None)
    states = [json.loads(text) for text in job.disk.saves]
    positions = [(int(state["delivered"]), int(json.loads(state["cursor"]))) for state in states]
    assert positions == sorted(positions)
    if job.every:
        assert len(states) <= 2 + (world.time() - began) / job.every
    else:
        assert len(states) >= ITEMS
    assert positions[-1][0] == ITEMS


async def the_count_is_saved(world: World, data: Any) -> None:
    """`expect_items` counts the items of all processes."""
    job = Job(world, data)
    job.fails, expected = False, job.draw(ITEMS, ITEMS + 1)
    await world.close(await job.process(job.draw(0, 3), expect_items=expected))
    if expected == ITEMS:
        await job.process(None, expect_items=expected)
    else:
        with pytest.raises(TruncatedStream, match=f"when {ITEMS} of {expected} items"):
            await job.process(None, expect_items=expected, attempts=1)
    assert job.items[: len(job.processed[0])] == list(range(len(job.processed[0])))


async def an_error_of_the_store_ends_the_stream(world: World, data: Any) -> None:
    """It reaches the consumer, and no source is blamed: none is opened after it."""
    job = Job(world, data)
    job.every, job.fails = 0, False
    error = ConnectionError("the store is down")  # `retry_on` lists it
    if job.draw(True, False):
        job.disk.error = error
        with pytest.raises(ConnectionError) as caught:
            await job.process(None)
        assert (caught.value, job.opened) == (error, 0)
        return
    stream = await job.process(0)
    job.disk.error, opened = error, job.opened
    with pytest.raises(ConnectionError) as failed:
        while await job.pull(stream) is not END:
            pass
    assert failed.value is error
    assert await job.pull(stream) is END
    assert job.opened == opened


class Listener:
    """Keeps the names of the events, and how the stream ended."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.error: BaseException | None = None

    def __call__(self, event: Any) -> None:
        self.told.append(type(event).__name__)
        self.error = getattr(event, "error", None)

    def stream_ended(self, ended: Any) -> None:
        self.told.append("Ended")
        assert ended.error is self.error


async def the_last_save_precedes_the_end(world: World, data: Any) -> None:
    """A stream whose last save fails ends with that error, and its listener hears it."""
    job = Job(world, data)
    job.every, job.fails = 60, False
    listener, error = Listener(), OSError("the disk is full")
    stream = await job.process(job.draw(1, ITEMS - 1), on_event=listener)
    job.disk.error = error
    with pytest.raises(OSError, match="full") as caught:
        if job.draw(True, False):
            await world.close(stream)
        else:
            await world.rest(stream)
    assert caught.value is error
    assert listener.told == ["Opening", "Committed", "Closed", "Ended"]
    assert listener.error is error
    assert [str(each) for each in getattr(error, "__notes__", [])] == []


LAWS = table(
    a_kill_loses_nothing,
    a_close_repeats_the_item_at_hand,
    the_end_is_saved,
    saves_are_rare_and_go_forward,
    the_count_is_saved,
    an_error_of_the_store_ends_the_stream,
    the_last_save_precedes_the_end,
)


def check(law: Any, flavour: str, **options: Any) -> None:
    """Check a law, and close the streams of killed processes."""

    async def closing(world: World, data: Any) -> None:
        try:
            await law(world, data)
        finally:
            for stream in world.events:
                with suppress(Exception):
                    await world.close(stream)

    # A job draws at each item, more than usual.
    check_law(closing, flavour, suppress_health_check=list(HealthCheck), **options)


@each_law(LAWS)
def test_law(law: Any, flavour: str) -> None:
    """The law holds for sync streams, asyncio and trio."""
    check(law, flavour, max_examples=15)


# Mutants: checkpoints as one might write them, each with one bug.


def _counts_the_item_at_hand(self: Any, keep: Any) -> Any:
    """The item that is delivered counts as processed: a consumer that leaves in it loses it."""
    count = _COUNTING(self, keep)

    def note(item: Any) -> None:
        count(item)
        self.mark_processed()

    return note


def _lags_behind(self: Any) -> Any:
    """A save misses the item that the consumer has just processed."""
    return self._cursor.position


def _saves_nothing_at_the_end(self: Any) -> None:
    """The items since the last save repeat after each normal end."""
    self._checkpoint.release()


def _saves_at_each_item(self: Any) -> None:
    """The store is asked a hundred thousand times a second."""
    self._cursor.due = 0


def _forgets_the_count(self: Any, value: Any, count: int, at: int, kept: Any) -> None:
    """The cursor is kept without the count of items."""
    _RESTORE(self, value, 0, 0, kept)


def _replays_after_a_bookmark(self: Any) -> bool:
    """The items after the last bookmark repeat in the next process."""
    return bool(self.mode == "resume")


def _blames_the_source(self: Any, error: BaseException, **_: Any) -> None:
    """An error of the store is a failure of the source, which is opened again."""


_COUNTING, _RESTORE = Cursor.counting, Delivered.restore

MUTANTS: list[tuple[str, type, str, Any]] = [
    ("a_close_repeats_the_item_at_hand", Cursor, "counting", _counts_the_item_at_hand),
    ("a_kill_loses_nothing", Saver, "_position", _lags_behind),
    ("the_end_is_saved", Saver, "_finish", _saves_nothing_at_the_end),
    ("saves_are_rare_and_go_forward", Saver, "_is_due_later", _saves_at_each_item),
    ("the_count_is_saved", Delivered, "restore", _forgets_the_count),
    (
        "a_close_repeats_the_item_at_hand",
        Takeovers,
        "_goes_on",
        property(_replays_after_a_bookmark),
    ),
    ("an_error_of_the_store_ends_the_stream", OpenedSource, "spare", _blames_the_source),
]


@each_mutant(MUTANTS)
def test_the_law_kills_the_mutant(law: str, mutated: None) -> None:
    """Wrong checkpoints break the law that they are about."""
    with pytest.raises((AssertionError, ExceptionGroup, SourceError, pytest.fail.Exception)):
        check(LAWS[law], "sync", max_examples=200, **SEARCH)


def test_the_law_kills_a_driver_that_drops_an_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """The async driver saves before it delivers the item at hand: it must not forget that."""

    async def saves_and_drops(stream: Any, _: object, answer: object) -> bool:
        if answer is SAVE:
            await stream._saver.asave()
        return False

    monkeypatch.setattr(aio._Stream, "saves_and_notes", saves_and_drops)
    with pytest.raises((AssertionError, ExceptionGroup)):
        check(
            LAWS["the_end_is_saved"],
            "asyncio",
            max_examples=200,
            **SEARCH,
        )
