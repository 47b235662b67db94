"""`verify`: run a plan on a pipeline, and judge what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import currently_in_test_context, event

from failover_iter.testing._composed import DEFAULT, resolve
from failover_iter.testing._must_see import saw
from failover_iter.testing._oracles import ORACLES, Oracle, Oracles
from failover_iter.testing._plans import Plan
from failover_iter.testing._report import report
from failover_iter.testing._run_plan import Flavour, itself, run_plan
from failover_iter.testing._runs import RunResult
from failover_iter.testing._virtual import VirtualClock


class BrokenLaw(AssertionError):
    """A pipeline has broken a law.

    Attributes:
        run: what happened.
        broken: the oracles that were broken, and how.
    """

    def __init__(self, run: RunResult, broken: list[tuple[Oracle, str]]) -> None:
        """Tell all of it."""
        super().__init__(report(run, broken))
        self.run = run
        self.broken = broken


def verify(
    pipeline: Callable[..., Any],
    plan: Plan,
    *,
    oracles: Oracles = DEFAULT,
    flavour: Flavour | None = None,
    item: Callable[[str], Any] = itself,
    tick: float = 1.0,
    awaited: bool = False,
    clock: VirtualClock | None = None,
) -> RunResult:
    """Run a plan on a pipeline, and raise `BrokenLaw` with a picture if it breaks a law.

    Args:
        pipeline: called with one factory for each source of the plan; gives an iterator or an
            async iterator. It need not know of failover_iter.
        plan: what the sources and the consumer do; from `plans()`, or written by hand.
        oracles: what to judge by: a name, an `Oracle`, a predicate on the `RunResult` (false, or a
            sentence that says what is wrong), or several of them. The names: `exactly_once` (of
            `no_loss`, `no_duplicates`, `in_order`, `nothing_else`), `at_least_once`,
            `at_most_once`, `same_error`, `transparent`, `no_leak`, `closed_once`, `one_open`,
            `lazy`, `no_read_ahead`, `no_reopen`, `flat`. By default all but the last: what a
            stream that delivers exactly once keeps to. That a run comes to an end is judged
            always.
        flavour: "sync", "asyncio" or "trio"; by default what the pipeline turns out to be.
        item: what a letter of the plan stands for; the letter itself by default.
        tick: seconds of virtual time that a tick takes.
        awaited: async factories are `async def` functions.
        clock: on which blocking sources sleep; for pipelines that wait by themselves.

    Returns:
        What happened, for further questions.

    Raises:
        BrokenLaw: an AssertionError; its message holds the law that was broken, the plan and the
            run as marbles, the log, and the plan as a line to paste.
        ValueError: there is no such oracle, or no such flavour.

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
    judges = [ORACLES["ends"], *resolve(oracles)]
    run = run_plan(
        pipeline, plan, flavour=flavour, item=item, tick=tick, awaited=awaited, clock=clock
    )
    saw(run)
    if currently_in_test_context():
        event(f"switches: {min(run.switches, 3)}{'+' if run.switches > 3 else ''}")  # noqa: PLR2004
        event("switched mid-stream" if run.switched_mid_stream else "no switch mid-stream")
    broken = [(judge, how) for judge in judges if (how := judge(run)) is not None]
    if broken:
        raise BrokenLaw(run, broken) from _stranger(run)
    return run


def _stranger(run: RunResult) -> BaseException | None:
    """The error that the consumer got, if it came from the pipeline itself: its traceback helps.

    A source's own says nothing new, and Hypothesis would take each kind for a failure apart.
    """
    known = [entry.value for entry in run.entries("fail", "thrown", "interrupt")]
    return None if any(run.error is error for error in known) else run.error
