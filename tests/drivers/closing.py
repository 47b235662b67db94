"""Laws 9, 11 and 12, events and callbacks, written once for both drivers."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from drivers.threads import wait_until
from failover_iter import Closed, EmptyStream, Policy, Source
from support.flavour import Ends, SyncFlavour, Thing


def leave_by(flavour: SyncFlavour, stream: Any, how: str) -> None:
    """Let a stream come to its end in one of the ways; "drop" is left to the caller."""
    if how == "close":
        flavour.close(stream)
    elif how == "throw":
        with pytest.raises(KeyError):
            flavour.throw(stream, KeyError("mine"))
    elif how in ("end", "failure"):
        with pytest.raises((flavour.stop, ConnectionError)):
            flavour.next(stream)


class Closing(Behaviour):
    """How a stream ends, what it keeps and what it tells, on both drivers."""

    # Law 9, closing.

    def test_iterator_and_iterable_are_closed_once_each(self, flavour: SyncFlavour) -> None:
        """The iterator first, then the iterable that it came from; however the stream ends."""
        for leave in ("end", "failure", "close", "throw", "drop"):
            log: list[str] = []
            pulls = iter([1])

            def pull(leave: str = leave, pulls: Iterator[int] = pulls) -> Any:
                for item in pulls:
                    return item
                raise reset() if leave == "failure" else Ends

            iterator = flavour.iterator(pull, close=lambda log=log: log.append("iterator"))
            iterable = flavour.iterable(iterator, close=lambda log=log: log.append("iterable"))
            stream = flavour.stream([lambda iterable=iterable: iterable])
            assert flavour.next(stream) == 1
            leave_by(flavour, stream, leave)
            del stream
            flavour.settle()
            assert log == ["iterator", "iterable"], leave

    def test_what_has_no_close_is_left_alone(self, flavour: SyncFlavour) -> None:
        """An iterator without `close`, over an iterable without one, is fine."""
        pulls = iter([1])

        def pull() -> Any:
            for item in pulls:
                return item
            raise Ends

        stream = flavour.stream([lambda: flavour.iterable(flavour.iterator(pull))])
        assert flavour.drain(stream) == [1]

    def test_hands_off_with_close_false(self, flavour: SyncFlavour) -> None:
        """`Source(close=False)` closes nothing, at the end, after a failure, or by the consumer."""
        log: list[str] = []

        def opened() -> Any:
            iterator = flavour.iterator(lambda: 1, close=lambda: log.append("iterator"))
            return flavour.iterable(iterator, close=lambda: log.append("iterable"))

        stream = flavour.stream([Source(opened, close=False)])
        assert flavour.next(stream) == 1
        flavour.close(stream)
        assert log == []

    @pytest.mark.parametrize("leave", ["end", "failure", "close", "throw", "drop"])
    @pytest.mark.parametrize("one_object", [False, True])
    @pytest.mark.parametrize("timed", [False, True])
    def test_a_function_closes_what_the_factory_returned(
        self, flavour: SyncFlavour, leave: str, one_object: bool, timed: bool
    ) -> None:
        """Called once, instead of the object's `close`; another iterator object is closed first."""
        log: list[Any] = []
        pulls = iter([1])

        def pull() -> Any:
            for item in pulls:
                return item
            raise reset() if leave == "failure" else Ends

        opened = flavour.iterator(pull, close=lambda: log.append("iterator"))
        if not one_object:
            opened = flavour.iterable(opened, close=lambda: log.append("iterable"))
        source = Source(lambda: opened, close=lambda opened: log.append(type(opened).__name__))
        stream = flavour.stream([source], idle_timeout=60 if timed else None)
        assert flavour.next(stream) == 1
        leave_by(flavour, stream, leave)
        del stream
        flavour.settle()
        wait_until(lambda: log)  # a thread closes the source of a stream that was dropped
        assert log == (["Parts"] if one_object else ["iterator", "Iterable"])

    @pytest.mark.parametrize("timed", [False, True])
    def test_a_function_closes_a_generator_that_has_ended(
        self, flavour: SyncFlavour, timed: bool
    ) -> None:
        """There may be more to close than the generator itself."""
        log: list[str] = []

        @flavour.generator
        def source() -> Iterator[int]:
            yield 1

        stream = flavour.stream(
            [Source(source, close=lambda _: log.append("closed"))],
            idle_timeout=60 if timed else None,
        )
        assert (flavour.drain(stream), log) == ([1], ["closed"])

    def test_a_function_closes_nothing_that_was_not_opened(self, flavour: SyncFlavour) -> None:
        """A factory that fails has returned nothing."""
        log: list[object] = []

        def fails() -> Any:
            raise reset()

        with pytest.raises(ConnectionError):
            flavour.drain(flavour.stream([Source(fails, close=log.append)]))
        assert log == []

    def test_an_error_of_that_function_is_one_of_closing(self, flavour: SyncFlavour) -> None:
        """It is a note of a failure, and reaches a consumer who closes."""

        def close(_: object) -> None:
            raise OSError("closing")

        pulls = iter([1])

        def pull() -> Any:
            for item in pulls:
                return item
            raise reset()

        source = Source(lambda: flavour.iterator(pull), name="unit", close=close)
        with pytest.raises(ConnectionError) as caught:
            flavour.drain(flavour.stream([source]))
        assert "closing unit raised OSError: closing" in caught.value.__notes__
        stream = flavour.stream([Source(lambda: flavour.iterator(lambda: 1), close=close)])
        assert flavour.next(stream) == 1
        with pytest.raises(OSError, match="closing"):
            flavour.close(stream)

    def test_what_close_accepts(self) -> None:
        """True, False or a function."""
        wrong: Any = "cancel"
        with pytest.raises(TypeError, match=r"^Source\(close=...\) must be True, False or a func"):
            Source(list, close=wrong)

    def test_a_closing_error_reaches_a_closing_consumer(self, flavour: SyncFlavour) -> None:
        """From the iterator or from the iterable; the second of two becomes a note."""

        def fail(name: str) -> Any:
            def close() -> None:
                raise OSError(name)

            return close

        ok: Any = lambda: None  # noqa: E731
        for first, second, notes in (
            (fail("iterator"), ok, None),
            (ok, fail("iterable"), None),
            (fail("iterator"), fail("iterable"), ["closing source[0] raised OSError: iterable"]),
        ):
            iterator = flavour.iterator(lambda: 1, close=first)
            iterable = flavour.iterable(iterator, close=second)
            stream = flavour.stream([lambda iterable=iterable: iterable])
            assert flavour.next(stream) == 1
            with pytest.raises(OSError) as caught:
                flavour.close(stream)
            assert getattr(caught.value, "__notes__", None) == notes

    def test_an_error_on_its_way_keeps_a_closing_error_as_a_note(
        self, flavour: SyncFlavour
    ) -> None:
        """An error of closing the iterable does not replace the error that the consumer threw."""

        def close() -> None:
            raise OSError("closing")

        iterable = flavour.iterable(flavour.iterator(lambda: 1), close=close)
        stream = flavour.stream([lambda: iterable])
        assert flavour.next(stream) == 1
        with pytest.raises(KeyError) as caught:
            flavour.throw(stream, KeyError("mine"))
        assert caught.value.__notes__ == ["closing source[0] raised OSError: closing"]

    def test_an_interrupt_while_closing_goes_first(self, flavour: SyncFlavour) -> None:
        """A BaseException replaces the failure and other errors of closing."""

        def fails() -> Any:
            raise reset()

        def interrupt() -> None:
            raise KeyboardInterrupt

        def fail() -> None:
            raise OSError("closing")

        for first, second in ((interrupt, fail), (fail, interrupt)):
            iterator = flavour.iterator(fails, close=first)
            iterable = flavour.iterable(iterator, close=second)
            events: list[Any] = []
            stream = flavour.stream(
                [lambda iterable=iterable: iterable, self.source(flavour, 9)],
                on_event=events.append,
            )
            with pytest.raises(KeyboardInterrupt) as caught:
                flavour.next(stream)
            assert caught.value.__notes__ == ["closing source[0] raised OSError: closing"]
            assert type(events[-1]).__name__ == "Closed"

    # Law 11 and 12.

    def test_an_interrupt_while_closing_after_a_callback_is_reported(
        self, flavour: SyncFlavour
    ) -> None:
        """A callback raises, and closing the source is interrupted: the listener hears the end."""
        interrupt = KeyboardInterrupt()
        events: list[Any] = []

        def raises(*_: object) -> Any:
            raise interrupt if _ == () else LookupError("callback")

        stream = flavour.stream(
            [lambda: flavour.iterator(lambda: 1, close=raises)],
            commit_when=raises,
            on_event=events.append,
        )
        with pytest.raises(KeyboardInterrupt) as caught:
            flavour.next(stream)
        assert caught.value is interrupt
        assert isinstance(caught.value.__context__, LookupError)
        assert isinstance(events[-1], Closed)
        assert events[-1].error is interrupt

    def test_streams_of_one_policy_share_nothing(self, flavour: SyncFlavour) -> None:
        """Two streams of one policy, pulled in turn, each go their own way."""
        policy = Policy(retry_on=ConnectionError, mid_stream="skip", attempts=2)
        one = flavour.of(
            policy, [self.source(flavour, 1, 2, error=reset()), self.source(flavour, 1, 2, 3)]
        )
        two = flavour.of(
            policy, [self.source(flavour, 5, error=reset()), self.source(flavour, 5, 6, 7)]
        )
        assert [flavour.next(each) for _ in range(3) for each in (one, two)] == [1, 5, 2, 6, 3, 7]

    @pytest.mark.parametrize("mid_stream", [None, "raise", "skip"])
    @pytest.mark.parametrize("commit_when", [1, 3])
    def test_delivered_items_are_not_kept(
        self, flavour: SyncFlavour, mid_stream: Any, commit_when: int
    ) -> None:
        """Of what was delivered nothing is kept but at most the last item."""

        def things() -> Iterator[Thing]:
            for _ in range(6):
                yield Thing()

        stream = flavour.stream(
            [flavour.generator(things)], mid_stream=mid_stream, commit_when=commit_when
        )
        watched = [weakref.ref(flavour.next(stream)) for _ in range(5)]
        assert [ref() for ref in watched[:4]] == [None] * 4

    # Events.

    def test_order_on_a_failure(self, flavour: SyncFlavour) -> None:
        """Law 8: close the failed source, report the event, wait, open the next."""
        log: list[str] = []

        def fails() -> Any:
            raise reset()

        def opens() -> Any:
            log.append("open")
            return flavour.iterator(fails, close=lambda: log.append("close"))

        def wait(failed: Any) -> float:
            log.append("wait")
            return 0.5

        stream = flavour.stream(
            [opens], attempts=2, wait=wait, on_event=lambda event: log.append(type(event).__name__)
        )
        with pytest.raises(ConnectionError):
            flavour.next(stream)
        assert log == [
            *("Opening", "open", "close", "Failed", "wait", "Waiting"),
            *("Opening", "open", "close", "Failed", "Exhausted"),
        ]

    @pytest.mark.parametrize(
        "at", ["Opening", "Committed", "Failed", "Switched", "Completed", "Exhausted", "Closed"]
    )
    def test_a_listener_that_raises_is_heard(self, flavour: SyncFlavour, at: str) -> None:
        """Its error reaches the consumer, and what was open is closed."""
        log: list[str] = []

        def listener(event: Any) -> None:
            if type(event).__name__ == at:
                raise ZeroDivisionError(at)

        def opened() -> Any:
            log.append("open")
            return flavour.iterator(
                iter([1]).__next__ if False else pull, close=lambda: log.append("close")
            )

        pulls = [1]

        def pull() -> Any:
            if pulls:
                return pulls.pop()
            if at == "Completed":
                raise Ends
            raise reset()

        ends = at in ("Exhausted", "Completed", "Closed")
        sources = [opened] if ends else [opened, self.source(flavour, 9)]
        stream = flavour.stream(sources, on_event=listener, retry_on=ConnectionError)
        with pytest.raises(ZeroDivisionError, match=at):
            if at == "Closed":
                flavour.next(stream)
                flavour.close(stream)
            flavour.drain(stream)
        assert log in ([], ["open", "close"])

    def test_a_listener_does_not_hide_an_interrupt(self, flavour: SyncFlavour) -> None:
        """A KeyboardInterrupt goes on, and the error of the listener goes into its notes."""

        def interrupt() -> Any:
            raise KeyboardInterrupt

        def listener(event: Any) -> None:
            if type(event).__name__ == "Closed":
                raise ZeroDivisionError("listener")

        stream = flavour.stream([lambda: flavour.iterator(interrupt)], on_event=listener)
        with pytest.raises(KeyboardInterrupt) as caught:
            flavour.next(stream)
        assert "ZeroDivisionError: listener" in caught.value.__notes__[0]

    # Callbacks that look at items.

    @pytest.mark.parametrize("option", ["commit_when", "complete_when", "key", "retry_on", "wait"])
    def test_a_callback_that_raises_is_no_outage(self, flavour: SyncFlavour, option: str) -> None:
        """Its error reaches the consumer even where it matches `retry_on`; the source is closed."""
        closed: list[str] = []

        def broken(_: Any) -> Any:
            raise ConnectionError("callback")

        pulls = iter([1])

        def pull() -> Any:
            for item in pulls:
                return item
            raise Ends if option == "complete_when" else reset()

        from failover_iter import Skip

        options: dict[str, Any] = {option: broken}
        if option == "key":
            options = {"mid_stream": Skip(key=broken)}
        if option == "wait":
            options["attempts"] = 2
        iterator = flavour.iterator(pull, close=lambda: closed.append("closed"))
        stream = flavour.stream([lambda: iterator, self.source(flavour, 9)], **options)
        with pytest.raises(ConnectionError, match="callback") as caught:
            flavour.drain(stream)
        assert closed == ["closed"]
        if option in ("retry_on", "wait"):
            assert "reset" in str(caught.value.__context__)

    def test_empty_stream_names_what_was_missing(self, flavour: SyncFlavour) -> None:
        """No item at all, or none that committed."""
        with pytest.raises(EmptyStream, match="without an item"):
            flavour.drain(flavour.stream([self.source(flavour)], allow_empty=False))
        with pytest.raises(EmptyStream, match="commit_when"):
            flavour.drain(
                flavour.stream([self.source(flavour, 1)], allow_empty=False, commit_when=2)
            )
