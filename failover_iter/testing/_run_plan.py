"""`run_plan`: run one plan on one pipeline, and record it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from failover_iter.testing._async_runs import run_asyncio, run_trio
from failover_iter.testing._consumers import WrongFlavour
from failover_iter.testing._plans import Plan
from failover_iter.testing._runs import Recorder, RunResult
from failover_iter.testing._sync_runs import run_sync
from failover_iter.testing._virtual import VirtualClock

Flavour: TypeAlias = Literal["sync", "asyncio", "trio"]
FLAVOURS = ("sync", "asyncio", "trio")


def itself(letter: str) -> str:
    """A letter of a plan as the item that it stands for."""
    return letter


def run_plan(
    pipeline: Callable[..., Any],
    plan: Plan,
    *,
    flavour: Flavour | None = None,
    item: Callable[[str], Any] = itself,
    tick: float = 1.0,
    awaited: bool = False,
    clock: VirtualClock | None = None,
) -> RunResult:
    """Run a plan on a pipeline, and give what happened, unjudged.

    Args:
        pipeline: called with one factory for each source of the plan; gives an iterator, an async
            iterator or an awaitable of one. A factory may be called with how many items are not
            wanted, or with something that has that as its `delivered`, to resume.
        plan: what the sources and the consumer do.
        flavour: "sync", "asyncio" or "trio". By default what the pipeline turns out to be: it is
            called with blocking factories, and again with async ones, under asyncio, if that
            gives something async.
        item: what a letter of the plan stands for; the letter itself by default. Items made from
            the same letter must be equal.
        tick: seconds of virtual time that a tick takes.
        awaited: async factories are `async def` functions, to be awaited for the iterable.
        clock: on which blocking sources sleep; hand the same to a pipeline that waits by itself.

    Raises:
        ValueError: there is no such flavour.
        TypeError: the pipeline gives something that cannot be iterated.

    Example:
        >>> from failover_iter.testing import Plan, run_plan
        >>> run = run_plan(lambda first, second: first(), Plan("--ab#", "abc|"))
        >>> run.delivered, run.error, run.seconds
        (['a', 'b'], ConnectionError('source 1, opening 1, pull'), 2.0)
    """
    if flavour not in (None, *FLAVOURS):
        raise ValueError(f"flavour must be one of {', '.join(FLAVOURS)}, or None; got {flavour!r}")

    def run_as(chosen: Flavour) -> RunResult:
        recorder = Recorder(plan, item)
        with _strays_noted(recorder):
            if chosen == "sync":
                run_sync(pipeline, recorder, clock or VirtualClock(), tick)
            else:
                run = run_asyncio if chosen == "asyncio" else run_trio
                run(pipeline, recorder, tick, awaited=awaited)
        return RunResult(plan, tuple(recorder.log), chosen, item)

    try:
        return run_as(flavour or "sync")
    except WrongFlavour:
        if flavour is not None:
            raise
    return run_as("asyncio")


@contextmanager
def _strays_noted(recorder: Recorder) -> Generator[None]:
    """Errors that Python can hand to no one, as those of a generator let go, go into the log."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda stray: recorder.note("stray", value=stray.exc_value)
    try:
        yield
    finally:
        sys.unraisablehook = before
