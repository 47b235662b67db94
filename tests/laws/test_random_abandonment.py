"""Random streams that nobody holds any more, perhaps in the middle of a pull."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from failover_iter.testing import Plan, VirtualClock
from laws.departures import MANY, Run, Trouble, check, limits, options, plans


async def pull(stream: Any, steps: int) -> Any:
    """Pull an item, but give up after so many steps, as a task does that is destroyed."""
    return await Abandoned(stream.__anext__(), steps)


class Abandoned:
    """Awaits something for so many steps only."""

    def __init__(self, awaitable: Any, steps: int) -> None:
        self.awaitable = awaitable
        self.steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        awaited = self.awaitable.__await__()
        sent = error = None
        while True:
            try:
                waited_for = awaited.send(sent) if error is None else awaited.throw(error)
            except StopIteration as stop:
                return stop.value
            if not self.steps:
                awaited.close()
                raise GaveUp
            self.steps -= 1
            sent = error = None
            try:
                sent = yield waited_for
            except BaseException as caught:
                error = caught


class GaveUp(Exception):
    """The consumer let go of a pull."""


def without_waits(plan: Plan) -> Plan:
    """Close without a wait, for what is destroyed in a pull cannot wait; and never stall."""
    return Plan(
        *[
            [
                replace(script, closing="quietly", end=script.end.replace("stalls", "raises"))
                for script in scripts
            ]
            for scripts in plan.sources
        ],
        items=plan.items,
    )


async def abandon(run: Run, pulls: int, steps: int | None) -> None:
    """Pull some items, and let go of the stream, perhaps in the middle of a pull."""
    stream = run.stream()
    try:
        for _ in range(pulls):
            run.items.append(await stream.__anext__())
        if steps is not None:
            await pull(stream, steps)
    except StopAsyncIteration:
        run.outcome = "ended"
    except GaveUp:
        run.outcome = "gave up"
    except Exception as error:
        run.outcome = type(error)
    run.length = len(run.recorder.log)
    del stream


def abandoned_under(make_loop: Any, run: Run, pulls: int, steps: int | None, turns: int) -> None:
    said: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, told: said.append(told))
        run.begin(loop.time)
        await asyncio.create_task(abandon(run, pulls, steps))
        for _ in range(turns):
            gc.collect(0)
            for _ in range(20):
                await asyncio.sleep(0 if run.is_real else 1)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())
    assert not said, said


def abandoned_under_trio(run: Run, pulls: int, steps: int | None, turns: int) -> None:
    async def main() -> None:
        run.begin(trio.current_time)
        await abandon(run, pulls, steps)
        for _ in range(turns):
            gc.collect(0)
            await trio.sleep(20)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.slow
@pytest.mark.parametrize("library", ["asyncio", "uvloop", "trio"])
@MANY
@given(
    plans.map(without_waits),
    options,
    st.just({}) | limits,
    st.booleans(),
    st.integers(0, 3),
    st.none() | st.integers(0, 4),
    st.integers(0, 2),
)
def test_abandoned(
    library: Any,
    plan: Plan,
    options: dict[str, Any],
    limits: dict[str, Any],
    nested: bool,
    pulls: int,
    steps: int | None,
    turns: int,
) -> None:
    """A stream that nobody holds any more is closed by the loop, and its sources with it."""
    run = Run(plan, nested, {**options, **limits})
    trouble = Trouble()
    with trouble.collected():
        match library:
            case "trio":
                abandoned_under_trio(run, pulls, steps, turns)
            case "uvloop":
                uvloop = pytest.importorskip("uvloop")
                run.is_real = True
                abandoned_under(uvloop.new_event_loop, run, pulls, steps, turns)
            case _:
                abandoned_under(VirtualClock().new_event_loop, run, pulls, steps, turns)
        gc.collect(0)
    check(run.recorder, run.heard, run.length)
    said = [each for each in trouble.said if not isinstance(each, ResourceWarning)]
    assert not said, said
