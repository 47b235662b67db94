"""Random streams whose consumer is cancelled, at each step and at each moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from types import coroutine
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from failover_iter.testing import Plan, VirtualClock
from laws.departures import MANY, Run, Trouble, limits, options, plans


class Steps:
    """Counts the steps of a task: how often it waits for something."""

    def __init__(self) -> None:
        self.count = 0
        self.disturb_at: int | None = None
        self.disturb: Callable[[], object] = lambda: None

    @coroutine
    def over(self, awaitable: Any) -> Generator[Any, Any, Any]:
        """Await this; disturb at one of its steps."""
        sent = error = None
        steps = awaitable.__await__()
        while True:
            try:
                waited_for = steps.send(sent) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            sent = error = None
            self.count += 1
            if self.count == self.disturb_at:
                self.disturb()
            try:
                sent = yield waited_for
            except BaseException as caught:
                error = caught


#: When to cancel: at a step of the task, in the turn of the loop after it, or at a moment.
When = tuple[str, float] | None


def cancelled_under_asyncio(run: Run, when: When) -> int:
    """Run it in a task that is cancelled then; return the number of its steps."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        run.begin(loop.time)

        def cancel() -> None:
            run.length = len(run.recorder.log)
            # It may have been done already, or be about to end in this very turn.
            if task.cancel() and (when is None or when[0] == "at"):
                cancelled.append(True)

        match when:
            case ("at", step):
                steps.disturb_at, steps.disturb = step, cancel
            case ("after", step):
                steps.disturb_at, steps.disturb = step, lambda: loop.call_soon(cancel)
            case ("moment", moment):
                loop.call_at(loop.time() + moment, cancel)
        task = loop.create_task(consume())
        await asyncio.wait({task})
        if cancelled:
            assert task.cancelled(), f"cancelled, but {run.outcome!r}"

    async def consume() -> None:
        with suppress(Exception):
            await steps.over(run.consume())

    cancelled: list[bool] = []
    steps = Steps()
    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        runner.run(main())
    return steps.count


def cancelled_under_trio(run: Run, when: When) -> int:
    """Run it in a scope that is cancelled then; return the number of its steps."""

    async def main() -> None:
        run.begin(trio.current_time)
        with trio.CancelScope() as scope:

            def cancel() -> None:
                run.length = len(run.recorder.log)
                scope.cancel()

            match when:
                case ("moment", moment):
                    scope.deadline = trio.current_time() + moment
                case (_, step):
                    steps.disturb_at, steps.disturb = step, cancel
            with suppress(Exception):
                await steps.over(run.consume())
        if run.length is not None:
            assert scope.cancelled_caught, f"cancelled, but {run.outcome!r}"

    steps = Steps()
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return steps.count


LIBRARIES = [cancelled_under_asyncio, cancelled_under_trio]


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
@MANY
@given(plans, options, st.just({}) | limits, st.booleans(), st.sampled_from(["at", "after"]))
def test_cancelled_at_each_step(
    library: Any,
    plan: Plan,
    options: dict[str, Any],
    limits: dict[str, Any],
    nested: bool,
    how: str,
) -> None:
    """A cancellation at any step reaches the consumer, and leaves nothing open."""
    trouble = Trouble()
    with trouble.collected():
        whole = Run(plan, nested, {**options, **limits})
        count = library(whole, None)
        whole.check()
        for step in range(1, count + 1):
            run = Run(plan, nested, {**options, **limits})
            library(run, (how, step))
            run.check(opens_nothing=how == "at")
    assert not trouble.said, trouble.said


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
@MANY
@given(plans, options, limits, st.booleans())
def test_cancelled_at_each_moment(
    library: Any, plan: Plan, options: dict[str, Any], limits: dict[str, Any], nested: bool
) -> None:
    """A cancellation when a limit is met, or just before, leaves nothing open and loses nothing."""
    trouble = Trouble()
    with trouble.collected():
        whole = Run(plan, nested, {**options, **limits})
        library(whole, None)
        whole.check()
        times = {entry.time for entry in whole.recorder.log}
        times |= {round(event.elapsed, 6) for event in whole.heard.events}
        for time in sorted(times)[:20]:
            for moment in (time, max(0.0, time - 0.25)):
                run = Run(plan, nested, {**options, **limits})
                library(run, ("moment", moment))
                run.check(opens_nothing=False)
    assert not trouble.said, trouble.said
