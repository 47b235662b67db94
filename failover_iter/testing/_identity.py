"""The law of identity: a stream over one source behaves like `yield from` over it.

A Hypothesis state machine calls a stream and a reference side by side, in random order. Their
sources follow the same random script: they yield, raise, end, or lack a method. The reference for
an async stream is the sync `yield from` over the same source, because PEP 380 specifies both.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
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

#: The exceptions that a consumer throws, in addition to a failure of the source.
THROWN: tuple[type[BaseException], ...] = (
    Bug, Interrupt, GeneratorExit, StopIteration, StopAsyncIteration, KeyError,
)  # fmt: skip

_pull = st.sampled_from(["item", "item", "item", "item", "end", "raise", "base"])
_throw = st.sampled_from(["reraise", "item", "end", "raise", "base"])
# No "base": an error that leaves the stream closes the source, and a BaseException from that
# close would replace the error.
_close = st.sampled_from(["end", "end", "reraise", "raise", "item"])
_scripts: st.SearchStrategy[scripted.ScriptedSource] = st.builds(
    scripted.ScriptedSource,
    pulls=st.lists(_pull, min_size=1, max_size=5).map(tuple),
    throws=st.lists(_throw, min_size=1, max_size=3).map(tuple),
    closes=st.lists(_close, min_size=1, max_size=2).map(tuple),
    missing=st.frozensets(st.sampled_from(scripted.METHODS)),
    value=st.sampled_from([None, 0, "value"]),
)


def check_identity(
    combinator: Callable[[Any], Any],
    failure: type[Exception],
    *,
    is_async: bool,
    settings: settings,
) -> None:
    """Run the state machine on a combinator that takes a list of one factory."""
    base: type[RuleBasedStateMachine] = _AsyncIdentity if is_async else _SyncIdentity
    machine: Any = type(
        "Identity", (base,), {"combinator": staticmethod(combinator), "failure": failure}
    )
    threads = set(threading.enumerate())
    with _quiet():
        run_state_machine_as_test(machine, settings=settings)
        for thread in set(threading.enumerate()) - threads:
            thread.join(1)  # it lets go of its source, which is then abandoned
        gc.collect()


def _ignore(*_: Any) -> None:
    """Do not report abandoned sources."""


@contextmanager
def _quiet() -> Generator[None]:
    """Silence Python's reports of sources that yield when they are closed: expected here."""
    hook, sys.unraisablehook = sys.unraisablehook, _ignore
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            yield
        finally:
            sys.unraisablehook = hook


def _plain_list(*_: Any) -> list[int]:
    """Return a source that is not a generator and has only `__iter__`."""
    return [0, 1, 2]


def _reference(factory: Callable[[], Generator[Any, Any, Any]]) -> Generator[Any, Any, Any]:
    """Delegate to the source: a stream over one source must behave like this."""
    return (yield from factory())


def _outcome_of(call: Callable[[], Any]) -> Any:
    """Return the result of a call, or the error that it raises, as data that can be compared."""
    try:
        return ("returns", call())
    except (StopIteration, StopAsyncIteration) as stop:
        return ("ends", getattr(stop, "value", None))
    except BaseException as error:
        # A close that fails as well adds a note. That belongs to law 9, not to identity.
        notes = [
            note for note in getattr(error, "__notes__", ()) if not note.startswith("closing ")
        ]
        return ("raises", type(error).__name__, str(error), notes)


def _without_last_closes(log: list[Any]) -> list[Any]:
    """Return the calls that reached the source, without the close calls at the end.

    Closing a source that has ended belongs to law 9, not to identity. Also, the garbage collector
    closes a source once more that yields when it is closed, at any time.
    """
    end = len(log)
    while end and log[end - 1] == "close":
        end -= 1
    return log[:end]


class _SyncIdentity(RuleBasedStateMachine):
    """Compares the sync stream with `yield from`."""

    combinator: Callable[[Any], Any]
    failure: type[Exception]
    stops_when_ended = False
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
        self.reference = _reference(lambda: their(script, self.theirs))
        self.ended = False
        # Without `throw`, a thrown StopIteration is the end of an iterator that has not ended. An
        # error of its close belongs to law 9, not to identity.
        self.close_may_raise = "throw" in script.missing and set(script.closes) != {"end"}

    def sources(self, kind: str) -> tuple[Any, Any]:
        if kind == "list":
            return _plain_list, _plain_list
        source = scripted.sync_generator if kind == "generator" else scripted.sync_iterator
        return source, source

    def both(self, mine: Callable[[], Any], their: Callable[[], Any]) -> None:
        if self.ended and self.stops_when_ended:
            return
        ours, theirs = _outcome_of(mine), _outcome_of(their)
        assert ours == self.adapt(theirs)
        self.ended = ours[0] != "returns"
        assert _without_last_closes(self.ours) == _without_last_closes(self.theirs)

    def adapt(self, outcome: Any) -> Any:
        return outcome

    @rule()
    def next(self) -> None:
        self.both(lambda: next(self.stream), lambda: next(self.reference))

    @rule(value=st.sampled_from([None, 1]))
    def send(self, value: Any) -> None:
        self.both(lambda: self.stream.send(value), lambda: self.reference.send(value))

    @rule(which=st.sampled_from([None, *THROWN]), as_class=st.booleans())
    def throw(self, which: type[BaseException] | None, *, as_class: bool) -> None:
        if which in self.never_thrown or (which is StopIteration and self.close_may_raise):
            return
        cls = which or self.failure
        thrown: Any = cls if as_class else cls("thrown")
        self.both(lambda: self.stream.throw(thrown), lambda: self.reference.throw(thrown))

    @rule()
    def close(self) -> None:
        had_ended = self.ended
        self.both(self.stream.close, self.reference.close)
        self.ended = True
        if not had_ended:
            assert ("close" in self.ours) == ("close" in self.theirs)

    @precondition(lambda self: self.ended)
    @rule()
    def closed_at_most_once(self) -> None:
        """The source was closed at most once, however the stream ended."""
        assert self.ours.count("close") <= max(1, self.theirs.count("close"))

    def teardown(self) -> None:
        if hasattr(self, "stream"):
            self.abandon()

    def abandon(self) -> None:
        """Abandoning the stream has the effect on the source that abandoning the reference has."""
        del self.stream, self.reference
        assert _without_last_closes(self.ours) == _without_last_closes(self.theirs)


class _AsyncIdentity(_SyncIdentity):
    """Compares the async stream with the sync `yield from` over the same source."""

    # How an async generator that has ended answers a call differs between Python versions.
    stops_when_ended = True
    # These end an async generator, but only StopIteration ends a generator: not comparable.
    never_thrown = (StopIteration, StopAsyncIteration)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.runner.get_loop().set_exception_handler(_ignore)

    def make(self, factory: Callable[[], Any]) -> Any:
        return _SyncFacade(self.combinator([factory]), self.runner)

    def sources(self, kind: str) -> tuple[Any, Any]:
        if kind == "generator":
            return scripted.async_generator, scripted.sync_generator
        return scripted.async_iterator, scripted.sync_iterator

    def adapt(self, outcome: Any) -> Any:
        """Translate an outcome: async generators have no return value, and other error messages."""
        match outcome:
            case ("ends", _):
                return ("ends", None)
            case ("raises", kind, message, notes):
                for ours, theirs in _WORDS.items():
                    message = message.replace(theirs, ours)
                return ("raises", kind, message, notes)
            case _:
                return outcome

    def abandon(self) -> None:
        """Close both: the event loop, not the stream, closes an abandoned async generator."""
        _outcome_of(self.stream.close)
        _outcome_of(self.reference.close)

    def teardown(self) -> None:
        super().teardown()
        self.runner.close()


#: The error messages of async generators, and the equivalents of sync generators.
_WORDS = {
    "async generator ignored": "generator ignored",
    "async generator raised": "generator raised",
    "just-started async generator": "just-started generator",
    "'asend'": "'send'",
}


class _SyncFacade:
    """Wraps an async stream in the methods of a generator; each call runs the event loop."""

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
