"""The bare `for` that the blocking driver uses for plain iterators: no law is lost by it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from failover_iter import failover_stream
from failover_iter._plain import _IS_KNOWN as IS_KNOWN
from failover_iter._plain import is_plain

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

    def twin() -> Iterator[int]:
        return (yield from SOURCES["list"]())

    def outcome(stream: Any, pulls: int) -> tuple[str, Any]:
        for _ in range(pulls):
            next(stream)
        with pytest.raises((StopIteration, RuntimeError)) as caught:
            stream.throw(StopIteration("value"))
        return type(caught.value).__name__, getattr(caught.value, "value", str(caught.value))

    for pulls in (1, 2):
        stream = failover_stream([SOURCES["list"]], retry_on=Exception)
        assert outcome(stream, pulls) == outcome(twin(), pulls)


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
    twin = source()
    for _ in range(pulls):
        assert next(stream) == next(twin)
    results = []
    for each in (stream, twin):
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
