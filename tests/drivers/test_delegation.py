"""The blocking stream delegates to its source as `yield from` does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from itertools import compress
from typing import Any

import pytest

from failover_iter import Takeover, failover_stream
from failover_iter._drivers.delegation import Rest


class Parts:
    """A source that logs the arguments of `throw`, or that has no `throw`."""

    def __init__(self, *, throws: bool = True) -> None:
        self.count = 0
        self.log: list[Any] = []
        if throws:
            self.throw = lambda *args: self.log.append(args) or "answer"

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> int:
        self.count += 1
        return self.count


def plain(factory: Callable[[], Any]) -> Iterator[Any]:
    return (yield from factory())  # type: ignore[no-any-return]


def stream(factory: Callable[[], Any]) -> Iterator[Any]:
    return failover_stream([factory], retry_on=OSError)


ERROR = ValueError("same object")


@pytest.mark.parametrize("throws", [True, False])
@pytest.mark.parametrize("pulls", [1, 2, 3])
@pytest.mark.parametrize(
    "thrown",
    [
        (ValueError,),
        (ValueError, "message"),
        (ValueError, ("two", "arguments")),
        (ValueError, ERROR),
        (ValueError, ERROR, None),
        (ERROR,),
        (StopIteration,),
        (StopIteration(5),),
    ],
)
def test_throw_gets_what_the_consumer_passes(
    throws: bool, pulls: int, thrown: tuple[Any, ...]
) -> None:
    """A class stays a class, at the first item too; without `throw`, the same error is raised."""
    seen = []
    for delegate in (plain, stream):
        source = Parts(throws=throws)
        generator: Any = delegate(lambda source=source: source)
        for _ in range(pulls):
            next(generator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of three arguments
            try:
                outcome: Any = generator.throw(*thrown)
            except BaseException as error:
                outcome = (type(error), error.args, error is ERROR)
        seen.append((source.log, outcome))
    assert seen[0] == seen[1]


def test_a_traceback_that_is_thrown_is_kept() -> None:
    """Where the source has no `throw`, the error is raised with the traceback that was passed."""
    try:
        raise ValueError("first raised here")
    except ValueError as error:
        thrown = error
    traceback = thrown.__traceback__
    for delegate in (plain, stream):
        generator: Any = delegate(lambda: Parts(throws=False))
        next(generator)
        with pytest.raises(ValueError, match="first") as caught, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            generator.throw(ValueError, thrown, traceback)
        links = []
        link = caught.value.__traceback__
        while link is not None:
            links.append(link.tb_frame.f_code.co_name)
            link = link.tb_next
        assert links[-1] == "test_a_traceback_that_is_thrown_is_kept"


@pytest.mark.parametrize("pulls", [1, 2])
@pytest.mark.parametrize("name", ["send", "throw", "close"])
def test_looking_at_the_delegate_changes_nothing(pulls: int, name: str) -> None:
    """A debugger may read the attributes of `gi_yieldfrom`: the source is still to blame."""

    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError

    reading = failover_stream([source, lambda: [9]], retry_on=OSError)
    for _ in range(pulls):
        next(reading)
    assert callable(getattr(reading.gi_yieldfrom, name))
    assert list(reading) == [2, 9][pulls - 1 :]


@pytest.mark.parametrize("name", ["send", "throw", "close"])
def test_an_attribute_of_the_source_that_raises(name: str) -> None:
    """The consumer gets the error of reading it: it is never a failure of the source."""

    class Hostile(Parts):
        def __getattribute__(self, asked: str) -> Any:
            if asked == name:
                raise ConnectionError(name)
            return super().__getattribute__(asked)

    opened: list[str] = []

    def fallback() -> list[int]:
        opened.append("fallback")
        return []

    reading: Any = failover_stream([Hostile, fallback], retry_on=OSError)
    assert [next(reading), next(reading)] == [1, 2]
    with pytest.raises(ConnectionError, match=name):
        {
            "send": lambda: reading.send(5),
            "throw": lambda: reading.throw(ValueError()),
            "close": reading.close,
        }[name]()
    assert opened == []


def test_items_pass_in_c_whatever_other_streams_do() -> None:
    """`__next__` is that of `compress`, also after somebody has made a `Takeover`."""
    assert Rest.__next__ is compress.__next__
    for _ in range(2):
        for mode in (None, "skip"):
            reading = failover_stream([lambda: [1, 2, 3]], retry_on=OSError, mid_stream=mode)
            assert [next(reading), next(reading)] == [1, 2]
            delegate: Any = reading.gi_yieldfrom
            assert type(delegate) is Rest
            assert delegate.source.attempt.delivered.on_item is None
        Takeover("skip", "x", OSError(), 0)


class Once:
    """An iterator that yields one item, then ends with a value, however it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.asked += 1
        if self.asked > 1:
            raise StopIteration("value")
        return "item"

    def send(self, value: Any) -> Any:
        return next(self)

    def throw(self, *thrown: Any) -> Any:
        return next(self)


def value_of(stream: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    return (yield from stream)


@pytest.mark.parametrize("how", ["send", "throw"])
def test_a_source_that_ends_at_the_first_item_is_not_asked_again(how: str) -> None:
    """Its value is returned, whether it ends in answer to a value or to an error."""
    source = Once()
    stream = value_of(failover_stream([lambda: source], retry_on=OSError))
    assert next(stream) == "item"
    with pytest.raises(StopIteration) as ended:
        stream.send(1) if how == "send" else stream.throw(KeyError("thrown"))
    assert (ended.value.value, source.asked) == ("value", 2)
