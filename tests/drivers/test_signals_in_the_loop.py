"""A signal handler that raises while an item is at hand: no item is lost without an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from checkpoint.memory import Disk
from drivers.signals import Numbers, Signal, Soft, drain_into, needs_monitoring
from failover_iter import Policy, Progress, Resume
from failover_iter.checkpoint import Checkpoint
from failover_iter.events import Closed, Completed, Event
from support.flavour import SyncFlavour

pytestmark = [
    needs_monitoring,
    # A signal may come between the call of a coroutine function and its `await`.
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:an async stream was not closed:ResourceWarning"),
]

ALL = [0, 1, 2, 3, 4, 5]


def check(
    flavour: SyncFlavour, factory: Callable[..., Any], options: Callable[[], dict[str, Any]]
) -> None:
    """Interrupt the stream at each point: it raises the error, or delivers each item once."""
    for number in count(1):
        signal, items = Signal(number), list[int]()
        policy = Policy(retry_on=Soft, attempts=3, **options())
        stream = flavour.of(policy, [factory])
        with signal.armed(), suppress(Soft):
            drain_into(items, flavour, stream)
            assert items == ALL, number
        assert flavour.drain(stream) == []
        if signal.left > 0:  # there were fewer checks
            assert number > 100
            break


def test_the_count_in_events(flavour: SyncFlavour) -> None:
    """The last event tells how many items the consumer has, give or take the one at hand."""
    for number in count(1):
        signal, items, events = Signal(number), list[int](), list[Event]()
        policy = Policy(retry_on=ConnectionError, mid_stream="resume", on_event=events.append)
        stream = flavour.of(policy, [lambda _: Numbers(0, fails=False)])
        with signal.armed(), suppress(Soft):
            drain_into(items, flavour, stream)
        if events and isinstance(events[-1], Closed | Completed):
            assert events[-1].delivered - len(items) in (0, 1), number
        if signal.left > 0:  # there were fewer checks
            assert number > 100
            break


def test_a_source_that_answers_errors(flavour: SyncFlavour) -> None:
    """The error is not thrown into the source: only what the consumer throws is."""

    def answering() -> Iterator[int]:
        for number in ALL:
            with suppress(Soft):
                yield number

    async def aanswering() -> AsyncIterator[int]:
        for number in ALL:
            with suppress(Soft):
                yield number

    check(flavour, answering if flavour.name == "sync" else aanswering, dict)


@pytest.mark.parametrize("keep", [1, 2])
def test_progress_shows_no_item_that_was_not_delivered(flavour: SyncFlavour, keep: int) -> None:
    """A source that goes on after `progress.last` skips nothing."""

    def after_last(progress: Progress[int]) -> Numbers:
        return Numbers(0 if progress.last is None else progress.last + 1, fails=False)

    check(flavour, after_last, lambda: {"mid_stream": Resume(keep=keep)})


@pytest.mark.parametrize("is_saved", [False, True])
def test_the_cursor_has_advanced_over_no_item_that_was_not_delivered(
    flavour: SyncFlavour, is_saved: bool
) -> None:
    """A source that goes on at the cursor skips nothing."""

    def at_cursor(progress: Progress[int]) -> Numbers:
        return Numbers(progress.cursor, fails=False)

    def options() -> dict[str, Any]:
        strategy = Resume(start=0, advance=lambda _, item: item + 1)
        checkpoint = Checkpoint(store=Disk().store(), every=0) if is_saved else None
        return {"mid_stream": strategy, "checkpoint": checkpoint}

    check(flavour, at_cursor, options)
