"""Corners that were once wrong, written once for both drivers."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import Decide, Policy, Progress, ReusedIterator, Skip, Source, TruncatedStream
from support.flavour import Ends, SyncFlavour, Thing


class Bug(ConnectionError):
    """Looks like an outage."""


class Corners(Behaviour):
    """What only a hostile reader finds; a test module names the flavour that it runs on."""

    def rows(self, flavour: SyncFlavour, *items: Any, fails: bool = False) -> Any:
        """A resumable source."""

        def rows(progress: Progress[Any]) -> Iterator[Any]:
            yield from items[progress.delivered :]
            if fails:
                raise reset()

        return flavour.generator(rows)

    def test_values_reach_the_source_after_a_marker_from_inside(self, flavour: SyncFlavour) -> None:
        """A marker ignores what is sent to it, and only that."""
        got: list[Any] = []
        good = flavour.iterator(lambda: "pulled", send=lambda value: got.append(value) or "sent")
        policy = Policy(retry_on=ConnectionError)
        inside = policy.source([self.source(flavour, 0, error=reset()), lambda: good])
        stream = flavour.of(policy, [inside], mark_takeovers=True)
        assert flavour.next(stream) == 0
        assert flavour.next(stream).mode == "restart"
        assert flavour.send(stream, "to the marker") == "pulled"
        assert [flavour.send(stream, 1), flavour.send(stream, 2)] == ["sent", "sent"]
        assert got == [1, 2]

    def test_a_value_sent_to_the_answer_of_a_throw_at_a_marker(self, flavour: SyncFlavour) -> None:
        """The answer is an item of the source, and takes values."""
        got: list[Any] = []
        good = flavour.iterator(
            lambda: "pulled", send=lambda value: got.append(value), throw=lambda *_: "answer"
        )
        stream = flavour.stream(
            [self.source(flavour, 0, error=reset()), lambda: good], mark_takeovers=True
        )
        assert flavour.next(stream) == 0
        flavour.next(stream)
        assert flavour.throw(stream, KeyError("mine")) == "answer"
        flavour.send(stream, "value")
        assert got == ["value"]

    def test_a_restart_inside_is_known_outside(self, flavour: SyncFlavour) -> None:
        """A later resume starts from the items since that restart; nothing is lost."""
        policy = Policy(
            retry_on=ConnectionError,
            mid_stream=Decide(lambda told: "restart" if told.total == 2 else "resume"),
        )
        a = self.rows(flavour, 1, 2, fails=True)
        b = self.rows(flavour, 1, 2, 3, fails=True)
        c = self.rows(flavour, *range(1, 7))
        flat = flavour.drain(flavour.of(policy, [a, b, c]))
        assert flat == [1, 2, 1, 2, 3, 4, 5, 6]
        assert flavour.drain(flavour.of(policy, [policy.source([a, b]), c])) == flat
        deep = policy.source([policy.source([a, b])])
        assert flavour.drain(flavour.of(policy, [deep, c])) == flat

    def test_markers_of_nested_streams_are_those_of_the_flat_one(
        self, flavour: SyncFlavour
    ) -> None:
        """How much a restart supersedes is the same, also after a restart inside."""
        policy = Policy(retry_on=ConnectionError)
        a, b = (self.source(flavour, *range(count), error=reset()) for count in (2, 3))
        c = self.source(flavour, *range(4))
        markers = [
            [(item.mode, item.delivered) for item in delivered if not isinstance(item, int)]
            for sources in ([a, b, c], [policy.source([a, b]), c], [a, policy.source([b, c])])
            for delivered in [flavour.drain(flavour.of(policy, sources, mark_takeovers=True))]
        ]
        assert markers == [[("restart", 2), ("restart", 3)]] * 3

    def test_sources_behind_those_that_are_passed_over(self, flavour: SyncFlavour) -> None:
        """However many may not take over, in a list or lazily, the next one that may is tried."""
        first, last = self.source(flavour, 1, error=reset()), self.source(flavour, 1, 2)
        shy = self.source(flavour, 9)

        def lazily() -> Iterator[Any]:
            yield first
            for number in range(5):
                yield Source(self.source(flavour, number), mid_stream="raise")
            yield last

        listed = [first, *[Source(shy, mid_stream="raise")] * 3, last]
        assert flavour.drain(flavour.stream(listed)) == [1, 1, 2]
        assert flavour.drain(flavour.stream(lazily())) == [1, 1, 2]

    def test_endless_sources_that_may_not_take_over(self, flavour: SyncFlavour) -> None:
        """All of them new, they end the stream too, and not the processor."""

        def lazily() -> Iterator[Any]:
            yield self.source(flavour, 1, error=reset())
            while True:
                yield Source(self.source(flavour, 9), mid_stream="raise")

        with pytest.raises(ConnectionError):
            flavour.drain(flavour.stream(lazily()))

    def test_a_key_that_raises_stop_iteration(self, flavour: SyncFlavour) -> None:
        """It is an error of the callback, and never taken for the end of the source."""
        keys = iter(["only one"])
        stream = flavour.stream(
            [self.source(flavour, 1, 2, 3)], mid_stream=Skip(key=lambda item: next(keys))
        )
        assert flavour.next(stream) == 1
        with pytest.raises(RuntimeError, match="StopIteration"):
            flavour.next(stream)

    def test_a_reused_iterator_is_noticed_inside(self, flavour: SyncFlavour) -> None:
        """A group knows that there was a failure before it."""
        used = self.source(flavour, 1, error=reset())()
        policy = Policy(retry_on=ConnectionError)
        stream = flavour.of(policy, [lambda: used, policy.source([lambda: used])])
        assert flavour.next(stream) == 1
        with pytest.raises(ReusedIterator):
            flavour.next(stream)

    @pytest.mark.parametrize("where", ["listener", "factories", "predicate", "commit_when"])
    def test_a_callback_inside_is_no_outage_outside(self, flavour: SyncFlavour, where: str) -> None:
        """Its error reaches the consumer, even if it looks like an outage."""

        def raises(*_: Any) -> Any:
            raise Bug(where)

        def factories() -> Iterator[Any]:
            raise Bug(where)
            yield

        class Again:
            def __iter__(self) -> Iterator[Any]:
                return factories()

        options: dict[str, Any] = {"retry_on": ConnectionError}
        sources: Any = [self.source(flavour, error=reset() if where == "predicate" else None)]
        match where:
            case "listener":
                options["on_event"] = raises
            case "predicate":
                options["retry_on"] = raises
            case "commit_when":
                options["commit_when"] = raises
                sources = [self.source(flavour, 1)]
            case _:
                sources = Again()
        inside = Policy(**options).source(sources)
        with pytest.raises(Bug, match=where):
            flavour.drain(flavour.stream([inside, self.source(flavour, 9)]))

    @pytest.mark.parametrize("how", ["resume", "mark_takeovers", "nested"])
    def test_failures_of_long_streams_are_let_go(self, flavour: SyncFlavour, how: str) -> None:
        """Their errors do not hold on to each other by way of frames and arguments."""
        alive: weakref.WeakSet[Any] = weakref.WeakSet()
        count = itertools.count()

        def flaky(progress: Any = None) -> Iterator[int]:
            thing = Thing()  # what a failed source had open
            alive.add(thing)
            yield next(count)
            raise reset()

        source = flavour.generator(flaky)
        options: dict[str, Any] = {"retry_on": ConnectionError, "attempts": 300}
        if how == "mark_takeovers":
            options["mark_takeovers"] = True
        if how == "resume":
            options["mid_stream"] = "resume"
        sources = [source]
        if how == "nested":
            sources = [Policy(retry_on=ConnectionError).source([source])]
        gc.collect()
        gc.disable()
        try:
            stream = flavour.stream(sources, **options)
            with pytest.raises(ConnectionError):
                flavour.drain(stream)
            del stream
            # `Progress.failures` keeps the first and the last 16 errors, tracebacks and all.
            assert len(alive) <= (33 if how == "resume" else 3)
        finally:
            gc.enable()

    def test_a_survived_error_is_let_go(self, flavour: SyncFlavour) -> None:
        """Once the next source delivers, nothing is left of the failed one."""
        seen: list[weakref.ref[Thing]] = []

        def fails() -> Iterator[int]:
            thing = Thing()
            seen.append(weakref.ref(thing))
            yield 1
            raise reset()

        stream = flavour.stream([flavour.generator(fails), self.source(flavour, 1, 2, 3)])
        assert [flavour.next(stream) for _ in range(3)] == [1, 1, 2]
        gc.collect()
        assert seen[0]() is None

    def test_an_error_keeps_its_own_context(self, flavour: SyncFlavour) -> None:
        """Also where the consumer is handling another error when it arrives."""
        if flavour.name == "async":
            pytest.skip("this flavour raises it once more: test_asyncio.py shows it")

        def late() -> Iterator[int]:
            yield 1
            try:
                raise KeyError("cause")
            except KeyError:
                raise ConnectionError("late")  # noqa: B904 (the context is what is tested)

        for retry_on in (ConnectionError, ValueError):
            stream = flavour.stream([flavour.generator(late)], retry_on=retry_on)
            assert flavour.next(stream) == 1
            try:
                raise LookupError("of the consumer")
            except LookupError:
                with pytest.raises(ConnectionError) as caught:
                    flavour.next(stream)
            assert isinstance(caught.value.__context__, KeyError)

    def test_a_throw_leaves_no_context_behind(self, flavour: SyncFlavour) -> None:
        """An error that a source raises after it has handled a throw does not mention the throw."""

        def pull() -> Any:
            raise ValueError("unrelated")

        def throw(*_: Any) -> Any:
            raise ValueError("unrelated")

        iterator = flavour.iterator(iter([1]).__next__, throw=throw)
        stream = flavour.stream([lambda: iterator])
        assert flavour.next(stream) == 1
        with pytest.raises(ValueError, match="unrelated") as caught:
            flavour.throw(stream, KeyError("handled"))
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("at", ["Failed", "Closed"])
    def test_a_listener_that_raises_hides_no_error(self, flavour: SyncFlavour, at: str) -> None:
        """The reported error is its context, and the error of closing is in its notes."""

        def listener(event: Any) -> None:
            if type(event).__name__ == at:
                raise ZeroDivisionError

        def ends() -> Any:
            raise Ends

        def close() -> None:
            raise OSError("closing")

        iterator = flavour.iterator(ends, close=close)
        complete = (lambda item: False) if at == "Failed" else None
        stream = flavour.stream([lambda: iterator], on_event=listener, complete_when=complete)
        with pytest.raises(ZeroDivisionError) as caught:
            flavour.drain(stream)
        assert isinstance(caught.value.__context__, TruncatedStream if at == "Failed" else OSError)

    def test_a_closing_error_is_not_lost_by_a_listener(self, flavour: SyncFlavour) -> None:
        """If the consumer closes and both fail, a note on the listener's error names the other."""

        def listener(event: Any) -> None:
            if type(event).__name__ == "Closed":
                raise ZeroDivisionError

        def close() -> None:
            raise OSError("closing")

        iterable = flavour.iterable(flavour.iterator(lambda: 1), close=close)
        stream = flavour.stream([lambda: iterable], on_event=listener)
        assert flavour.next(stream) == 1
        with pytest.raises(ZeroDivisionError) as caught:
            flavour.close(stream)
        assert caught.value.__notes__ == ["closing source[0] raised OSError: closing"]

    def test_a_closing_error_tells_of_the_failures_before(self, flavour: SyncFlavour) -> None:
        """Also where it is the consumer who closes."""

        def close() -> None:
            raise OSError("closing")

        iterable = flavour.iterable(flavour.iterator(lambda: 1), close=close)
        stream = flavour.stream([self.source(flavour, error=reset()), lambda: iterable])
        assert flavour.next(stream) == 1
        with pytest.raises(OSError, match="closing") as caught:
            flavour.close(stream)
        assert len(caught.value.__notes__) == 1

    def test_nested_failures_are_counted_on(self, flavour: SyncFlavour) -> None:
        """Each failure has its own number, so that no two notes are the same."""
        policy = Policy(retry_on=ConnectionError)
        down = self.source(flavour, error=reset())
        notes = []
        for sources in ([down, down, down], [down, policy.source([down, down])]):
            with pytest.raises(ConnectionError) as caught:
                flavour.drain(flavour.of(policy, sources))
            notes.append(sorted(caught.value.__notes__))
            del caught.value.__notes__
        assert len(notes[0]) == 2
        assert set(notes[0]) <= set(notes[1])

    @pytest.mark.parametrize("mid_stream", ["restart", "skip"])
    def test_failures_in_a_row_are_counted_outside_too(
        self, flavour: SyncFlavour, mid_stream: Any
    ) -> None:
        """A group that yields nothing does not end the series of failures."""
        rows: list[int] = []

        def wait(failed: Any) -> float:
            rows.append(failed.consecutive)
            return 0.0

        policy = Policy(retry_on=ConnectionError, mid_stream=mid_stream)
        dead = policy.source([self.source(flavour, error=reset())])
        sources = [
            self.source(flavour, 1, error=reset()),
            Source(dead.factory, attempts=4, wait=wait),
        ]
        with pytest.raises(ConnectionError):
            flavour.drain(flavour.of(policy, sources))
        assert rows == [2, 3, 4]

    def test_a_lazy_source_with_a_pause_of_its_own(self, flavour: SyncFlavour) -> None:
        """It sees how many items were delivered before."""
        seen: list[Any] = []

        def wait(failed: Any) -> float:
            seen.append(failed.delivered)
            return 0.0

        lazy = iter(
            [
                self.source(flavour, 1, error=reset()),
                Source(self.source(flavour, error=reset()), wait=wait, attempts=2),
                self.source(flavour, 2),
            ]
        )
        assert flavour.drain(flavour.stream(lazy)) == [1, 2]
        assert seen == [1]

    def test_reset_on_progress_beside_a_source_that_is_passed_over(
        self, flavour: SyncFlavour
    ) -> None:
        """The option is the stream's, and has no meaning for that source."""
        shy = Source(self.source(flavour, 9), mid_stream="raise")
        sources = [self.source(flavour, 1, error=reset()), shy, self.source(flavour, 1, 2)]
        stream = flavour.stream(sources, mid_stream="skip", reset_on_progress=True, attempts=1)
        with pytest.raises(ConnectionError):
            flavour.drain(
                flavour.stream([sources[0], shy], mid_stream="skip", reset_on_progress=False)
            )
        assert flavour.next(stream) == 1

    def test_the_flavour_of_nested_sources_is_seen_at_the_call(self, flavour: SyncFlavour) -> None:
        """One that belongs to the other flavour is refused before the outage."""

        def plain() -> Iterator[int]:
            yield 1

        async def other() -> Any:
            yield 1

        wrong = other if flavour.name == "sync" else plain
        inside = Policy(retry_on=OSError).source([wrong])
        with pytest.raises(TypeError, match="use a?failover_stream"):
            flavour.stream([self.source(flavour, 1), inside])

    def test_raise_inside_is_about_the_items_of_that_stream(self, flavour: SyncFlavour) -> None:
        """Items of the outer stream are not its items."""
        careful = Policy(retry_on=ConnectionError, mid_stream="raise")
        inside = careful.source([self.source(flavour, error=reset()), self.source(flavour, 1, 2)])
        stream = flavour.stream([self.source(flavour, 1, error=reset()), inside])
        assert flavour.drain(stream) == [1, 1, 2]

    def test_a_pause_that_is_interrupted_tells_of_the_failure(self, flavour: SyncFlavour) -> None:
        """It is the only hint of the outage that there is."""
        if flavour.name == "async":
            pytest.skip("a cancellation says nothing: test_asyncio.py")
        stream = flavour.stream([self.source(flavour, error=reset())], attempts=2, wait=1)

        def interrupted(_: float) -> None:
            raise KeyboardInterrupt

        flavour.clock.sleep = interrupted  # type: ignore[method-assign]  # Ctrl-C
        with pytest.raises(KeyboardInterrupt) as caught:
            flavour.next(stream)
        assert "reset by peer" in caught.value.__notes__[0]

    def test_what_is_no_exception_out_of_closing_reaches_the_consumer(
        self, flavour: SyncFlavour
    ) -> None:
        """Also after a good end, where nothing else is on its way; no further source is opened."""

        class Stop(BaseException):
            """The last lines of a program."""

        left = iter([1])

        def pull() -> Any:
            for item in left:
                return item
            raise Ends

        def close() -> None:
            raise Stop

        source = flavour.iterator(pull, close=close)
        stream = flavour.stream([lambda: source, self.source(flavour, 2)], retry_on=Exception)
        assert flavour.next(stream) == 1
        with pytest.raises(Stop):
            flavour.next(stream)
        assert flavour.drain(stream) == []
