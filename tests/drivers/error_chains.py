"""What errors say and hold, for both drivers: their contexts, notes and frames."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import Policy, Skip, TruncatedStream
from support.flavour import Ends, SyncFlavour, Thing


class ErrorChains(Behaviour):
    """No error hides another or keeps it alive; a test module names the flavour."""

    def test_a_key_that_raises_stop_iteration(self, flavour: SyncFlavour) -> None:
        """It is an error of the callback, and never taken for the end of the source."""
        keys = iter(["only one"])
        stream = flavour.stream(
            [self.source(flavour, 1, 2, 3)], mid_stream=Skip(key=lambda item: next(keys))
        )
        assert flavour.next(stream) == 1
        with pytest.raises(RuntimeError, match="StopIteration"):
            flavour.next(stream)

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
