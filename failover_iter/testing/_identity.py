"""The law of identity: a stream over one source behaves as `yield from` over it.

Two machines drive a stream and its reference side by side, in any order of calls, against sources
that answer, refuse, raise and end as they will. The reference of an async stream is the sync
`yield from` over the same source: PEP 380 says for both what should happen.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from failover_iter.testing import _scripted_source as scripted
from failover_iter.testing._faults import Bug, Interrupt

#: What a consumer throws, beside what counts as a failure of the source.
THROWN: tuple[type[BaseException], ...] = (
    Bug, Interrupt, GeneratorExit, StopIteration, StopAsyncIteration, KeyError,
)  # fmt: skip

_pull = st.sampled_from(["item", "item", "item", "item", "end", "raise", "base"])
_throw = st.sampled_from(["reraise", "item", "end", "raise", "base"])
# No "base": where an error leaves, the source is closed, and what is no Exception goes first.
_close = st.sampled_from(["end", "end", "reraise", "raise", "item"])
_scripts: st.SearchStrategy[scripted.ScriptedSource] = st.builds(
    scripted.ScriptedSource,
    pulls=st.lists(_pull, min_size=1, max_size=5).map(tuple),
    throws=st.lists(_throw, min_size=1, max_size=3).map(tuple),
    closes=st.lists(_close, min_size=1, max_size=2).map(tuple),
    missing=st.frozensets(st.sampled_from(["send", "throw", "close"])),
    value=st.sampled_from([None, 0, "value"]),
)


def check_identity(
    combinator: Callable[[Any], Any],
    failure: type[Exception],
    *,
    is_async: bool,
    settings: settings,
) -> None:
    """Run the machine on a combinator that takes a list of one factory."""
    base: type[RuleBasedStateMachine] = _AsyncIdentity if is_async else _SyncIdentity
    machine: Any = type(
        "Identity", (base,), {"combinator": staticmethod(combinator), "failure": failure}
    )
    with _quiet():
        run_state_machine_as_test(machine, settings=settings)
        gc.collect()


def _say_nothing(*_: Any) -> None:
    """Of what is let go."""


@contextmanager
def _quiet() -> Generator[None]:
    """A source that yields when it is closed can only be let go, and Python says so."""
    hook, sys.unraisablehook = sys.unraisablehook, _say_nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            yield
        finally:
            sys.unraisablehook = hook


def _plain_list(*_: Any) -> list[int]:
    """A source that is no generator and has no methods but the pull."""
    return [0, 1, 2]


def _reference(factory: Callable[[], Generator[Any, Any, Any]]) -> Generator[Any, Any, Any]:
    """What a stream over one source has to behave as."""
    return (yield from factory())


def _outcome_of(call: Callable[[], Any]) -> Any:
    """What a call gives or raises, as data."""
    try:
        return ("gives", call())
    except (StopIteration, StopAsyncIteration) as stop:
        return ("ends", getattr(stop, "value", None))
    except BaseException as error:
        # That closing what an error leaves behind failed too is law 9, and no identity.
        notes = [
            note for note in getattr(error, "__notes__", ()) if not note.startswith("closing ")
        ]
        return ("raises", type(error).__name__, str(error), notes)


def _until_over(log: list[Any]) -> list[Any]:
    """The calls that reached the source, but for closing it at the end.

    To close what has ended is law 9 and no identity; and a source that yields when it is closed
    is closed once more by the collector, sooner or later.
    """
    end = len(log)
    while end and log[end - 1] == "close":
        end -= 1
    return log[:end]


class _SyncIdentity(RuleBasedStateMachine):
    """The blocking stream beside `yield from`."""

    combinator: Callable[[Any], Any]
    failure: type[Exception]
    stops_when_over = False
    never_thrown: tuple[type[BaseException], ...] = ()

    def make(self, factory: Callable[[], Any]) -> Any:
        return self.combinator([factory])

    @initialize(script=_scripts, kind=st.sampled_from(["generator", "iterator", "list"]))
    def begin(self, script: scripted.ScriptedSource, kind: str) -> None:
        self.ours: list[Any] = []
        self.theirs: list[Any] = []
        mine, their = self.sources(kind)

        def factory(*_progress: Any) -> Any:
            return mine(script, self.ours)

        self.stream = self.make(factory)
        self.twin = _reference(lambda: their(script, self.theirs))
        self.over = False

    def sources(self, kind: str) -> tuple[Any, Any]:
        if kind == "list":
            return _plain_list, _plain_list
        source = scripted.sync_generator if kind == "generator" else scripted.sync_iterator
        return source, source

    def both(self, mine: Callable[[], Any], their: Callable[[], Any]) -> None:
        if self.over and self.stops_when_over:
            return
        ours, theirs = _outcome_of(mine), _outcome_of(their)
        assert ours == self.adapt(theirs)
        self.over = ours[0] != "gives"
        assert _until_over(self.ours) == _until_over(self.theirs)

    def adapt(self, outcome: Any) -> Any:
        return outcome

    @rule()
    def next(self) -> None:
        self.both(lambda: next(self.stream), lambda: next(self.twin))

    @rule(value=st.sampled_from([None, 1]))
    def send(self, value: Any) -> None:
        self.both(lambda: self.stream.send(value), lambda: self.twin.send(value))

    @rule(which=st.sampled_from([None, *THROWN]), as_class=st.booleans())
    def throw(self, which: type[BaseException] | None, *, as_class: bool) -> None:
        if which in self.never_thrown:
            return
        cls = which or self.failure
        thrown: Any = cls if as_class else cls("thrown")
        self.both(lambda: self.stream.throw(thrown), lambda: self.twin.throw(thrown))

    @rule()
    def close(self) -> None:
        over = self.over
        self.both(self.stream.close, self.twin.close)
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
        del self.stream, self.twin
        assert _until_over(self.ours) == _until_over(self.theirs)


class _AsyncIdentity(_SyncIdentity):
    """The async stream beside the sync `yield from` over the same source."""

    # An async generator that is over answers calls in ways of its own, that differ by version.
    stops_when_over = True
    # They end an async generator where StopIteration ends a generator: no twin to compare with.
    never_thrown = (StopIteration, StopAsyncIteration)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.runner.get_loop().set_exception_handler(_say_nothing)

    def make(self, factory: Callable[[], Any]) -> Any:
        return _AsyncDriver(self.combinator([factory]), self.runner)

    def sources(self, kind: str) -> tuple[Any, Any]:
        if kind == "generator":
            return scripted.async_generator, scripted.sync_generator
        return scripted.async_iterator, scripted.sync_iterator

    def adapt(self, outcome: Any) -> Any:
        """An async generator returns nothing, and has its own words for the same errors."""
        match outcome:
            case ("ends", _):
                return ("ends", None)
            case ("raises", kind, message, notes):
                for ours, theirs in _WORDS.items():
                    message = message.replace(theirs, ours)
                return ("raises", kind, message, notes)
            case _:
                return outcome

    def let_go(self) -> None:
        """Closing it does; an async one that is abandoned is the loop's."""
        _outcome_of(self.stream.close)
        _outcome_of(self.twin.close)

    def teardown(self) -> None:
        super().teardown()
        self.runner.close()


#: The messages of async generators, and those of generators that mean the same.
_WORDS = {
    "async generator ignored": "generator ignored",
    "async generator raised": "generator raised",
    "just-started async generator": "just-started generator",
    "'asend'": "'send'",
}


class _AsyncDriver:
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
