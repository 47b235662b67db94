"""Random streams that are left at each step: cancelled, abandoned, or ended by a callback.

A script says what sources do and how long it takes; a stream runs it once undisturbed, and then
once for each step at which it can be disturbed. Whatever happens, each source that was opened is
closed once, none is opened afterwards, and the listener hears the end of each opening.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from types import coroutine
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failover_iter import Decide, Event, Policy, Skip, SourceTimeout
from failover_iter._drivers.clock import async_sleep
from failover_iter.testing import Plan, VirtualClock, run_plan
from failover_iter.testing._oracle import resolve
from failover_iter.testing._plans import SourceScript
from failover_iter.testing._run import Run as Recorder
from failover_iter.testing._runs import unclosed
from failover_iter.testing._sources import factories_of
from support.size import EXAMPLES

MANY = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))


# What sources do.

scripts = st.builds(
    lambda items, end, kind, closing, opens, ticks, at: SourceScript(
        items if at == "pull" else "",
        ticks,
        end if at == "pull" else "raises",
        "",
        at,
        "iterable" if at == "iter" else kind,
        closing,
        opens,
    ),
    st.sampled_from(["", "a", "ab", "abc"]),
    st.sampled_from(["ends", "raises", "raises", "stalls"]),
    st.sampled_from(["generator", "iterator", "iterable", "bare"]),
    st.sampled_from(["quietly", "quietly", "slow"]),
    st.integers(0, 2),
    st.lists(st.integers(0, 3), max_size=4).map(tuple),
    st.sampled_from(["pull", "pull", "pull", "pull", "call", "await", "iter"]),
)
plans = st.builds(
    lambda sources: Plan(*sources, items="abc"),
    st.lists(st.lists(scripts, min_size=1, max_size=2), min_size=1, max_size=3),
)
options = st.fixed_dictionaries(
    {
        "mid_stream": st.sampled_from(["restart", "skip", "resume", "raise"]),
        "attempts": st.integers(1, 2),
        "commit_when": st.sampled_from([1, 1, 2]),
        "wait": st.sampled_from([0, 1.5]),
    }
)
# Ticks are seconds: limits are met at the very moment at which items come, and between.
limits = st.fixed_dictionaries(
    {},
    optional={
        "first_item_timeout": st.sampled_from([1, 1.5, 2]),
        "idle_timeout": st.sampled_from([1, 1.5, 2]),
        "total_timeout": st.sampled_from([2, 3, 4.5]),
        "give_up_after": st.sampled_from([1, 2.5]),
    },
)


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


class Heard:
    """A listener that checks the grammar of events: each opening is ended once."""

    def __init__(self) -> None:
        self.open: dict[int, str] = {}
        self.events: list[Event] = []
        self.problems: list[str] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        kind = type(event).__name__
        if kind == "Opening":
            if event.stream in self.open:
                self.problems.append(f"{event} while open")
            self.open[event.stream] = event.source
        elif kind in ("Failed", "Completed", "Closed") and self.open.pop(event.stream, "") == "":
            self.problems.append(f"{event} without an opening")


def grouped(policy: Policy, factories: Any) -> list[Any]:
    """Put the sources into two groups, in which each has one attempt."""
    options = {each.name: getattr(policy, each.name) for each in fields(policy)}
    inner = Policy(**{**options, "attempts": 1})
    return [inner.source(list(factories[:1])), inner.source(list(factories[-1:]))]


class Undisturbed:
    """The world of sources whose consumer belongs to the test."""

    is_async = True
    sleep = staticmethod(async_sleep)

    def __init__(self) -> None:
        self.time: Callable[[], float] = float

    def is_late(self) -> bool:
        return False


class Trouble:
    """What Python, the loop or the log complained about."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        hook, sys.unraisablehook = sys.unraisablehook, lambda stray: self.said.append(stray)
        logger = logging.getLogger("failover_iter")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            logger.disabled = True
            try:
                yield
            finally:
                logger.disabled = False
                sys.unraisablehook = hook
        self.said += [each.message for each in caught]


def check(recorder: Recorder, heard: Heard, disturbed_at: int | None) -> None:
    """Each source was closed once, none was opened later, and the listener heard it all."""
    assert not unclosed(recorder.log), "a source was never closed"
    closings = [entry.of for entry in recorder.log if entry.what == "close"]
    assert len(closings) == len(set(closings)), "a source was closed twice"
    assert not heard.problems, heard.problems
    assert not heard.open, f"the end of {heard.open} was never told"
    if disturbed_at is not None:
        later = [entry for entry in recorder.log[disturbed_at:] if entry.what == "open"]
        assert not later, "a source was opened after the stream was left"


def is_replay(mode: str, items: list[Any]) -> bool:
    """Whether nothing was lost and nothing came twice."""
    return mode not in ("skip", "resume") or "abc".startswith("".join(items))


class Run:
    """One run of a plan, and how its consumer fared."""

    def __init__(self, plan: Plan, nested: bool, options: dict[str, Any]) -> None:
        self.plan, self.nested, self.options = plan, nested, options
        self.world: Any = Undisturbed()
        awaited = any(script.opens for scripts in plan.sources for script in scripts)
        self.recorder = Recorder(plan, str, self.world, is_awaited=awaited)
        #: Whether time is real: then none may pass.
        self.is_real = False
        self.heard = Heard()
        self.items: list[Any] = []
        self.outcome: Any = None
        #: The length of the log when the consumer left.
        self.length: int | None = None

    def stream(self) -> Any:
        """Return an async stream over the sources of the plan, perhaps in groups."""
        self.recorder.tick = 0.0 if self.is_real else 1.0
        factories = factories_of(self.recorder)
        options = {**self.options, "wait": 0} if self.is_real else self.options
        policy = Policy(retry_on=ConnectionError, on_event=self.heard, **options)
        return policy.astream(grouped(policy, factories) if self.nested else factories)

    def begin(self, time: Callable[[], float]) -> None:
        """Start the clock."""
        self.world.time = time
        self.recorder.begin()

    async def consume(self) -> None:
        stream = self.stream()
        try:
            async for item in stream:
                self.items.append(item)
            self.outcome = "ended"
        except BaseException as error:
            self.outcome = error
            raise

    def check(self, *, opens_nothing: bool = True) -> None:
        check(self.recorder, self.heard, self.length if opens_nothing else None)
        assert is_replay(self.options["mid_stream"], self.items)


# Cancellation.

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


# Abandoned streams.


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


# Callbacks that raise.


class Callbacks:
    """Options with all kinds of callbacks, one of which raises at one of its calls."""

    def __init__(self, error: BaseException, at: int | None) -> None:
        self.error, self.at = error, at
        self.calls = 0
        self.called: list[str] = []
        self.heard = Heard()

    def call(self, name: str, value: Any) -> Any:
        self.calls += 1
        self.called.append(name)
        if self.calls == self.at:
            raise self.error
        return value

    def listen(self, event: Event) -> None:
        self.heard(event)
        self.call(type(event).__name__, None)

    def options(self, used: set[str], mode: Any) -> dict[str, Any]:
        callbacks: dict[str, Any] = {
            "on_event": self.listen,
            "wait": lambda failed: self.call("wait", 0),
            "commit_when": lambda item: self.call("commit_when", item == "b"),
            "complete_when": lambda item: self.call("complete_when", item == "c"),
        }
        chosen = {name: value for name, value in callbacks.items() if name in used}
        if mode == "key":
            mode = Skip(key=lambda item: self.call("key", item))
        elif mode == "decide":
            mode = Decide(lambda progress: self.call("decide", "skip"))
        retry_on: Any = ConnectionError
        if "retry_on" in used:

            def retry_on(error: Exception) -> Any:
                return self.call("retry_on", isinstance(error, ConnectionError))

        return {"retry_on": retry_on, "mid_stream": mode, "attempts": 2, **chosen}


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
@MANY
@given(
    plans,
    st.sets(
        st.sampled_from(
            ["on_event", "on_event", "wait", "commit_when", "complete_when", "retry_on"]
        )
    ),
    st.sampled_from(["restart", "skip", "resume", "key", "decide"]),
    st.just({}) | limits,
    st.booleans(),
    st.sampled_from([ConnectionError, SourceTimeout, KeyError, StopIteration, KeyboardInterrupt]),
)
def test_callbacks_that_raise_at_each_call(
    flavour: Any,
    plan: Plan,
    used: set[str],
    mode: str,
    limits: dict[str, Any],
    nested: bool,
    kind: type[BaseException],
) -> None:
    """An error of a callback, at whichever call, reaches the consumer; nothing is left open."""
    oracles = resolve(["no_leak", "closed_once", "one_open", "no_reopen", "ends"])

    def play(at: int | None) -> tuple[Any, Callbacks]:
        callbacks = Callbacks(kind("callback"), at)
        outer = Policy(**callbacks.options(used, mode), **limits)

        def pipeline(*factories: Any) -> Any:
            sources: Any = grouped(outer, factories) if nested else factories
            return outer.stream(sources) if flavour == "sync" else outer.astream(sources)

        try:
            return run_plan(pipeline, plan, flavour=flavour), callbacks
        except KeyboardInterrupt:  # the kit lets it through
            return None, callbacks

    _, whole = play(None)
    for at in range(1, whole.calls + 1):
        run, callbacks = play(at)
        assert not callbacks.heard.problems, callbacks.heard.problems
        assert not callbacks.heard.open, callbacks.heard.open
        if run is None:
            continue
        for oracle in oracles:
            if limits and oracle.name == "one_open":
                continue  # a blocking source that timed out is abandoned
            assert oracle(run) is None, (oracle(run), callbacks.called)
        if kind is StopIteration:
            assert isinstance(run.error, RuntimeError), run.error
        else:
            assert run.error is callbacks.error, (run.error, callbacks.called)
