"""Counting, for both drivers: how much was delivered is known at any point, whatever happens."""

from __future__ import annotations

import ctypes
import signal
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import Decide, Policy, Progress, Resume, Skip, Takeover, TruncatedStream
from support.flavour import Ends, SyncFlavour

shapes = pytest.mark.parametrize("shape", ["plain", "valued", "list", "map", "class"])
#: Items before the failure. The first one is held, and does not come out of the pipeline.
counts = pytest.mark.parametrize("count", [0, 1, 2, 1000, 5000])


class Soft(Exception):
    """Raised by a signal handler, as a soft time limit does; `retry_on` lists it."""


class Item:
    """An item that a weak reference can watch."""

    def __init__(self, number: int) -> None:
        self.n = number


def numbered(item: Any) -> int:
    return getattr(item, "n", item)  # type: ignore[no-any-return]  # an int either way


def numbers(start: int, count: int, error: BaseException | None) -> Iterator[int]:
    yield from range(start, count)
    if error is not None:
        raise error


class Counting(Behaviour):
    """The count is exact; a test module names the flavour."""

    def factory(self, flavour: SyncFlavour, shape: str, count: int, *, fails: bool = True) -> Any:
        """A source of so many numbers, of one of the shapes; a list ends instead of failing."""

        def opened(progress: Progress[Any] = Progress()) -> Any:
            error, start = (reset() if fails else None), progress.delivered
            pull = numbers(start, count, error).__next__
            match shape:
                case "list" if flavour.name == "sync":
                    return iter([*range(start, count)])
                case "map" if flavour.name == "sync":
                    return map(int, numbers(start, count, error))
                case _:
                    return flavour.iterator(lambda: self.next_of(pull))

        def valued(progress: Progress[Any] = Progress()) -> Any:
            return (yield from numbers(progress.delivered, count, reset() if fails else None))

        def plain(progress: Progress[Any] = Progress()) -> Any:
            for number in numbers(progress.delivered, count, reset() if fails else None):
                yield number

        generators: dict[str, Callable[..., Any]] = {"plain": plain, "valued": valued}
        return flavour.generator(generators[shape]) if shape in generators else opened

    def next_of(self, pull: Callable[[], Any]) -> Any:
        try:
            return pull()
        except StopIteration:
            raise Ends from None

    @pytest.mark.parametrize(
        "options", [{}, {"complete_when": lambda _: True}, {"mid_stream": "resume"}]
    )
    def test_no_item_is_alive_but_the_last_one(
        self, flavour: SyncFlavour, options: dict[str, Any]
    ) -> None:
        """The stream lets go of an item when it delivers the next one, the held one included."""
        alive = weakref.WeakSet[Item]()

        def source(*_: object) -> Iterator[Item]:
            for number in range(9):
                item = Item(number)
                alive.add(item)
                yield item
                del item

        stream = flavour.stream([flavour.generator(source)], **options)
        for number in range(9):
            assert flavour.next(stream).n == number
            assert {item.n for item in alive} <= {number}
        flavour.close(stream)

    @shapes
    @counts
    @pytest.mark.parametrize("keep", [0, 2, None])
    def test_what_was_delivered_is_known_at_a_failure(
        self, flavour: SyncFlavour, shape: str, count: int, keep: int | None
    ) -> None:
        """The next source gets the count, the last item, and as many items as it asked for."""
        seen: list[Progress[Any]] = []

        def rest(progress: Progress[Any]) -> Iterator[Any]:
            seen.append(progress)
            yield "rest"

        factories = [self.factory(flavour, shape, count), flavour.generator(rest)]
        # A list iterator cannot fail: it is cut.
        options = {"complete_when": lambda item: item == "rest"} if shape == "list" else {}
        stream = flavour.stream(factories, mid_stream=Resume(keep=keep), **options)
        assert flavour.drain(stream) == [*range(count), "rest"]
        [progress] = seen
        assert (progress.delivered, progress.total) == (count, count)
        assert progress.last == (count - 1 if count else None)
        kept = min(count, count if keep is None else keep)
        assert progress.items == tuple(range(count - kept, count))
        assert type(progress.failures[0].error) in (ConnectionError, TruncatedStream)

    @shapes
    @counts
    def test_events_count_the_items(self, flavour: SyncFlavour, shape: str, count: int) -> None:
        """Without an option that keeps items, the events have the count too."""
        events: list[Any] = []
        stream = flavour.stream([self.factory(flavour, shape, count)] * 2, on_event=events.append)
        if shape == "list" and flavour.name == "sync":
            assert flavour.drain(stream) == [*range(count)]
            assert events[-1].delivered == count
        else:
            with pytest.raises(ConnectionError):
                flavour.drain(stream)
            failed = [event.delivered for event in events if type(event).__name__ == "Failed"]
            assert failed == [count, 2 * count]

    @shapes
    @pytest.mark.parametrize("pulls", [1, 2, 3, 1000])
    def test_what_was_delivered_is_known_when_the_consumer_leaves(
        self, flavour: SyncFlavour, shape: str, pulls: int
    ) -> None:
        """`Closed` has the number of items that the consumer got, and not one more."""
        events: list[Any] = []
        factory = self.factory(flavour, shape, 2000, fails=False)
        stream = flavour.stream([factory], on_event=events.append)
        assert [flavour.next(stream) for _ in range(pulls)] == [*range(pulls)]
        flavour.close(stream)
        assert (type(events[-1]).__name__, events[-1].delivered) == ("Closed", pulls)

    @shapes
    @counts
    @pytest.mark.parametrize("key", [None, str])
    def test_as_much_is_skipped_as_was_delivered(
        self, flavour: SyncFlavour, shape: str, count: int, key: Any
    ) -> None:
        """Each item arrives once, whether keys are compared or not."""
        first = self.factory(flavour, "class" if shape == "list" else shape, count)
        second = self.factory(flavour, shape, 2 * count, fails=False)
        stream = flavour.stream([lambda: first(), lambda: second()], mid_stream=Skip(key=key))
        assert flavour.drain(stream) == [*range(2 * count)]

    @pytest.mark.parametrize("held", [0, 1])
    def test_an_answer_to_send_or_throw_is_an_item(self, flavour: SyncFlavour, held: int) -> None:
        """It counts, it is the last item, and it is in the digest."""
        seen: list[Progress[Any]] = []
        left = iter(range(2 - held))

        def pull() -> Any:
            for number in left:
                return number
            raise reset()

        def decides(progress: Progress[Any]) -> Any:
            seen.append(progress)
            return "skip"

        parts = {"send": lambda value: value, "throw": lambda *_: "thrown"}
        first = flavour.iterator(pull, **parts)
        again = [*range(2 - held), "sent", "thrown", "more"]
        second = flavour.generator(lambda progress: (item for item in again))
        stream = flavour.stream(
            [lambda progress: first, second], mid_stream=Decide(decides, keep=2, key=str)
        )
        assert [flavour.next(stream) for _ in range(2 - held)] == again[: 2 - held]
        assert flavour.send(stream, "sent") == "sent"
        assert flavour.throw(stream, KeyError("answered")) == "thrown"
        assert flavour.drain(stream) == ["more"]
        assert [each.items for each in seen] == [("sent", "thrown")]
        assert [each.delivered for each in seen] == [4 - held]

    @pytest.mark.parametrize("how", ["send", "throw"])
    def test_a_key_that_raises_for_an_answer(self, flavour: SyncFlavour, how: str) -> None:
        """It is an error of the callback, even if `retry_on` lists it."""

        def key(item: Any) -> str:
            if item == "answer":
                raise ConnectionError("key")
            return str(item)

        source = flavour.iterator(
            iter(range(9)).__next__, send=lambda _: "answer", throw=lambda *_: "answer"
        )
        stream = flavour.stream([lambda: source, self.source(flavour, 9)], mid_stream=Skip(key=key))
        assert [flavour.next(stream), flavour.next(stream)] == [0, 1]
        with pytest.raises(ConnectionError, match="key"):
            getattr(flavour, how)(stream, ValueError())
        assert flavour.drain(stream) == []

    def test_a_takeover_object_of_a_source_is_an_item(self, flavour: SyncFlavour) -> None:
        """It counts and takes values; the marker of the stream itself does neither."""
        foreign = Takeover("restart", "elsewhere", OSError(), 0)
        seen: list[Progress[Any]] = []
        sent: list[Any] = []

        def rest(progress: Progress[Any]) -> Iterator[Any]:
            seen.append(progress)
            yield from ("rest", "end")

        items = iter([1, foreign, 2, foreign])

        def pull() -> Any:
            for item in items:
                return item
            raise reset()

        def send(value: Any) -> Any:
            sent.append(value)
            return pull()

        first = flavour.iterator(pull, send=send)
        stream = flavour.stream(
            [lambda progress: first, flavour.generator(rest)],
            mid_stream="resume",
            mark_takeovers=True,
        )
        assert [flavour.next(stream), flavour.next(stream)] == [1, foreign]
        assert [flavour.send(stream, "value"), flavour.next(stream)] == [2, foreign]
        marker = flavour.next(stream)
        assert (marker.mode, marker.source, marker.delivered) == ("resume", "rest", 4)
        assert flavour.send(stream, "ignored") == "rest"
        assert flavour.drain(stream) == ["end"]
        assert [(each.delivered, each.last) for each in seen] == [(4, foreign)]
        assert sent == ["value"]

    def test_a_group_is_counted_as_the_flat_list(self, flavour: SyncFlavour) -> None:
        """Six levels count what one level counts."""
        for depth in (0, 6):
            seen: list[int] = []

            def rest(progress: Progress[Any], seen: list[int] = seen) -> Iterator[Any]:
                seen.append(progress.delivered)
                yield "rest"

            policy = Policy(retry_on=ConnectionError, mid_stream="resume")
            sources: list[Any] = [self.factory(flavour, "class", 1000)]
            for _ in range(depth):
                sources = [policy.source(sources)]
            stream = flavour.of(policy, [*sources, flavour.generator(rest)])
            assert len(flavour.drain(stream)) == 1001
            assert seen == [1000]

    # A signal handler that raises, wherever the interpreter lets it.

    @pytest.mark.parametrize("mode", [Resume(keep=0), Resume(keep=3), "skip", Skip(key=numbered)])
    @pytest.mark.parametrize("shape", ["plain", "class"])
    @pytest.mark.parametrize("trips_at", range(6))
    def test_a_signal_handler_that_raises_loses_no_item(
        self, flavour: SyncFlavour, mode: Any, shape: str, trips_at: int
    ) -> None:
        """The error fails the attempt or reaches the consumer; each item arrives once, in order."""
        refs: list[Any] = []

        def items(progress: Progress[Any] = Progress()) -> Iterator[Item]:
            for number in range(progress.delivered, 10):
                item = Item(number)
                if number == trips_at and not refs:
                    refs.append(weakref.ref(item, trip))
                yield item
                del item

        def opened(*progress: Any) -> Any:
            pull = items(*progress).__next__
            return flavour.iterator(lambda: self.next_of(pull))

        resumes = isinstance(mode, Resume)
        factory = flavour.generator(items) if shape == "plain" else opened
        called = factory if resumes else lambda: factory()
        stream = flavour.stream([called], mid_stream=mode, retry_on=Soft, attempts=3)
        got: list[int] = []
        with handler_that_raises():
            try:
                self.drain_into(got, flavour, stream)
                assert got == [*range(10)]
            except Soft:  # it has ended the stream, unless it came in the consumer's own code
                got += [item.n for item in flavour.drain(stream)]
                assert got == [*range(len(got))]
        assert refs

    def drain_into(self, got: list[int], flavour: SyncFlavour, stream: Any) -> None:
        """Note each item at once, so that the handler cannot raise before that in our code."""
        if flavour.name == "sync":
            got.extend(map(attrgetter("n"), stream))  # in C
            return

        async def drain() -> None:
            async for item in stream:
                got.append(item.n)
                del item

        flavour.run(drain())  # type: ignore[attr-defined]  # of the async flavour

    @pytest.mark.parametrize("calls", [1, 2, 3, 5])
    def test_a_signal_handler_that_raises_in_a_key(self, flavour: SyncFlavour, calls: int) -> None:
        """A key is not part of the source: its error ends the stream, and reaches the consumer."""
        made: list[int] = []

        def key(item: int) -> int:
            made.append(item)
            if len(made) == calls:
                signal.raise_signal(signal.SIGINT)
            return item

        first = self.factory(flavour, "plain", 8, fails=False)
        stream = flavour.stream([lambda: first()] * 3, mid_stream=Skip(key=key), retry_on=Soft)
        got: list[int] = []
        with handler_that_raises(), pytest.raises(Soft):
            while True:
                got.append(flavour.next(stream))
        assert got == [*range(calls - 1)]
        assert flavour.drain(stream) == []


@contextmanager
def handler_that_raises() -> Iterator[None]:
    """SIGINT raises `Soft` here."""

    def handler(*_: object) -> None:
        raise Soft

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


#: Sends SIGINT from C: its handler runs at the next check of the interpreter, not before.
trip = ctypes.pythonapi["PyErr_SetInterrupt"]
trip.argtypes, trip.restype = [ctypes.py_object], None
