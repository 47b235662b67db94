"""Random streams that are left at each step: cancelled, abandoned, or ended by a callback.

A script says what sources do and how long it takes; a stream runs it once undisturbed, and then
once for each step at which it can be disturbed. Whatever happens, each source that was opened is
closed once, none is opened afterwards, and the listener hears the end of each opening.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from failover_iter import Event, Policy
from failover_iter._drivers.clock import async_sleep
from failover_iter.testing import Plan
from failover_iter.testing._log import unclosed
from failover_iter.testing._plans import SourceScript
from failover_iter.testing._run import PlanRun as Recorder
from failover_iter.testing._sources import factories_of
from support.size import EXAMPLES

#: Each plan is run some twenty times, disturbed at each of its steps: so not 20,000 plans.
MANY = settings(max_examples=min(EXAMPLES, 2000), suppress_health_check=list(HealthCheck))


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
