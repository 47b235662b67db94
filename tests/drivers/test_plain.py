"""The bare `for` that the blocking driver uses for plain iterators: no law is lost by it."""

from __future__ import annotations

import ctypes
import gc
import inspect
import signal
import sys
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from types import FunctionType
from typing import Any

import pytest

from failover_iter import Closed, Event, Failed, StreamTimeout, failover_stream
from failover_iter._drivers.clock import SystemClock, clock
from failover_iter._drivers.plain import _IS_KNOWN as IS_KNOWN
from failover_iter._drivers.plain import is_plain
from support.tally import LENGTH

SOURCES: dict[str, Callable[[], Iterable[Any]]] = {
    "list": lambda: [0, 1, 2],
    "tuple": lambda: (0, 1, 2),
    "range": lambda: range(3),
    "dict": lambda: {0: "a", 1: "b", 2: "c"},
    "values": lambda: {"a": 0, "b": 1, "c": 2}.values(),
    "items": lambda: {"a": 0}.items(),
    "set": lambda: {0, 1, 2},
    "str": lambda: "abc",
    "bytes": lambda: b"abc",
}


@pytest.mark.parametrize("name", SOURCES)
def test_items_and_end_are_those_of_yield_from(name: str) -> None:
    """All items, and None as the value at the end."""
    stream = failover_stream([SOURCES[name]], retry_on=OSError)
    assert list(stream) == list(SOURCES[name]())
    stream = failover_stream([SOURCES[name]], retry_on=OSError)
    with pytest.raises(StopIteration) as caught:
        while True:
            next(stream)
    assert caught.value.value is None


@pytest.mark.parametrize("pulls", [1, 2])
def test_what_is_thrown_comes_out_and_opens_nothing(pulls: int) -> None:
    """At the first item, which is handed out by other means, and at a later one."""
    stream = failover_stream([SOURCES["list"], SOURCES["list"]], retry_on=Exception)
    for _ in range(pulls):
        next(stream)
    thrown = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        stream.throw(thrown)
    assert caught.value is thrown
    assert thrown.__context__ is None
    assert list(stream) == []


@pytest.mark.parametrize("pulls", [1, 2])
def test_what_is_sent_is_refused_as_by_yield_from(pulls: int) -> None:
    """A list iterator has no `send`: the AttributeError is the consumer's."""
    stream = failover_stream([SOURCES["list"], SOURCES["list"]], retry_on=Exception)
    for _ in range(pulls):
        next(stream)
    with pytest.raises(AttributeError, match="'list_iterator' object has no attribute 'send'"):
        stream.send(1)


def test_a_generator_answers_a_throw_further_on() -> None:
    """Past the first item what is thrown is delegated: the answer is delivered, and it goes on."""

    def source() -> Iterator[str]:
        yield "one"
        try:
            yield "two"
        except KeyError as error:
            yield f"caught {error}"
        yield "three"

    stream = failover_stream([source], retry_on=Exception, mid_stream="skip")
    assert [next(stream), next(stream)] == ["one", "two"]
    assert stream.throw(KeyError("mine")) == "caught 'mine'"
    assert list(stream) == ["three"]


def test_a_generator_with_a_value_answers_a_throw() -> None:
    """Through the delegate: the answer is the consumer's, and the value the stream's."""

    def source() -> Generator[str, None, str]:
        yield "one"
        try:
            yield "two"
        except KeyError as error:
            yield f"caught {error}"
        return "value"

    stream = failover_stream([source], retry_on=Exception)
    assert [next(stream), next(stream)] == ["one", "two"]
    assert stream.throw(KeyError("mine")) == "caught 'mine'"
    with pytest.raises(StopIteration) as caught:
        next(stream)
    assert caught.value.value == "value"


def test_closing_ends_it() -> None:
    """Nothing is pulled after a close."""
    stream = failover_stream([SOURCES["range"]], retry_on=OSError)
    assert [next(stream), next(stream)] == [0, 1]
    stream.close()
    assert list(stream) == []


def test_a_dict_that_changes_is_a_failure_of_the_source() -> None:
    """The RuntimeError of the iterator switches where it is named."""
    changing = {0: "a", 1: "b"}
    stream = failover_stream([lambda: changing, lambda: [9]], retry_on=RuntimeError)
    assert [next(stream), next(stream)] == [0, 1]
    changing[2] = "c"
    assert list(stream) == [9]


def test_a_stop_that_is_thrown_in_is_the_end() -> None:
    """As at a `yield from` over what has no `throw`, in each version of Python."""

    def reference() -> Iterator[int]:
        return (yield from SOURCES["list"]())

    def outcome(stream: Any, pulls: int) -> tuple[str, Any]:
        for _ in range(pulls):
            next(stream)
        with pytest.raises((StopIteration, RuntimeError)) as caught:
            stream.throw(StopIteration("value"))
        return type(caught.value).__name__, getattr(caught.value, "value", str(caught.value))

    for pulls in (1, 2):
        stream = failover_stream([SOURCES["list"]], retry_on=Exception)
        assert outcome(stream, pulls) == outcome(reference(), pulls)


def bare() -> Iterator[int]:
    yield 1
    yield 2


def returns() -> Iterator[int]:
    yield 1
    yield 2
    return "value"


def returns_none() -> Iterator[int]:
    yield 1
    if variable:
        return
    yield 2
    return None


def returns_either() -> Iterator[int]:
    yield 1
    yield 2
    return variable or None


def returns_one_of_two() -> Iterator[int]:
    yield 1
    yield 2
    return variable if variable else None  # noqa: FURB110 (another bytecode)


def returns_what_is_caught() -> Iterator[int]:
    try:
        yield 1
        yield 2
    finally:
        variable.clear()
    return None if variable else "value"


def answers() -> Iterator[Any]:
    sent = yield 1
    while sent is not None:
        sent = yield f"answer to {sent}"
    yield 2


def answers_in_passing() -> Iterator[Any]:
    yield (yield (yield 1))


def returns_a_constant_of_many() -> Iterator[int]:
    yield 1
    return 300


def delegates() -> Iterator[int]:
    return (yield from returns())


variable: list[int] = []
MANY: dict[str, Any] = {}
exec(  # so many constants that one takes an instruction to extend its number
    "def many():\n    yield 1\n"
    + "".join(f"    x = {n}.5\n" for n in range(300))
    + "    return 'v'\n",
    MANY,
)


@pytest.mark.parametrize(
    "source",
    [
        bare,
        returns,
        returns_none,
        returns_either,
        returns_one_of_two,
        returns_what_is_caught,
        answers,
        answers_in_passing,
        returns_a_constant_of_many,
        delegates,
        MANY["many"],
    ],
)
def test_the_value_of_a_generator_is_kept(source: Any) -> None:
    """Whichever way it is pulled: what `yield from` gives is the value of the stream."""

    def value_of(stream: Any) -> Any:
        while True:
            try:
                next(stream)
            except StopIteration as stop:
                return stop.value

    assert value_of(failover_stream([source], retry_on=OSError)) == value_of(source())


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        (bare, True),
        (returns_none, True),
        (lambda: (item for item in range(3)), True),
        (returns, False),
        (returns_either, False),
        (returns_one_of_two, False),
        (returns_what_is_caught, False),
        (returns_a_constant_of_many, False),
        (answers, False),
        (answers_in_passing, False),
        (delegates, False),
        (MANY["many"], False),
        (lambda: iter([]), True),
        (lambda: map(int, "1"), False),
    ],
)
def test_what_is_plain(source: Any, plain: bool) -> None:
    """What can return a value, or has a use for what is sent, is not; unknown code never is."""
    generator = inspect.isgenerator(source())
    assert is_plain(source()) == (plain and (IS_KNOWN or not generator))


@pytest.mark.parametrize("mid_stream", ["restart", "skip"])
@pytest.mark.parametrize(
    "source", [bare, returns, returns_none, answers, answers_in_passing, delegates]
)
@pytest.mark.parametrize("pulls", [1, 2])
def test_a_value_that_is_sent_reaches_a_generator(source: Any, pulls: int, mid_stream: Any) -> None:
    """Also one that ignores it: what is sent is a pull like any other."""
    stream = failover_stream([source], retry_on=OSError, mid_stream=mid_stream)
    reference = source()
    for _ in range(pulls):
        assert next(stream) == next(reference)
    results = []
    for each in (stream, reference):
        try:
            results.append(("item", each.send("sent")))
        except StopIteration as stop:
            results.append(("end", stop.value))
    assert results[0] == results[1]


@pytest.mark.parametrize("pulls", [1, 2])
@pytest.mark.parametrize("source", [lambda: [1, 2, 3], lambda: map(int, "123"), bare])
def test_what_is_thrown_keeps_its_own_context(source: Any, pulls: int) -> None:
    """Whatever the consumer handles while it throws, as at a `yield from`."""
    stream = failover_stream([source], retry_on=OSError)
    for _ in range(pulls):
        next(stream)
    thrown = ValueError("mine")
    try:
        raise LookupError("the consumer's")
    except LookupError:
        with pytest.raises(ValueError, match="mine"):
            stream.throw(thrown)
    assert thrown.__context__ is None


@pytest.mark.parametrize("mid_stream", ["restart", "skip"])
@pytest.mark.parametrize("pulls", [1, 2])
@pytest.mark.parametrize("source", [bare, lambda: [1, 2, 3], lambda: map(int, "123"), delegates])
def test_a_thrown_exit_keeps_its_own_context(source: Any, pulls: int, mid_stream: Any) -> None:
    """What the consumer is handling meanwhile is none of it."""
    stream = failover_stream([source], retry_on=OSError, mid_stream=mid_stream)
    for _ in range(pulls):
        next(stream)
    thrown = GeneratorExit()
    try:
        raise KeyError
    except KeyError:
        with pytest.raises(GeneratorExit):
            stream.throw(thrown)
    assert thrown.__context__ is None


def bound(source: Any, old: object, new: object) -> Any:
    """The same function with another constant in its code."""
    consts = tuple(new if const == old else const for const in source.__code__.co_consts)
    return FunctionType(source.__code__.replace(co_consts=consts), globals(), "bound")


class Constant:
    """Something that may be referred to weakly."""


def items_of_a_constant() -> Iterator[Any]:
    for item in "items":
        yield item


def test_code_with_a_constant_that_has_no_hash() -> None:
    """Whatever tools put into code: it is a source as any other."""
    source = bound(items_of_a_constant, "items", [7, 8, 9])
    assert list(failover_stream([source], retry_on=TypeError)) == [7, 8, 9]


def test_what_was_found_out_keeps_no_code_alive() -> None:
    """A function that is gone is gone, with the constants of its code."""
    constant = Constant()
    gone = weakref.ref(constant)
    source = bound(returns, "value", constant)
    assert list(failover_stream([source], retry_on=OSError)) == [1, 2]
    del source, constant
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("count", [LENGTH - 1, LENGTH, LENGTH + 1, LENGTH + 2])
def test_an_item_that_came_is_delivered_past_the_time_of_the_stream(count: int) -> None:
    """At the end of the table that counts, as before it and after."""

    class Clock(SystemClock):
        now = 0.0

        def time(self) -> float:  # type: ignore[override]  # not static here
            return self.now

    fake = Clock()

    def late() -> Iterator[Any]:
        yield from range(count)
        fake.now = 10.0
        yield "came"
        yield "never"

    delivered: list[Any] = []
    token = clock.set(fake)
    try:
        with pytest.raises(StreamTimeout):
            delivered.extend(
                failover_stream([late], retry_on=OSError, total_timeout=4, on_event=print)
            )
    finally:
        clock.reset(token)
    assert delivered[-1] == "came"


@pytest.mark.skipif(sys.platform == "win32", reason="raises a POSIX signal from C")
@pytest.mark.parametrize("error", [TimeoutError, KeyboardInterrupt])
@pytest.mark.parametrize("shape", ["generator", "iterator"])
def test_a_signal_loses_no_count(shape: str, error: type[BaseException]) -> None:
    """One that comes in just when the source has failed, before the count is added up."""
    trip = Trip()

    def pulls() -> Iterator[int]:
        for number in range(1, 10):
            yield number
        _ = -trip  # the handler runs at the next call of ours
        raise ConnectionError

    class Pulls:
        def __init__(self) -> None:
            self.last = 0

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            self.last += 1
            if self.last > 9:
                _ = -trip
                raise ConnectionError
            return self.last

    def handler(*_: object) -> None:
        raise error

    first = pulls if shape == "generator" else Pulls
    events: list[Event] = []
    before = signal.signal(signal.SIGALRM, handler)
    try:
        stream = failover_stream(
            [first, lambda: range(1, 13)],
            retry_on=(ConnectionError, TimeoutError),
            mid_stream="skip",
            on_event=events.append,
        )
        expected = [*range(1, 13)] if error is TimeoutError else [*range(1, 10)]
        delivered: list[int] = []
        try:
            delivered.extend(stream)
        except KeyboardInterrupt:
            assert error is KeyboardInterrupt
        assert delivered == expected
    finally:
        signal.signal(signal.SIGALRM, before)
    ended = [event.delivered for event in events if isinstance(event, Failed | Closed)]
    assert ended == [9]


class Trip:
    """An operator, in C from end to end, that raises a signal."""

    if sys.platform != "win32":
        __neg__ = staticmethod(partial(ctypes.CDLL(None)["raise"], int(signal.SIGALRM)))
