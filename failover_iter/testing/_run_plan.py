"""`run_plan`: run a plan on a pipeline and record what happens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from failover_iter.testing._async_runs import run_asyncio
from failover_iter.testing._consumers import WrongFlavour
from failover_iter.testing._plans import Plan
from failover_iter.testing._runs import Recorder, RunResult
from failover_iter.testing._sync_runs import run_sync
from failover_iter.testing._virtual import VirtualClock

Flavour: TypeAlias = Literal["sync", "asyncio", "trio"]
FLAVOURS = ("sync", "asyncio", "trio")


def itself(letter: str) -> str:
    """Return the letter: by default, a letter is its own item."""
    return letter


def run_plan(
    pipeline: Callable[..., Any],
    plan: Plan,
    *,
    flavour: Flavour | None = None,
    item: Callable[[str], Any] = itself,
    tick: float = 1.0,
    awaited: bool | None = None,
    clock: VirtualClock | None = None,
) -> RunResult:
    """Run a plan on a pipeline and return what happened, without checking any law.

    Args:
        pipeline: called with one factory for each source of the plan; returns an iterator, an
            async iterator or an awaitable of one. To resume, it may call a factory with the number
            of items to leave out, or with an object that has this number as `delivered`.
        plan: what the sources and the consumer do.
        flavour: "sync", "asyncio" or "trio". By default, the kit finds out: it calls the pipeline
            with sync factories and, if the result is async, again with async factories under
            asyncio.
        item: turns a letter of the plan into an item; by default, the letter is the item. Items
            from the same letter must be equal.
        tick: the length of a tick in virtual seconds.
        awaited: whether the async factories are `async def` functions, which return the iterable
            when awaited. By default, only for plans with `open=` or `at=await`.
        clock: the clock on which sync sources sleep. Pass the one that the pipeline sleeps on.

    Returns:
        The result, with the log of the run.

    Raises:
        ValueError: the flavour is unknown.
        TypeError: the flavour is "sync", but the pipeline returns something async.

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
        is_awaited = plan.awaited if awaited is None else awaited
        with _strays_noted(recorder):
            if chosen == "sync":
                run_sync(pipeline, recorder, clock or VirtualClock(), tick)
            elif chosen == "asyncio":
                run_asyncio(pipeline, recorder, tick, awaited=is_awaited)
            else:
                from failover_iter.testing._trio_runs import run_trio

                run_trio(pipeline, recorder, tick, awaited=is_awaited)
        return RunResult(plan, tuple(recorder.log), chosen, item)

    try:
        return run_as(flavour or "sync")
    except WrongFlavour:
        if flavour is not None:
            raise
    return run_as("asyncio")


@contextmanager
def _strays_noted(recorder: Recorder) -> Generator[None]:
    """Log the errors that Python can only report, such as those of abandoned generators."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda stray: recorder.note("stray", value=stray.exc_value)
    try:
        yield
    finally:
        sys.unraisablehook = before
