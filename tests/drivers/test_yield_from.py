"""A blocking stream beside a bare `yield from`, for each kind of iterable.

`yield from` depends on the version of Python: since 3.15 it walks a list by index, without an
iterator. So these tests always compare a stream with a real `yield from`.
"""

from __future__ import annotations

from array import array
from collections import UserList, deque
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import Any

import pytest

from failover_iter import Decide, failover_stream


class Numbers(list[int]):
    """A subclass of list, with methods that `yield from` must not find."""

    def send(self, value: object) -> None:
        raise AssertionError

    def throw(self, *error: object) -> None:
        raise AssertionError

    def close(self) -> None:
        """A stream closes what its factory returns; `yield from` does not."""


class Pair(tuple[int, int]):
    """A subclass of tuple."""

    __slots__ = ()


class Indexed:
    """A sequence that has only `__getitem__`."""

    def __getitem__(self, index: int) -> int:
        return [0, 1][index]


class Pulled:
    """An iterator without `send`, `throw` and `close`."""

    def __init__(self) -> None:
        self.items = iter([0, 1])

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        return next(self.items)


def returning() -> Generator[int, Any, str]:
    """A generator that returns a value."""
    yield 0
    yield 1
    return "value"


ITERABLES: dict[str, Callable[[], Any]] = {
    "list": lambda: [0, 1],
    "list of one": lambda: [0],
    "list subclass": lambda: Numbers([0, 1]),
    "list iterator": lambda: iter([0, 1]),
    "UserList": lambda: UserList([0, 1]),
    "tuple": lambda: (0, 1),
    "tuple subclass": lambda: Pair((0, 1)),
    "bytearray": lambda: bytearray(b"ab"),
    "memoryview": lambda: memoryview(b"ab"),
    "array": lambda: array("i", [0, 1]),
    "range": lambda: range(2),
    "long range": lambda: range(10**30, 10**30 + 2),
    "set": lambda: {0, 1},
    "dict": lambda: {0: 1, 1: 2},
    "dict items": lambda: {0: 1, 1: 2}.items(),
    "deque": lambda: deque([0, 1]),
    "chain": lambda: chain([0], [1]),
    "map": lambda: map(int, "01"),
    "indexed": Indexed,
    "iterator": Pulled,
    "generator": returning,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "restart": {},
    "raise": {"mid_stream": "raise"},
    "skip": {"mid_stream": "skip"},
    "resume": {"mid_stream": "resume"},
    "decide": {"mid_stream": Decide(lambda _: "resume", keep=3)},
    "timed": {"idle_timeout": 60},
}
CALLS: dict[str, Callable[[Any], Any]] = {
    "next": next,
    "send": lambda stream: stream.send(1),
    "throw": lambda stream: stream.throw(KeyError("thrown")),
    "throw StopIteration": lambda stream: stream.throw(StopIteration("thrown")),
    "close": lambda stream: stream.close(),
}


def bare(factory: Callable[[], Any]) -> Generator[Any, Any, Any]:
    return (yield from factory())


def outcomes(stream: Any, call: Callable[[Any], Any]) -> list[Any]:
    """Results of the first pull, of the call, and of one more pull."""
    return [outcome(stream, step) for step in (next, call, next)]


def outcome(stream: Any, step: Callable[[Any], Any]) -> Any:
    try:
        return step(stream)
    except StopIteration as stop:
        return "ends", stop.value
    except Exception as error:
        receiver = type(error.obj) if isinstance(error, AttributeError) else None
        return type(error), str(error), receiver


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("factory", ITERABLES.values(), ids=ITERABLES)
def test_a_stream_does_as_yield_from(factory: Callable[[], Any], options: dict[str, Any]) -> None:
    """Over one source, each call has the outcome that it has on a bare `yield from`."""

    def stream() -> Generator[Any, Any, Any]:
        return failover_stream([lambda *_: factory()], retry_on=ConnectionError, **options)

    ours = {name: outcomes(stream(), call) for name, call in CALLS.items()}
    assert ours == {name: outcomes(bare(factory), call) for name, call in CALLS.items()}


def test_a_value_sent_to_a_list_is_refused() -> None:
    """A list takes no value: `send` raises AttributeError, and the stream has ended."""
    stream = failover_stream([lambda: [0, 1]], retry_on=AttributeError, attempts=2)
    assert next(stream) == 0
    with pytest.raises(
        AttributeError, match=r"^'list(_iterator)?' object has no attribute 'send'$"
    ):
        stream.send(1)
    assert list(stream) == []


@pytest.mark.filterwarnings("ignore:the .* signature of throw:DeprecationWarning")
def test_the_traceback_of_a_thrown_error() -> None:
    """A traceback passed to `throw` reaches the error, even if the source has no `throw`."""
    try:
        raise ValueError("of another place")
    except ValueError as error:
        kept = error.__traceback__
    stream = failover_stream([lambda: iter([1, 2])], retry_on=OSError)
    assert next(stream) == 1
    with pytest.raises(ValueError, match="thrown") as raised:
        stream.throw(ValueError, ValueError("thrown"), kept)
    each = raised.value.__traceback__
    while each is not None and each is not kept:
        each = each.tb_next
    assert each is kept
