"""Counting with a table, for both drivers: at its end, and when the first marker is made."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import Progress, Takeover
from failover_iter._tally import AFTER, look_at_each_item
from support.flavour import SyncFlavour
from support.tally import LENGTH, refill


def plain(pull: Callable[[], Iterator[Any]]) -> Any:
    """A generator that a `for` serves."""

    def source(*_: object) -> Iterator[Any]:
        for item in pull():
            yield item

    return source


def valued(pull: Callable[[], Iterator[Any]]) -> Any:
    """A generator that may return a value: a `for` would drop it."""

    def source(*_: object) -> Iterator[Any]:
        return (yield from pull())

    return source


def numbers(count: int, error: BaseException | None = None) -> Iterator[Any]:
    yield from range(count)
    if error is not None:
        raise error


shapes = pytest.mark.parametrize("shape", [plain, valued])
#: Items before the first failure: the first of them is held, and does not come out of the loop.
ends = pytest.mark.parametrize("count", [1, 2, LENGTH, LENGTH + 1, LENGTH + 2, 2 * LENGTH + 3])


class Tallies(Behaviour):
    """What is counted is exact, wherever the table ends or is emptied."""

    @shapes
    @ends
    def test_what_was_delivered_is_known_at_any_point(
        self, flavour: SyncFlavour, shape: Any, count: int
    ) -> None:
        """How many items, and the last of them, before and after the end of the table."""
        told: list[Progress[Any]] = []

        def rest(progress: Progress[Any]) -> Iterator[Any]:
            told.append(progress)
            yield "rest"

        first = flavour.generator(shape(lambda: numbers(count, reset())))
        stream = flavour.stream([first, flavour.generator(rest)], mid_stream="resume")
        assert flavour.drain(stream) == [*range(count), "rest"]
        assert [(each.delivered, each.last) for each in told] == [(count, count - 1)]

    @shapes
    @ends
    def test_as_much_is_skipped_as_was_delivered(
        self, flavour: SyncFlavour, shape: Any, count: int
    ) -> None:
        """Exactly once, across the end of the table."""
        first = flavour.generator(shape(lambda: numbers(count, reset())))
        second = flavour.generator(shape(lambda: numbers(2 * count)))
        stream = flavour.stream([first, second], mid_stream="skip")
        assert flavour.drain(stream) == [*range(2 * count)]

    @shapes
    def test_an_index_error_of_the_source_is_its_failure(
        self, flavour: SyncFlavour, shape: Any
    ) -> None:
        """It is not taken for the end of the table, nor is that taken for it."""
        first = flavour.generator(shape(lambda: numbers(3, IndexError("list index out of range"))))
        second = flavour.generator(shape(lambda: numbers(LENGTH + 3)))
        stream = flavour.stream([first, second], mid_stream="skip", retry_on=IndexError)
        assert flavour.drain(stream) == [*range(LENGTH + 3)]

    @shapes
    @pytest.mark.parametrize("pulls", [2, LENGTH + 1, LENGTH + 2])
    def test_an_index_error_of_the_consumer_is_his(
        self, flavour: SyncFlavour, shape: Any, pulls: int
    ) -> None:
        """Also at the last item before the end of the table, and at the first after it."""
        factory = flavour.generator(shape(lambda: numbers(LENGTH + 3)))
        stream = flavour.stream([factory, factory], mid_stream="skip", retry_on=IndexError)
        assert [flavour.next(stream) for _ in range(pulls)] == [*range(pulls)]
        thrown = IndexError("list index out of range")
        with pytest.raises(IndexError) as caught:
            flavour.throw(stream, thrown)
        assert caught.value is thrown
        assert flavour.drain(stream) == []

    @shapes
    @pytest.mark.parametrize("before", [1, 2, 3])
    def test_the_first_marker_of_all_is_not_counted(
        self, flavour: SyncFlavour, shape: Any, before: int
    ) -> None:
        """It comes out of a source that is counted already: it is no item, nor the last one."""
        told: list[Progress[Any]] = []

        def marked() -> Iterator[Any]:
            yield from range(before)
            yield Takeover("restart", "inside", OSError(), 0)
            raise reset()

        def rest(progress: Progress[Any]) -> Iterator[Any]:
            told.append(progress)
            yield "rest"

        factories = [flavour.generator(shape(marked)), flavour.generator(rest)]
        delivered = flavour.drain(flavour.stream(factories, mid_stream="resume"))
        assert type(delivered.pop(before)) is Takeover
        assert delivered == [*range(before), "rest"]
        assert [(each.delivered, each.last) for each in told] == [(before, before - 1)]

    @shapes
    def test_a_marker_between_is_not_counted(self, flavour: SyncFlavour, shape: Any) -> None:
        """Items go on to be counted after it, in this stream and in the next."""

        def marked() -> Iterator[Any]:
            yield from range(3)
            yield Takeover("restart", "inside", OSError(), 0)
            yield from range(3, 6)
            raise reset()

        for _ in range(2):
            second = flavour.generator(shape(lambda: numbers(8)))
            stream = flavour.stream([flavour.generator(shape(marked)), second], mid_stream="skip")
            delivered = flavour.drain(stream)
            assert type(delivered.pop(3)) is Takeover
            assert delivered == [*range(8)]

    @pytest.mark.parametrize(
        "made", [lambda mark: pickle.loads(pickle.dumps(mark)), copy.copy, copy.deepcopy]
    )
    def test_whatever_makes_a_marker_empties_the_table(
        self, flavour: SyncFlavour, made: Any
    ) -> None:
        """A copy and one that was pickled are markers too."""
        mark = Takeover("restart", "inside", None, 0)  # type: ignore[arg-type]  # errors are not equal
        AFTER.append(1)
        assert made(mark) == mark
        assert AFTER == []

    def test_what_is_sent_at_a_foreign_marker_reaches_the_source(
        self, flavour: SyncFlavour
    ) -> None:
        """Whether it is the first marker of the process or not."""
        for _ in range(2):
            got: list[Any] = []
            left = iter([1, Takeover("restart", "inside", OSError(), 0), 2])

            def pull(left: Iterator[Any] = left) -> Any:
                return next(left)

            def send(value: Any, got: list[Any] = got, left: Iterator[Any] = left) -> Any:
                got.append(value)
                return next(left)

            refill()
            source = flavour.iterator(pull, send=send)
            stream = flavour.stream([lambda source=source: source], on_event=lambda event: None)
            assert flavour.next(stream) == 1
            look_at_each_item()
            assert type(flavour.next(stream)) is Takeover
            assert flavour.send(stream, "answer") == 2
            assert got == ["answer"]
            flavour.close(stream)
