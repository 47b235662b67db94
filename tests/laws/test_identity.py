"""Law 1: `failover_stream([f])` behaves as `yield from f()`, whatever a consumer does to it.

Two machines drive a stream and its reference side by side, in any order of calls, against sources
that answer, refuse, raise and end as they will. The reference of the async stream is the sync
`yield from` over the same source: PEP 380 says for both what should happen.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from failover_iter import afailover_stream, failover_stream
from laws import machines
from laws.machines import ERRORS, Will
from support.case import Retryable
from support.runners import quiet


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """A source that yields when it is closed can only be let go, and Python says so."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    yield
    gc.collect()
    sys.unraisablehook = hook


pull = st.sampled_from(["item", "item", "item", "item", "end", "raise", "base"])
throw = st.sampled_from(["reraise", "item", "end", "raise", "base"])
# No "base": where an error leaves, law 9 closes the source, and what is no Exception goes first.
close = st.sampled_from(["end", "end", "reraise", "raise", "item"])
wills = st.builds(
    Will,
    pulls=st.lists(pull, min_size=1, max_size=5).map(tuple),
    throws=st.lists(throw, min_size=1, max_size=3).map(tuple),
    closes=st.lists(close, min_size=1, max_size=2).map(tuple),
    missing=st.frozensets(st.sampled_from(["send", "throw", "close"])),
    value=st.sampled_from([None, 0, "value"]),
)


def plain_list(will: Will, log: list[Any]) -> list[int]:
    """A source that is no generator and has no methods but the pull."""
    return [0, 1, 2]


def reference(factory: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """What a stream over one source has to behave as."""
    return (yield from factory())


def outcome_of(call: Callable[[], Any]) -> Any:
    """What a call gives or raises, as data."""
    try:
        return ("gives", call())
    except (StopIteration, StopAsyncIteration) as stop:
        return ("ends", getattr(stop, "value", None))
    except BaseException as error:
        # That closing what an error leaves behind failed too is law 9, and no identity.
        notes = [note for note in getattr(error, "__notes__", ()) if "closing source" not in note]
        return ("raises", type(error).__name__, str(error), notes)


def until_over(log: list[Any]) -> list[Any]:
    """The calls that reached the source, but for closing it at the end.

    To close what has ended is law 9 and no identity; and a source that yields when it is closed
    is closed once more by the collector, sooner or later.
    """
    end = len(log)
    while end and log[end - 1] == "close":
        end -= 1
    return log[:end]


class SyncIdentity(RuleBasedStateMachine):
    """The blocking stream beside `yield from`."""

    stops_when_over = False
    never_thrown: frozenset[str] = frozenset()

    def make(self, factory: Callable[[], Any]) -> Any:
        return failover_stream([factory], retry_on=Retryable)

    @initialize(will=wills, kind=st.sampled_from(["generator", "iterator", "list"]))
    def begin(self, will: Will, kind: str) -> None:
        self.ours: list[Any] = []
        self.theirs: list[Any] = []
        mine, their = self.sources(kind)
        self.stream = self.make(lambda: mine(will, self.ours))
        self.twin = reference(lambda: their(will, self.theirs))
        self.over = False

    def sources(self, kind: str) -> tuple[Any, Any]:
        if kind == "list":
            return plain_list, plain_list
        source = machines.sync_generator if kind == "generator" else machines.sync_iterator
        return source, source

    def both(self, mine: Callable[[], Any], their: Callable[[], Any]) -> None:
        if self.over and self.stops_when_over:
            return
        with quiet():
            ours, theirs = outcome_of(mine), outcome_of(their)
        assert ours == self.adapt(theirs)
        self.over = ours[0] != "gives"
        assert until_over(self.ours) == until_over(self.theirs)

    def adapt(self, outcome: Any) -> Any:
        return outcome

    @rule()
    def next(self) -> None:
        self.both(lambda: next(self.stream), lambda: next(self.twin))

    @rule(value=st.sampled_from([None, 1]))
    def send(self, value: Any) -> None:
        self.both(lambda: self.stream.send(value), lambda: self.twin.send(value))

    @rule(name=st.sampled_from(sorted(ERRORS)), as_class=st.booleans())
    def throw(self, name: str, as_class: bool) -> None:
        if name in self.never_thrown:
            return
        cls = ERRORS[name]
        thrown = cls if as_class else cls("thrown")
        self.both(lambda: self.stream.throw(thrown), lambda: self.twin.throw(thrown))

    @rule()
    def close(self) -> None:
        over = self.over
        self.both(lambda: self.stream.close(), lambda: self.twin.close())
        self.over = True
        if not over:
            assert ("close" in self.ours) == ("close" in self.theirs)

    @precondition(lambda self: self.over)
    @rule()
    def closed_at_most_once(self) -> None:
        """However it ended, the source was closed at most once."""
        assert self.ours.count("close") <= max(1, self.theirs.count("close"))

    def teardown(self) -> None:
        if hasattr(self, "stream"):
            self.let_go()

    def let_go(self) -> None:
        """Abandoning it reaches the source as abandoning the reference does."""
        with quiet():
            del self.stream, self.twin
        assert until_over(self.ours) == until_over(self.theirs)


class AsyncIdentity(SyncIdentity):
    """The async stream beside the sync `yield from` over the same source."""

    # An async generator that is over answers calls in ways of its own, that differ by version.
    stops_when_over = True
    # They end an async generator where StopIteration ends a generator: no twin to compare with.
    never_thrown = frozenset({"StopIteration", "StopAsyncIteration"})

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.runner.get_loop().set_exception_handler(lambda _, context: None)

    def make(self, factory: Callable[[], Any]) -> Any:
        return AsyncDriver(afailover_stream([factory], retry_on=Retryable), self.runner)

    def sources(self, kind: str) -> tuple[Any, Any]:
        if kind == "generator":
            return machines.async_generator, machines.sync_generator
        return machines.async_iterator, machines.sync_iterator

    def adapt(self, outcome: Any) -> Any:
        """An async generator returns nothing, and has its own words for the same errors."""
        match outcome:
            case ("ends", _):
                return ("ends", None)
            case ("raises", kind, message, notes):
                for ours, theirs in WORDS.items():
                    message = message.replace(theirs, ours)
                return ("raises", kind, message, notes)
            case _:
                return outcome

    def let_go(self) -> None:
        with quiet():
            self.stream.close()
            self.twin.close()

    def teardown(self) -> None:
        if hasattr(self, "stream"):
            with quiet():
                outcome_of(self.stream.close)
                outcome_of(self.twin.close)
        self.runner.close()


#: The messages of async generators, and those of generators that mean the same.
WORDS = {
    "async generator ignored": "generator ignored",
    "async generator raised": "generator raised",
    "just-started async generator": "just-started generator",
    "'asend'": "'send'",
}


class AsyncDriver:
    """An async stream with the methods of a generator: each call runs the loop until it is done."""

    def __init__(self, stream: Any, runner: asyncio.Runner) -> None:
        self.stream = stream
        self.runner = runner

    def run(self, awaitable: Any) -> Any:
        async def step() -> Any:
            return await awaitable

        return self.runner.get_loop().run_until_complete(step())

    def __next__(self) -> Any:
        return self.run(self.stream.__anext__())

    def send(self, value: Any) -> Any:
        return self.run(self.stream.asend(value))

    def throw(self, error: Any) -> Any:
        return self.run(self.stream.athrow(error))

    def close(self) -> None:
        self.run(self.stream.aclose())


machine_settings = settings(max_examples=200, stateful_step_count=12, deadline=None)
TestSyncIdentity = SyncIdentity.TestCase
TestSyncIdentity.settings = machine_settings
TestAsyncIdentity = AsyncIdentity.TestCase
TestAsyncIdentity.settings = machine_settings
