"""`run_plan` runs a plan on a pipeline; `verify` checks the result too."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import currently_in_test_context, event

from failover_iter.testing._must_see import saw
from failover_iter.testing._oracle import DEFAULT_ORACLES, ORACLES, Oracle, Oracles, resolve
from failover_iter.testing._plans import Plan, check_plan, check_tick
from failover_iter.testing._report import report
from failover_iter.testing._run import PlanRun, World
from failover_iter.testing._runs import RunResult
from failover_iter.testing._sources import factories_of
from failover_iter.testing._virtual import VirtualClock
from failover_iter.testing._worlds import AsyncioWorld, Flavour, SyncWorld, in_flavour


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
        clock: the clock on which sync sources sleep, and that of the asyncio loop; trio has its
            own. Pass the one that the pipeline sleeps on.

    Returns:
        The result, with the log of the run.

    Raises:
        ValueError: the flavour is unknown, or the tick is not a number of seconds.
        TypeError: the pipeline cannot be called with these factories, the plan is not a `Plan`, or
            the flavour is "sync" and the pipeline returns something async.
        RuntimeError: the flavour is that of an event loop that runs already in this thread.

    Example:
        >>> from failover_iter.testing import Plan, run_plan
        >>> run = run_plan(lambda first, second: first(), Plan("--ab#", "abc|"))
        >>> run.delivered, run.error, run.seconds
        (['a', 'b'], ConnectionError('source 1, opening 1, pull'), 2.0)
    """
    if not callable(pipeline):
        what = "a function that takes a factory for each source"
        raise TypeError(f"pipeline must be {what}, got {pipeline!r}")
    check_plan(plan)
    check_tick(tick)
    _check_takes(pipeline, len(plan.sources))

    def run_as(chosen: Flavour) -> RunResult:
        run = PlanRun(plan, item, world_of(chosen, clock), tick, is_awaited=awaited)
        run.play(partial(pipeline, *factories_of(run)))
        return RunResult(plan, tuple(run.log), chosen, item)

    return in_flavour(flavour, run_as)


def _check_takes(pipeline: Callable[..., Any], count: int) -> None:
    """Check that a pipeline, if it has a signature, takes this many factories."""
    try:  # not what it wraps: a decorator may pass other arguments on
        signature = inspect.signature(pipeline, follow_wrapped=False)
    except Exception:  # noqa: BLE001 (it has none, or names in it are for type checkers alone)
        return
    try:
        signature.bind(*range(count))
    except TypeError as error:
        sources = "1 source" if count == 1 else f"{count} sources"
        raise TypeError(
            f"pipeline cannot take the factories of {sources}: {error}; got {pipeline!r}"
        ) from None


def world_of(flavour: Flavour, clock: VirtualClock | None = None) -> World:
    """Return a new world of this flavour; a sync one has this clock."""
    if flavour == "sync":
        return SyncWorld(clock or VirtualClock())
    if flavour == "asyncio":
        return AsyncioWorld(clock or VirtualClock())
    from failover_iter.testing._trio_world import TrioWorld

    return TrioWorld()


class BrokenLaw(AssertionError):
    """A pipeline broke a law. The message is a report of the run.

    Attributes:
        run: the result of the run.
        broken: the broken oracles, each with a sentence that says how it was broken.
    """

    def __init__(self, run: RunResult, broken: list[tuple[Oracle, str]]) -> None:
        super().__init__(report(run, broken))
        self.run = run
        self.broken = broken


def verify(
    pipeline: Callable[..., Any],
    plan: Plan,
    *,
    oracles: Oracles = DEFAULT_ORACLES,
    flavour: Flavour | None = None,
    item: Callable[[str], Any] = itself,
    tick: float = 1.0,
    awaited: bool | None = None,
    clock: VirtualClock | None = None,
) -> RunResult:
    """Run a plan on a pipeline, and raise `BrokenLaw` if the run breaks a law.

    Args:
        pipeline: called with one factory for each source of the plan; returns an iterator, an
            async iterator or an awaitable of one. It does not have to use failover_iter.
        plan: what the sources and the consumer do; from `plans()`, or written by hand.
        oracles: the laws to check: a name, an `Oracle`, a predicate on the `RunResult` (it returns
            False, or a sentence that says what is wrong, if the law is broken), or several of
            these. The names are
            `exactly_once` (`no_loss`, `no_duplicates`, `in_order` and `nothing_else` together),
            `at_least_once`, `at_most_once`, `same_error`, `transparent`, `no_leak`,
            `closed_once`, `one_open`, `lazy`, `no_read_ahead` and `no_reopen`. These are the
            default: an exactly-once stream obeys them. The others are `flat`, `intact`, `told`,
            `no_cycle`, `no_kept_error`, `returns`, `sends` and `same_task`, and for races
            `one_winner` and `losers_closed`. `verify` also checks that the run ends.
        flavour: "sync", "asyncio" or "trio"; by default, the kit finds out.
        item: turns a letter of the plan into an item, as for `run_plan`.
        tick: the length of a tick in virtual seconds.
        awaited: whether async factories are `async def` functions, as for `run_plan`.
        clock: the virtual clock, as for `run_plan`.

    Returns:
        The result of the run, for further checks.

    Raises:
        BrokenLaw: the run broke a law. This `AssertionError` reports the law, the plan and the run
            as marbles, the log, and a line to paste into the test.
        ValueError, TypeError, RuntimeError: as for `run_plan`; or an oracle is unknown.

    Example:
        >>> from failover_iter.testing import Plan, verify
        >>> def pipeline(primary, replica):
        ...     try:
        ...         yield from primary()
        ...     except ConnectionError:
        ...         yield from replica()
        >>> run = verify(pipeline, Plan("#", "ab|"), oracles="exactly_once")
        >>> run.delivered
        ['a', 'b']
        >>> try:
        ...     verify(pipeline, Plan("a#", "ab|"), oracles="exactly_once")
        ... except AssertionError as error:
        ...     print(str(error).splitlines()[0])
        no_duplicates: 'a' was delivered 2 times
    """
    checks = {id(each): each for each in [ORACLES["ends"], *resolve(oracles)]}.values()
    run = run_plan(
        pipeline, plan, flavour=flavour, item=item, tick=tick, awaited=awaited, clock=clock
    )
    saw(run)
    if currently_in_test_context():
        _tell_hypothesis(run)
    broken = [(oracle, how) for oracle in checks if (how := oracle(run)) is not None]
    if broken:
        raise BrokenLaw(run, broken) from _unplanned_error(run)
    return run


def _tell_hypothesis(run: RunResult) -> None:
    """Count the run in the statistics of Hypothesis."""
    event(f"switches: {min(run.switches, 3)}{'+' if run.switches > 3 else ''}")  # noqa: PLR2004
    event("switched mid-stream" if run.switched_mid_stream else "no switch mid-stream")
    event(f"consumer: {run.plan.consumer.how}")
    if run.error is not None:
        event(f"the consumer got {type(run.error).__name__}")
    else:
        event("ended normally" if run.ended else "the consumer left")


def _unplanned_error(run: RunResult) -> BaseException | None:
    """Return the error that the consumer got if the pipeline raised it: its traceback helps.

    The traceback of a planned error says nothing new, and Hypothesis would report the same failure
    once for each kind of planned error.
    """
    known = [entry.value for entry in run.entries("fail", "thrown", "interrupt")]
    return None if any(run.error is error for error in known) else run.error
