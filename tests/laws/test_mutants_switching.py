"""Mutants of what follows a failure: the scenarios of the reference model kill each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from failover_iter._core import judging
from failover_iter._core.groups import Level
from failover_iter._core.judging import Judging
from failover_iter._core.names import Names
from failover_iter._core.reporting import Reporter
from failover_iter._core.takeovers import Takeovers
from support.model import model
from support.runners import run_asyncio, run_sync
from support.scenarios import SCENARIOS

Patch = Callable[[pytest.MonkeyPatch], None]


def switch_on_that_retries(patch: pytest.MonkeyPatch) -> None:
    """An error in `switch_on` is a failure, but the source is tried again."""
    choose = Takeovers.choose

    def retries(self: Takeovers, level: Level, reporter: Reporter) -> Any:
        level.leaves_source = False
        return choose(self, level, reporter)

    patch.setattr(Takeovers, "choose", retries)


def switch_on_after_retry_on(patch: pytest.MonkeyPatch) -> None:
    """`switch_on` is asked about what `retry_on` does not list: a wide `retry_on` hides it."""
    matches = Judging._matches

    def later(self: Judging, level: Level, error: Exception, *, abandoned: bool) -> bool:
        matched = matches(self, level, error, abandoned=abandoned)
        if judging.matches(error, level.source.options.retry_on):
            level.leaves_source = False
        return matched

    patch.setattr(Judging, "_matches", later)


def switch_on_that_must_be_in_retry_on(patch: pytest.MonkeyPatch) -> None:
    """An error that only `switch_on` lists ends the stream."""
    matches = Judging._matches

    def narrow(self: Judging, level: Level, error: Exception, *, abandoned: bool) -> bool:
        listed = judging.matches(error, level.source.options.retry_on)
        return matches(self, level, error, abandoned=abandoned) and listed

    patch.setattr(Judging, "_matches", narrow)


def switch_on_that_every_source_error_meets(patch: pytest.MonkeyPatch) -> None:
    """A `SourceError` leaves the source, although `switch_on` does not list it."""
    patch.setattr(judging, "leaves_source", judging.matches)


def switch_on_that_sticks(patch: pytest.MonkeyPatch) -> None:
    """After one error of `switch_on`, each later source is left at its first failure as well."""
    matches = Judging._matches

    def sticks(self: Judging, level: Level, error: Exception, *, abandoned: bool) -> bool:
        before = level.leaves_source
        matched = matches(self, level, error, abandoned=abandoned)
        level.leaves_source = level.leaves_source or before
        return matched

    patch.setattr(Judging, "_matches", sticks)


def matched_always(patch: pytest.MonkeyPatch) -> None:
    """`Failed.matched` is true, although the error passes to the consumer."""
    failed = Reporter.failed

    def always(self: Reporter, *args: Any, matched: bool, **more: Any) -> Any:
        return failed(self, *args, matched=True, **more)

    patch.setattr(Reporter, "failed", always)


def passed_over_in_silence(patch: pytest.MonkeyPatch) -> None:
    """No event names a source that may not take over."""
    patch.setattr(Reporter, "passed_over", lambda self, level, source, attempt, reason: None)


def names_without_numbers(patch: pytest.MonkeyPatch) -> None:
    """Sources with the same name cannot be told apart."""
    patch.setattr(Names, "tell_apart", lambda self, name, factory: name)


MUTANTS: list[Patch] = [
    switch_on_that_retries,
    switch_on_after_retry_on,
    switch_on_that_must_be_in_retry_on,
    switch_on_that_every_source_error_meets,
    switch_on_that_sticks,
    matched_always,
    passed_over_in_silence,
    names_without_numbers,
]


@pytest.mark.parametrize("run", [run_sync, run_asyncio], ids=["sync", "asyncio"])
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_scenarios_kill_the_mutants(
    mutant: Patch, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least one scenario has another trace than the model."""
    mutant(monkeypatch)
    assert any(run(case) != model(case) for case in SCENARIOS.values())
