"""The law of identity, call by call, and the puppets that it compares: nothing random is needed."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing._worlds import run_coroutine
from laws.identity import Answers, Puppet, check_identity, compare, quiet

FLAVOURS: list[Any] = ["sync", "asyncio", "trio"]
KINDS: list[Any] = ["generator", "iterator"]


def combinator(flavour: str) -> Any:
    """Return a stream of the library."""
    stream: Any = failover_stream if flavour == "sync" else afailover_stream
    return lambda factories: stream(factories, retry_on=ConnectionError)


def compared(flavour: Any, answers: Answers, kind: Any, *calls: Any, stream: Any = None) -> None:
    """Compare a stream with `yield from`."""
    made = stream or combinator(flavour)
    with quiet():
        run_coroutine(flavour, compare(made, answers, kind, calls, flavour))
        gc.collect()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_calls(flavour: Any) -> None:
    """Items, what the source answers, the end, and a close after the end are compared."""
    answers = Answers(pulls=("item", "item", "end"), value=0)
    compared(flavour, answers, "generator", ("next",), ("send", 1), ("next",), ("close",))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("kind", ["generator", "iterator", "list"])
@pytest.mark.parametrize("as_class", [True, False])
def test_a_throw(flavour: Any, kind: Any, as_class: bool) -> None:
    """An error that the consumer throws reaches the source, and returns."""
    compared(flavour, Answers(), kind, ("next",), ("throw", KeyError, as_class))
    if as_class:  # either is left out where it cannot be compared
        without = Answers(missing=frozenset({"throw"}), closes=("raise",))
        compared(flavour, without, kind, ("next",), ("throw", StopIteration, as_class))


def test_a_source_without_methods() -> None:
    """A list is compared too."""
    compared("sync", Answers(), "list", ("next",), ("close",))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_before_the_first_call(flavour: Any) -> None:
    """Nothing was opened, and nothing is closed."""
    compared(flavour, Answers(), "generator")


def test_a_stream_that_differs() -> None:
    """The message shows the call, and what came of it on both sides."""

    def forgets(factories: Any) -> Iterator[Any]:
        yield from combinator("sync")(factories)

    with pytest.raises(AssertionError) as caught:
        answers = Answers(pulls=("end",), value=1)
        compared("sync", answers, "generator", ("next",), stream=forgets)
    assert str(caught.value) == "next: ('ends', None), but `yield from`: ('ends', 1)"


def test_threads_are_waited_for() -> None:
    """A thread of the combinator that still runs at the end lets go of its source."""
    joined: list[threading.Thread] = []

    class Worker(threading.Thread):
        def __init__(self) -> None:
            self.released = threading.Event()
            super().__init__(target=self.released.wait)

        def join(self, timeout: float | None = None) -> None:
            self.released.set()
            super().join(timeout)
            joined.append(self)

    def combinator(factories: Any) -> Any:
        if not workers:
            workers.append(Worker())
            workers[0].start()
        return failover_stream(factories, retry_on=ConnectionError)

    workers: list[Worker] = []
    few = settings(max_examples=1, database=None)
    check_identity(combinator, ConnectionError, flavour="sync", settings=few)
    assert joined == workers


# Puppets.

ENDS = (StopIteration, StopAsyncIteration)
#: The calls of a source in their order: the name of the method, and its argument.
STEPS: list[tuple[str, tuple[Any, ...]]] = [
    ("next", ()),
    ("throw", (KeyError("thrown"),)),
    ("send", ("sent",)),
    ("close", ()),
]


def name_of(error: BaseException) -> str:
    """The name of an error; the end of a source has the same name for both flavours."""
    return "the end" if isinstance(error, ENDS) else type(error).__name__


def outcomes(kind: Any, answers: Answers) -> list[Any]:
    """Take the steps with a sync source until it ends; what came of each, and what was logged."""
    log: list[Any] = []
    source, results = iter(Puppet(answers, log).make(kind, is_async=False)), list[Any]()
    try:
        for name, args in STEPS:
            method = source.__next__ if name == "next" else getattr(source, name)
            results.append(method(*args))
    except BaseException as error:
        results.append(name_of(error))
    return [*results, log]


async def aoutcomes(kind: Any, answers: Answers) -> list[Any]:
    """Take the same steps with an async source."""
    log: list[Any] = []
    source, results = aiter(Puppet(answers, log).make(kind, is_async=True)), list[Any]()
    try:
        for name, args in STEPS:
            method = source.__anext__ if name == "next" else getattr(source, f"a{name}")
            results.append(await method(*args))
    except BaseException as error:
        results.append(name_of(error))
    return [*results, log]


@pytest.mark.parametrize("at", ["pulls", "throws", "closes"])
@pytest.mark.parametrize("action", ["item", "end", "raise", "reraise", "base"])
def test_async_puppets_act_as_sync_ones(at: str, action: Any) -> None:
    """Whatever they have to answer, at a pull, a throw or a close."""
    actions = {"pulls": ("item",), "throws": ("item",), "closes": ("end",), at: (action, "end")}
    answers = Answers(**actions)  # type: ignore[arg-type]  # actions, all of them
    ignores_close = (at, action) == ("closes", "item")  # Python itself reports such a generator
    for kind in KINDS[ignores_close:]:
        assert asyncio.run(aoutcomes(kind, answers)) == outcomes(kind, answers)


@pytest.mark.parametrize("action", ["end", "raise", "base"])
def test_a_puppet_that_has_ended_stays_so(action: Any) -> None:
    """Neither a pull nor a close does anything then; the close is logged."""
    log: list[Any] = []
    answers = Answers(pulls=(action, "item"), closes=("raise",))
    source = Puppet(answers, log).make("iterator", is_async=False)
    with pytest.raises(BaseException):  # noqa: B017 (whatever it has to answer)
        next(source)
    with pytest.raises(StopIteration):
        next(source)
    source.close()
    assert log == [("send", None), ("send", None), "close"]


def test_a_puppet_without_methods() -> None:
    """Those that are missing are, and no others."""
    puppet = Puppet(Answers(missing=frozenset({"send", "throw"})), [])
    assert not hasattr(puppet.make("iterator", is_async=False), "throw")
    assert not hasattr(puppet.make("iterator", is_async=True), "asend")
    assert hasattr(puppet.make("iterator", is_async=True), "aclose")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_logged(kind: Any) -> None:
    """Each call, in order; the first pull of a generator does not reach it."""
    log = outcomes(kind, Answers(throws=("item",)))[-1]
    calls = [("send", None), ("throw", "KeyError"), ("send", "sent"), "close"]
    assert log == calls[kind == "generator" :]
