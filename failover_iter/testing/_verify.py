"""`verify`: run a plan on a pipeline and check the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import currently_in_test_context, event

from failover_iter.testing._composed import DEFAULT_ORACLES, resolve
from failover_iter.testing._must_see import saw
from failover_iter.testing._oracles import ORACLES, Oracle, Oracles
from failover_iter.testing._plans import Plan
from failover_iter.testing._report import report
from failover_iter.testing._run_plan import Flavour, itself, run_plan
from failover_iter.testing._runs import RunResult
from failover_iter.testing._virtual import VirtualClock


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
            `no_cycle`, `returns`, `sends` and `same_task`. `verify` also checks that the run ends.
        flavour: "sync", "asyncio" or "trio"; by default, the kit finds out.
        item: turns a letter of the plan into an item; by default, the letter is the item.
        tick: the length of a tick in virtual seconds.
        awaited: whether the async factories are `async def` functions; by default, only for plans
            with `open=` or `at=await`.
        clock: the clock on which sync sources sleep. Pass the one that the pipeline sleeps on.

    Returns:
        The result of the run, for further checks.

    Raises:
        BrokenLaw: the run broke a law. This `AssertionError` reports the law, the plan and the run
            as marbles, the log, and a line to paste into the test.
        ValueError: an oracle or the flavour is unknown.

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
    checks = [ORACLES["ends"], *resolve(oracles)]
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
