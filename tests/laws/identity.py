"""The law of identity: a stream over one source behaves like `yield from` over it.

A stream and a reference get the same random calls, and their sources answer alike, at random:
they yield, raise, end, or lack a method. The reference for an async stream is the sync `yield from`
over the same source, because PEP 380 specifies both.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter.testing._either import Either, Ended, blocking_generator, iterator_of
from failover_iter.testing._faults import Bug, Interrupt
from failover_iter.testing._run import unraisable_to
from failover_iter.testing._worlds import Flavour, run_coroutine

Answer: TypeAlias = Literal["item", "end", "raise", "reraise", "base"]
Kind: TypeAlias = Literal["generator", "iterator", "list"]
#: The name of a method, and its arguments.
Call: TypeAlias = tuple[Any, ...]
Result = TypeVar("Result")

#: The exceptions that a consumer throws, in addition to a failure of the source.
THROWN: Final[tuple[type[BaseException], ...]] = (
    Bug, Interrupt, GeneratorExit, StopIteration, StopAsyncIteration, KeyError,
)  # fmt: skip
#: How many calls a stream gets.
CALLS: Final = 12


@dataclass(frozen=True)
class Answers:
    """The answers of a source to pulls, throws and closes; the last one of each repeats."""

    pulls: tuple[Answer, ...] = ("item",)
    throws: tuple[Answer, ...] = ("reraise",)
    closes: tuple[Answer, ...] = ("end",)
    missing: frozenset[str] = frozenset()  # the methods that an iterator lacks
    value: Any = None  # the return value


class Puppet:
    """A source that follows a script of answers, and logs the calls."""

    def __init__(self, answers: Answers, log: list[Any]) -> None:
        self.answers = answers
        self.value = answers.value
        self.log = log
        self.counts: Counter[str] = Counter()
        self.has_ended = False

    def make(self, kind: Kind, *, is_async: bool) -> Any:
        """Return the source as a generator or an iterator, or a list in its place."""
        if kind == "generator":
            generator = self._generator()
            return generator if is_async else blocking_generator(generator, self)
        if kind == "list" and not is_async:
            return [0, 1, 2]
        methods: dict[str, Any] = {
            "send": self._send, "throw": self._throw, "close": self._close
        }  # fmt: skip
        has = {name: call for name, call in methods.items() if name not in self.answers.missing}
        return iterator_of(partial(self._send, None), is_async=is_async, **has)

    def _answer(self, kind: str, error: BaseException | None = None) -> Any:
        answers, count = getattr(self.answers, kind), self.counts[kind]
        self.counts[kind] += 1
        match answers[min(count, len(answers) - 1)]:
            case "item":
                return f"{kind} {count}"
            case "end":
                raise Ended(self.value)
            case "base":
                raise Interrupt("from the source")
            case "reraise" if error is not None:
                raise error
            case _:
                raise Bug("from the source")

    async def _generator(self) -> AsyncGenerator[Any, Any]:
        kind: str = "pulls"
        error: BaseException | None = None
        while True:
            try:
                item = self._answer(kind, error)
            except Ended:
                return
            kind, error = "pulls", None
            try:
                sent = yield item
            except GeneratorExit as thrown:
                self.log.append("close")
                kind, error = "closes", thrown
            except BaseException as thrown:
                self.log.append(("throw", type(thrown).__name__))
                kind, error = "throws", thrown
            else:
                self.log.append(("send", sent))

    # The methods of an iterator.

    async def _send(self, value: Any) -> Any:
        self.log.append(("send", value))
        return self._unless_ended("pulls")

    async def _throw(self, error: Any, *_: Any) -> Any:
        error = error() if isinstance(error, type) else error
        self.log.append(("throw", type(error).__name__))
        return self._unless_ended("throws", error)

    async def _close(self) -> None:
        self.log.append("close")
        try:
            self._unless_ended("closes")
        except Ended:
            return

    def _unless_ended(self, kind: str, error: BaseException | None = None) -> Any:
        if self.has_ended:
            raise Ended
        try:
            return self._answer(kind, error)
        except BaseException:
            self.has_ended = True
            raise


def check_identity(
    combinator: Callable[[Any], Any],
    failure: type[Exception],
    *,
    flavour: Flavour,
    settings: settings,
) -> None:
    """Compare a combinator that takes a list of one factory with `yield from`."""
    kinds = st.sampled_from(["generator", "iterator", "list"])

    @settings
    @given(answers=_answers, kind=kinds, calls=_calls(failure))
    def behaves_like_yield_from(answers: Answers, kind: Kind, calls: Iterable[Call]) -> None:
        run_coroutine(flavour, compare(combinator, answers, kind, calls, flavour))

    threads = set(threading.enumerate())
    with quiet():
        behaves_like_yield_from()
        for thread in set(threading.enumerate()) - threads:
            thread.join(1)  # it lets go of its source, which is then abandoned
        gc.collect()


_pull = st.sampled_from([*["item"] * 6, "end", "raise", "base"])
_throw = st.sampled_from(["reraise", "item", "end", "raise", "base"])
# No "base": an error that leaves the stream closes the source, and a BaseException from that
# close would replace the error.
_close = st.sampled_from(["end", "reraise", "raise", "raise", "item"])
_answers: st.SearchStrategy[Answers] = st.builds(
    Answers,
    pulls=st.lists(_pull, min_size=1, max_size=5).map(tuple),
    throws=st.lists(_throw, min_size=1, max_size=3).map(tuple),
    closes=st.lists(_close, min_size=1, max_size=2).map(tuple),
    missing=st.frozensets(st.sampled_from(["send", "throw", "close"])),
    value=st.sampled_from([None, 0, "value"]),
)


def _calls(failure: type[Exception]) -> st.SearchStrategy[tuple[Call, ...]]:
    """Draw calls of a stream; an error is thrown as a class or as an instance."""
    pull = st.sampled_from([("next",), ("send", None), ("send", 1)])
    throw = st.tuples(st.just("throw"), st.sampled_from([failure, *THROWN]), st.booleans())
    close = st.just(("close",))
    some = [pull], [pull, throw], [pull, close], [pull, throw, close]
    # Always as many: shorter lists, which Hypothesis likes, show little. Most begin with an item,
    # for another first call often ends the stream.
    free = [st.tuples(*[st.one_of(calls)] * CALLS) for calls in some]
    begun = [st.tuples(st.just(("next",)), *[st.one_of(calls)] * CALLS) for calls in some[1:]]
    return st.one_of(*free, *begun)


async def compare(
    combinator: Callable[[Any], Any],
    answers: Answers,
    kind: Kind,
    calls: Iterable[Call],
    flavour: Flavour,
) -> None:
    """Make the same calls on the stream and on the reference, and compare what comes of them.

    Each call of an async stream runs in a new task: the stream may not depend on one (PEP 789).
    """
    is_async = flavour != "sync"
    ours: list[Any] = []
    theirs: list[Any] = []

    def factory(*_progress: Any) -> Any:
        return Puppet(answers, ours).make(kind, is_async=is_async)

    def reference() -> Generator[Any, Any, Any]:
        made = "iterator" if kind == "list" and is_async else kind
        source: Generator[Any, Any, Any] = Puppet(answers, theirs).make(made, is_async=False)
        return (yield from source)

    stream, expected = Either(combinator([factory]), is_async=is_async), Either(reference())
    has_ended = False
    for name, *args in calls:
        if has_ended and is_async:
            break  # how an async generator that has ended answers differs between Python versions
        if name == "throw" and _is_incomparable(args[0], answers, is_async=is_async):
            continue
        outcome = await _in_own_task(flavour, partial(_outcome_of, stream, name, args))
        its = await _outcome_of(expected, name, args)
        if is_async and its[0] == "ends":
            its = ("ends", None)  # an async generator has no return value
        assert outcome == its, f"{name}: {outcome}, but `yield from`: {its}"
        assert _without_last_closes(ours) == _without_last_closes(theirs)
        if name == "close" and not has_ended:
            assert ("close" in ours) == ("close" in theirs)
        has_ended = has_ended or name == "close" or outcome[0] != "returns"
        if has_ended and not (is_async and "item" in answers.closes):  # else trio closes it again
            assert ours.count("close") <= max(1, theirs.count("close")), "closed more than once"
    if is_async:  # the event loop, not the stream, closes an abandoned async generator
        await _in_own_task(flavour, partial(_outcome_of, stream, "close", []))
        await _outcome_of(expected, "close", [])
    del stream, expected
    assert _without_last_closes(ours) == _without_last_closes(theirs)


def _is_incomparable(thrown: type[BaseException], answers: Answers, *, is_async: bool) -> bool:
    if is_async:  # both end an async generator, but only StopIteration ends a generator
        return thrown in (StopIteration, StopAsyncIteration)
    # Without `throw`, a thrown StopIteration is the end of an iterator that has not ended. An error
    # of its close belongs to law 9, not to identity.
    return thrown is StopIteration and "throw" in answers.missing and set(answers.closes) != {"end"}


async def _in_own_task(
    flavour: Flavour, function: Callable[[], Coroutine[Any, Any, Result]]
) -> Result:
    """Run a coroutine function in a new task; the sync flavour has no tasks."""
    if flavour == "sync":
        return await function()
    if flavour == "asyncio":
        return await asyncio.get_running_loop().create_task(function())
    import trio

    results: list[Result] = []

    async def run() -> None:
        results.append(await function())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
    return results[0]


async def _outcome_of(stream: Either, name: str, args: list[Any]) -> tuple[Any, ...]:
    """Return the result of a call, or the error that it raises, as data that can be compared."""
    try:
        match name:
            case "next":
                return ("returns", await stream.next())
            case "close":
                await stream.close()
                return ("returns", None)
            case "send":
                return ("returns", await stream.call("send", args[0]))
            case _:
                kind, as_class = args
                return ("returns", await stream.call("throw", kind if as_class else kind("thrown")))
    except Ended as end:
        return ("ends", end.value)
    except BaseException as error:
        # A close that fails as well adds a note. That belongs to law 9, not to identity.
        notes = [
            note for note in getattr(error, "__notes__", ()) if not note.startswith("closing ")
        ]
        # As a sync generator says it.
        message = str(error).replace("async ", "").replace("'asend'", "'send'")
        return ("raises", type(error).__name__, message, notes)


def _without_last_closes(log: list[Any]) -> list[Any]:
    """Return the calls that reached the source, without the close calls at the end.

    Closing a source that has ended belongs to law 9, not to identity. Also, the garbage collector
    closes a source once more that yields when it is closed, at any time.
    """
    end = len(log)
    while end and log[end - 1] == "close":
        end -= 1
    return log[:end]


@contextmanager
def quiet() -> Generator[None]:
    """Silence Python's reports of sources that yield when they are closed: expected here."""
    with unraisable_to(bool), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
