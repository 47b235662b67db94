"""Law 1 with random generators: a stream over one source behaves as `yield from` does.

A program is a generator as data: it yields, loops, raises, returns, and has `try` statements around
all that. It writes down what is sent and thrown to it, and which exception it would see as the one
being handled. The consumer does anything that a generator allows, also inside an `except` block.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failover_iter import Decide, Policy, Resume, Skip, afailover_stream, failover_stream
from support.flavour import AsyncFlavour
from support.size import EXAMPLES

Program = list[Any]
Log = list[Any]


class Retryable(ConnectionError):
    """Matches `retry_on`; with one attempt it reaches the consumer all the same."""


ERRORS: list[type[BaseException]] = [Retryable, KeyError, KeyboardInterrupt, StopIteration]
THROWN: list[type[BaseException]] = [
    Retryable,
    KeyError,
    KeyboardInterrupt,
    GeneratorExit,
    StopIteration,
    StopAsyncIteration,
]

items = st.sampled_from([0, 1, None, "text"])
steps = st.one_of(
    st.tuples(st.just("yield"), items),
    st.tuples(st.just("yield"), items),
    st.tuples(st.just("raise"), st.sampled_from(ERRORS)),
    st.tuples(st.just("return"), items),
)
programs = st.recursive(
    st.lists(steps, max_size=3),
    lambda inner: st.lists(
        st.one_of(
            steps,
            st.tuples(st.just("loop"), st.integers(1, 3), inner),
            st.tuples(
                st.just("try"),
                inner,
                st.none() | st.tuples(st.sampled_from([Exception, BaseException, KeyError]), inner),
                st.none() | inner,
            ),
        ),
        max_size=3,
    ),
    max_leaves=8,
)
moves = st.lists(
    st.tuples(
        st.one_of(
            st.just(("next",)),
            st.just(("next",)),
            st.tuples(st.just("send"), st.sampled_from([None, 5])),
            st.tuples(st.just("throw"), st.sampled_from(THROWN), st.booleans()),
            st.just(("close",)),
        ),
        st.booleans(),  # inside an `except` block
    ),
    min_size=1,
    max_size=8,
)


def perform(program: Program, log: Log) -> Generator[Any, Any, Any]:
    """Carry out the steps of a program."""
    for step in program:
        log.append(("handles", type(sys.exception()).__name__))
        match step:
            case ("yield", item):
                try:
                    log.append(("sent", (yield item)))
                except BaseException as error:
                    log.append(("thrown", shown(error)))
                    raise
            case ("raise", kind):
                raise kind("source")
            case ("return", value):
                return (value,)
            case ("loop", times, body):
                for _ in range(times):
                    returned = yield from perform(body, log)
                    if returned is not None:
                        return returned
            case ("try", body, handler, final):
                returned = yield from attempt(body, handler, final, log)
                if returned is not None:
                    return returned
    return None


def attempt(body: Program, handler: Any, final: Any, log: Log) -> Generator[Any, Any, Any]:
    """Carry out a `try` statement."""
    try:
        return (yield from perform(body, log))
    except BaseException as error:
        if handler is None or not isinstance(error, handler[0]):
            raise
        return (yield from perform(handler[1], log))
    finally:
        if final is not None:
            returned = yield from perform(final, log)
            if returned is not None:
                return returned  # noqa: B012 (a program may do that)


def shown(error: BaseException | None) -> Any:
    """Return an error as data, with the errors before it."""
    chain: list[Any] = []
    while error is not None and len(chain) < 20:
        chain.append((type(error).__name__, str(error), type(error.__cause__).__name__))
        error = error.__context__
    return chain


def generator_of(program: Program, log: Log) -> Callable[..., Generator[Any, Any, Any]]:
    """Return a generator function that carries out a program."""

    def source(*_: object) -> Generator[Any, Any, Any]:
        returned = yield from perform(program, log)
        return None if returned is None else returned[0]

    return source


def outcome(call: Callable[[], Any], *, handling: bool) -> Any:
    """Make a move, perhaps in an `except` block; return what came of it as data."""
    try:
        if not handling:
            return ("yields", call())
        try:
            raise ArithmeticError("of the consumer")
        except ArithmeticError:
            return ("yields", call())
    except (StopIteration, StopAsyncIteration) as stop:
        return ("ends", getattr(stop, "value", None))
    except BaseException as error:
        return ("raises", shown(error))


def thrown(kind: type[BaseException], as_class: bool) -> Any:
    return kind if as_class else kind("consumer")


def play(stream: Any, plays: Iterable[Any]) -> list[Any]:
    """Make all moves on a generator."""
    seen = []
    for move, handling in plays:
        match move:
            case ("next",):
                seen.append(outcome(lambda: next(stream), handling=handling))
            case ("send", value):
                seen.append(outcome(lambda value=value: stream.send(value), handling=handling))
            case ("throw", kind, as_class):
                error = thrown(kind, as_class)
                seen.append(outcome(lambda error=error: stream.throw(error), handling=handling))
            case ("close",):
                seen.append(outcome(stream.close, handling=handling))
    return seen


EAGER = Policy(retry_on=Exception)
SYNC: dict[str, Callable[[Any], Any]] = {
    "defaults": lambda source: failover_stream([source], retry_on=ConnectionError),
    "retries everything": lambda source: failover_stream([source], retry_on=Exception),
    "skip": lambda source: failover_stream([source], retry_on=OSError, mid_stream="skip"),
    "key": lambda source: failover_stream([source], retry_on=OSError, mid_stream=Skip(key=repr)),
    "resume": lambda source: failover_stream([source], retry_on=OSError, mid_stream=Resume(keep=2)),
    "decide": lambda source: failover_stream(
        [source], retry_on=OSError, mid_stream=Decide(lambda progress: "resume")
    ),
    "nested": lambda source: EAGER.stream([EAGER.source([EAGER.source([source])])]),
    "timed": lambda source: failover_stream([source], retry_on=OSError, idle_timeout=1e6),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SYNC)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(programs, moves)
def test_sync(name: str, program: Program, plays: list[Any]) -> None:
    """A random generator and its consumer notice no difference from `yield from`."""
    mine: Log = []
    theirs: Log = []
    if name == "timed":  # its thread handles none of the consumer's exceptions
        plays = [(move, False) for move, _ in plays]

    def reference(*_: object) -> Generator[Any, Any, Any]:
        return (yield from generator_of(program, theirs)())

    with quiet_garbage():
        expected = play(reference(), plays)
        got = play(SYNC[name](generator_of(program, mine)), plays)
        gc.collect(0)
        for thread in threading.enumerate():  # a finalizer does not wait for the closing
            if thread.name.startswith("failover_iter: "):
                thread.join(60)
        if mine != theirs:
            gc.collect()  # a handler that yields again is a cycle: its frame, and its error
    assert got == expected
    assert mine == theirs


class quiet_garbage:  # noqa: N801 (a context manager)
    """Do not report generators that yield when they are closed: expected here."""

    def __enter__(self) -> None:
        self.hook, sys.unraisablehook = sys.unraisablehook, lambda _: None

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self.hook


def async_generator_of(program: Program, log: Log) -> Callable[..., Any]:
    """Return an async generator function that carries out a program."""

    async def source(*_: object) -> Any:
        steps = perform(program, log)
        sent = error = None
        try:
            while True:
                try:
                    item = steps.send(sent) if error is None else steps.throw(error)
                except StopIteration:
                    return
                sent = error = None
                try:
                    sent = yield item
                except BaseException as caught:
                    error = caught
        finally:
            del error  # or the traceback holds this frame, and this frame the error

    return source


class Calls:
    """The methods of a generator over an async one; each call runs the loop."""

    def __init__(self, flavour: AsyncFlavour, stream: Any) -> None:
        self.flavour, self.stream = flavour, stream

    def __next__(self) -> Any:
        return self.flavour.next(self.stream)

    def send(self, value: Any) -> Any:
        return self.flavour.send(self.stream, value)

    def throw(self, error: Any) -> Any:
        return self.flavour.throw(self.stream, error)

    def close(self) -> None:
        self.flavour.close(self.stream)


ASYNC: dict[str, Callable[[Any], Any]] = {
    "defaults": lambda source: afailover_stream([source], retry_on=ConnectionError),
    "key": lambda source: afailover_stream([source], retry_on=OSError, mid_stream=Skip(key=repr)),
    "resume": lambda source: afailover_stream([source], retry_on=OSError, mid_stream="resume"),
    "nested": lambda source: EAGER.astream([EAGER.source([EAGER.source([source])])]),
    "timed": lambda source: afailover_stream([source], retry_on=OSError, idle_timeout=1e6),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ASYNC)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(programs, moves)
def test_async(name: str, program: Program, plays: list[Any]) -> None:
    """A random async generator and its consumer notice no stream in between."""
    # A task handles none of our exceptions; and a GeneratorExit is another for a source (PEP 380).
    plays = [((*move[:2], True) if GeneratorExit in move else move, False) for move, _ in plays]
    mine: Log = []
    theirs: Log = []
    flavour = AsyncFlavour()
    gc.freeze()  # or each collection looks at all that Hypothesis keeps
    with quiet_garbage():
        try:
            bare = Calls(flavour, async_generator_of(program, theirs)())
            expected = play(bare, plays)
            stream = Calls(flavour, ASYNC[name](async_generator_of(program, mine)))
            got = play(stream, plays)
            for each in (bare, stream):
                with suppress(BaseException):
                    each.close()
        finally:
            flavour.finish()
    assert got == expected
    assert mine == theirs
