"""Mutants of what a stream does beside its items: each is killed by the check that is for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import pytest

from drivers.threads import Stall
from failover_iter import Bookmark, Decide, Progress, Resume, Source, failover_stream
from failover_iter._core.attempt import Attempt
from failover_iter._core.deadlines import SourceDeadline
from failover_iter._core.delivered import Delivered
from failover_iter._core.reporting import Reporter
from failover_iter._drivers import log
from failover_iter._drivers.clock import clock
from failover_iter._drivers.mailbox import Mailbox
from failover_iter._drivers.opened import OpenedSource
from failover_iter._drivers.sync_source import SyncSource
from failover_iter.testing import VirtualClock

Patch = Callable[[pytest.MonkeyPatch], None]
Check = Callable[[VirtualClock], object]
FIVE = 5


@contextmanager
def logged() -> Iterator[list[logging.LogRecord]]:
    """The records of the logger."""
    records: list[logging.LogRecord] = []
    handler, logger = logging.Handler(), logging.getLogger("failover_iter")
    handler.emit = records.append  # type: ignore[method-assign]
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def stream(*sources: Any, **options: Any) -> list[Any]:
    """All items."""
    return list(failover_stream(sources, **{"retry_on": ConnectionError, **options}))


def counts(cursor: int, _: object) -> int:
    return cursor + 1


# The checks.


def a_bookmark_proves_life(fake: VirtualClock) -> None:
    """Nine seconds without an item are fine if a bookmark comes after each third."""

    def quiet(_: Progress[Any]) -> Iterator[Any]:
        for _ in range(3):
            fake.sleep(3)
            yield Bookmark()
        yield "item"

    assert stream(quiet, idle_timeout=FIVE, mid_stream=Resume(start=0)) == ["item"]


def a_bookmark_ends_an_outage(fake: VirtualClock) -> None:
    """Polls that fail after a bookmark do not add up."""

    def polls(progress: Progress[Any]) -> Iterator[Any]:
        fake.sleep(3)
        yield Bookmark(progress.attempt)
        if progress.attempt < FIVE:
            raise ConnectionError
        yield "item"

    options = {"attempts": None, "give_up_after": FIVE, "mid_stream": Resume(start=0)}
    assert stream(polls, wait=1, **options) == ["item"]


def a_decision_holds(_: VirtualClock) -> None:
    """A restart that fails before its first item is a restart at the next attempt, too."""
    asked: list[int] = []
    modes: list[Any] = []

    def restart_once(_: Progress[Any]) -> Any:
        asked.append(1)
        return "restart" if len(asked) == 1 else "resume"

    def feed(progress: Progress[Any]) -> Iterator[int]:
        modes.append(progress.mode)
        if len(modes) == 1:
            yield 1
        if len(modes) <= 2:
            raise ConnectionError
        yield 2

    assert stream(feed, attempts=3, mid_stream=Decide(restart_once)) == [1, 2]
    assert modes == [None, "restart", "restart"]


def a_source_without_a_mode_is_warned_about(_: VirtualClock) -> None:
    """It would glue two sequences."""

    def reads(_: Progress[Any]) -> Iterator[int]:
        yield 1
        raise ConnectionError

    with logged() as records:
        stream(Source(reads, mid_stream=Resume(start=0, advance=counts)), lambda: [7])
    assert any(
        "has no mid_stream, but another source has a cursor" in record.getMessage()
        for record in records
    )


def a_watch_that_ends_is_no_warning(_: VirtualClock) -> None:
    """It is reopened, and that is all."""
    watches = iter([[1], [1, 2]])
    with logged() as records:
        items = stream(
            lambda: next(watches),
            attempts=2,
            mid_stream="skip",
            complete_when=lambda last: last > 1,
        )
    assert items == [1, 2]
    assert {record.levelname for record in records} == {"INFO"}


def a_source_in_a_thread_is_not_blamed(_: VirtualClock) -> None:
    """A signal handler raises while the thread is waited for."""

    class Handled(VirtualClock):
        def get(self, queue: Any, seconds: float, jobs: Any = None) -> Any:
            super().get(queue, seconds, jobs)
            raise ConnectionError("from the handler")

    clock.set(Handled())
    others: list[int] = []
    with pytest.raises(ConnectionError, match="from the handler"):
        stream(lambda: [1], lambda: others.append(1) or [2], idle_timeout=FIVE)
    assert others == []


def a_late_error_is_logged(fake: VirtualClock) -> None:
    """Nobody else hears of it."""
    stall = Stall(fake, late=OSError("late"))
    with logged() as records:
        stream(lambda: stall, Source(lambda: [1], idle_timeout=None), idle_timeout=FIVE)
        fake.wake_all()
    assert any("raised OSError: late" in record.getMessage() for record in records)


# The mutants.


def bookmarks_do_not_prove_life(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SourceDeadline, "restart_idle", lambda self: None)


def bookmarks_do_not_end_an_outage(patch: pytest.MonkeyPatch) -> None:
    receive = Attempt._receive_bookmark

    def unnoticed(self: Attempt, bookmark: Bookmark) -> None:
        receive(self, bookmark)
        self.is_alive = False

    patch.setattr(Attempt, "_receive_bookmark", unnoticed)


def decisions_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    forgotten = property(lambda self: False, lambda self, value: None)
    patch.setattr(Delivered, "holds_restart", forgotten)


def glues_in_silence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reporter, "glues", lambda self, level, source: None)


def warns_of_each_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log, "reopened", lambda level, text: log._logger().warning(text))


def blames_for_handlers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SyncSource, "is_spared", OpenedSource.is_spared)


def late_errors_are_lost(patch: pytest.MonkeyPatch) -> None:
    close_late = Mailbox.close_late
    patch.setattr(Mailbox, "close_late", lambda self, opened, late: close_late(self, opened, []))


MUTANTS: list[tuple[Patch, Check]] = [
    (bookmarks_do_not_prove_life, a_bookmark_proves_life),
    (bookmarks_do_not_end_an_outage, a_bookmark_ends_an_outage),
    (decisions_are_forgotten, a_decision_holds),
    (glues_in_silence, a_source_without_a_mode_is_warned_about),
    (warns_of_each_end, a_watch_that_ends_is_no_warning),
    (blames_for_handlers, a_source_in_a_thread_is_not_blamed),
    (late_errors_are_lost, a_late_error_is_logged),
]


def run(check: Check) -> None:
    """Run a check with its own virtual clock."""

    def in_virtual_time() -> None:
        fake = VirtualClock()
        clock.set(fake)
        try:
            check(fake)
        finally:
            fake.wake_all()  # an abandoned source may still sleep

    copy_context().run(in_virtual_time)


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=lambda each: each.__name__)
def test_each_mutant_is_killed(
    mutant: Patch, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check holds, and fails with the mutant."""
    run(check)
    mutant(monkeypatch)
    with pytest.raises((AssertionError, ConnectionError, TimeoutError)):
        run(check)
