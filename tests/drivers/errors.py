"""Errors that belong to others, for both drivers: frozen, raised again, shared, being handled."""

from __future__ import annotations

import contextlib
import gc
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import Committed, Failed
from support.flavour import SyncFlavour


@dataclass(frozen=True)
class ApiError(Exception):
    """An error that is a frozen dataclass: none of its attributes can be assigned."""

    status: int


def raises_again(failed: Any) -> Any:
    """A listener, predicate or schedule that raises the very failure."""
    if isinstance(failed, Failed):
        raise failed.error
    if isinstance(failed, Exception):
        raise failed


class Errors(Behaviour):
    """Errors arrive as they were raised; a test module names the flavour."""

    @pytest.mark.parametrize("option", ["on_event", "retry_on", "wait"])
    def test_a_callback_may_raise_the_failure_again(
        self, flavour: SyncFlavour, option: str
    ) -> None:
        """The error is never its own context: whoever follows contexts would not come to an end."""
        error = reset()
        source = self.source(flavour, 1, error=error)
        stream = flavour.stream([source, source], **{option: raises_again}, attempts=3)
        with pytest.raises(ConnectionError) as caught, contextlib.ExitStack() as stack:
            stack.callback(lambda: flavour.drain(stream))
        assert caught.value is error
        assert error.__context__ is None

    @pytest.mark.parametrize("mode", ["restart", "resume", "raise"])
    @pytest.mark.parametrize("options", [{}, {"idle_timeout": 5}])
    def test_an_error_may_be_frozen(
        self, flavour: SyncFlavour, mode: Any, options: dict[str, Any]
    ) -> None:
        """It is survived, exhausts the stream, or passes through like any other error."""
        error = ApiError(503)
        first, last = self.taking(flavour, 1, error=error), self.taking(flavour, 2)
        for retry_on in (ApiError, OSError):
            survives = retry_on is ApiError and mode != "raise"
            for sources in ([first], [first, last]):
                stream = flavour.stream(sources, retry_on=retry_on, mid_stream=mode, **options)
                if survives and len(sources) == 2:
                    assert flavour.drain(stream) == [1, 2]
                    continue
                with pytest.raises(ApiError) as caught:
                    flavour.drain(stream)
                assert caught.value is error
                assert error.__context__ is None

    def test_a_frozen_error_may_be_thrown(self, flavour: SyncFlavour) -> None:
        """It reaches the consumer, whether the source takes it or has no `throw`."""
        error = ApiError(1)
        for factory in (self.source(flavour, 1, 2), lambda: flavour.iterator(lambda: 1)):
            stream = flavour.stream([factory])
            assert flavour.next(stream) == 1
            with pytest.raises(ApiError) as caught:
                flavour.throw(stream, error)
            assert caught.value is error

    def test_what_interrupts_the_closing_does_not_hide_the_failure(
        self, flavour: SyncFlavour
    ) -> None:
        """Ctrl-C while a failed source is closed: the failure is its context."""
        error = reset()

        def fails() -> Any:
            raise error

        def interrupts() -> Any:
            raise KeyboardInterrupt

        stream = flavour.stream([lambda: flavour.iterator(fails, close=interrupts)])
        with pytest.raises(KeyboardInterrupt) as caught:
            flavour.next(stream)
        assert caught.value.__context__ is error

    def test_a_callback_raises_and_the_closing_too(self, flavour: SyncFlavour) -> None:
        """The error of the callback reaches the consumer, with that of the closing in its notes."""

        def listener(event: Any) -> None:
            if isinstance(event, Committed):
                raise KeyError("listener")

        def closes() -> Any:
            raise reset()

        source = flavour.iterator(lambda: 1, close=closes)
        stream = flavour.stream([lambda: source], on_event=listener)
        with pytest.raises(KeyError) as caught:
            flavour.next(stream)
        assert "reset by peer" in "".join(caught.value.__notes__)

    def test_an_interrupt_after_an_answer_is_the_source_s_own(self, flavour: SyncFlavour) -> None:
        """Once a source has answered a throw with an item, the consumer causes nothing any more."""
        pulls = iter([1, KeyboardInterrupt()])

        def pull() -> Any:
            pulled = next(pulls)
            if isinstance(pulled, BaseException):
                raise pulled
            return pulled

        answers = flavour.iterator(pull, throw=lambda *_: 2)
        stream = flavour.stream([self.source(flavour, error=reset()), lambda: answers])
        assert [flavour.next(stream), flavour.throw(stream, ValueError())] == [1, 2]
        with pytest.raises(KeyboardInterrupt) as caught:
            flavour.next(stream)
        assert "reset by peer" in "".join(caught.value.__notes__)

    def taking(self, flavour: SyncFlavour, *items: Any, error: Exception | None = None) -> Any:
        """A source that may be called with a `Progress`."""

        def source(*_: object) -> Iterator[Any]:
            yield from items
            if error is not None:
                raise error

        return flavour.generator(source)

    def test_a_stop_that_leaks_from_iter(self, flavour: SyncFlavour) -> None:
        """It is PEP 479's `RuntimeError`, and a failure if `retry_on` lists that."""

        def stops() -> Any:
            def opened(_: object) -> Any:
                raise flavour.stop

            return type("Stops", (), {"__iter__": opened, "__aiter__": opened})()

        assert flavour.drain(
            flavour.stream([stops, self.source(flavour, 1)], retry_on=RuntimeError)
        ) == [1]
        with pytest.raises(RuntimeError, match=f"raised {flavour.stop.__name__}$") as caught:
            flavour.drain(flavour.stream([stops, self.source(flavour, 1)]))
        assert type(caught.value.__cause__) is flavour.stop

    @pytest.mark.parametrize("mode", ["restart", "skip", "resume"])
    def test_the_error_that_the_consumer_handles_keeps_its_traceback(
        self, flavour: SyncFlavour, mode: Any
    ) -> None:
        """A stream that is read in an `except` block cuts nothing off the error of that block."""

        def where_it_went_wrong() -> None:
            raise KeyError("the consumer's")

        sources = [self.taking(flavour, 1, error=reset()), self.taking(flavour, 1, 2)]
        with pytest.raises(KeyError) as caught:
            try:
                where_it_went_wrong()
            except KeyError:
                flavour.drain(flavour.stream(sources, mid_stream=mode))
                raise
        assert "where_it_went_wrong" in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("mode", ["restart", "resume"])
    def test_the_errors_of_a_group_keep_their_tracebacks(
        self, flavour: SyncFlavour, mode: Any
    ) -> None:
        """Each of them shows the source that raised it."""
        sources = [self.taking(flavour, 1, error=reset()) for _ in range(3)]
        with pytest.raises(ExceptionGroup) as caught:
            flavour.drain(flavour.stream(sources, mid_stream=mode, on_exhausted="group"))
        for error in caught.value.exceptions:
            names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            assert names[-1] == "source"

    def test_a_stream_closed_at_a_marker_leaves_no_cycle(self, flavour: SyncFlavour) -> None:
        """The stream, its frames and the survived error are freed without the collector."""
        sources = [self.source(flavour, 1, error=reset()), self.source(flavour, 1, 2)]

        def run() -> None:
            stream = flavour.stream(sources, mark_takeovers=True)
            assert flavour.next(stream) == 1
            # A variable with the marker would make the cycle: the error has a traceback, and the
            # frame of a generator that has ended holds that of its caller.
            assert flavour.next(stream).mode == "restart"
            flavour.close(stream)

        run()
        gc.collect()
        gc.disable()
        try:
            run()
            assert gc.collect() == 0
        finally:
            gc.enable()
