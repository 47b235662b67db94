"""Laws 1 to 6 as far as a trace does not show them, written once for both drivers."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any
from weakref import ref

import pytest

from drivers.base import reset
from drivers.closing import Closing
from failover_iter import AllSourcesFailed, SourceError
from support.flavour import Ends, SyncFlavour


class Laws(Closing):
    """What holds for both drivers."""

    # Law 1, identity: the machines of tests/laws say more.

    def test_throwing_generator_exit_is_close(self, flavour: SyncFlavour) -> None:
        """`throw(GeneratorExit)` closes the source, and comes out again."""
        closed: list[str] = []
        iterator = flavour.iterator(lambda: 1, close=lambda: closed.append("closed"))
        stream = flavour.stream([lambda: iterator])
        assert flavour.next(stream) == 1
        with pytest.raises(GeneratorExit):
            flavour.throw(stream, GeneratorExit)
        assert closed == ["closed"]

    @pytest.mark.parametrize("leak", [StopIteration, StopAsyncIteration])
    def test_a_stop_that_leaks_from_a_factory_is_no_end(
        self, flavour: SyncFlavour, leak: Any
    ) -> None:
        """A StopIteration out of a factory is PEP 479's RuntimeError, and may cause a switch."""
        if flavour.name == "sync" and leak is StopAsyncIteration:
            pytest.skip("it ends no generator")

        def leaks() -> Any:
            raise leak

        with pytest.raises(RuntimeError, match=f"raised {leak.__name__}") as caught:
            flavour.next(flavour.stream([leaks]))
        assert isinstance(caught.value.__cause__, leak)
        assert flavour.drain(
            flavour.stream([leaks, self.source(flavour, 1)], retry_on=RuntimeError)
        ) == [1]

    def test_values_are_sent_to_the_source(self, flavour: SyncFlavour) -> None:
        """`send` reaches the source, and its answer is delivered."""
        iterator = flavour.iterator(lambda: "pulled", send=lambda value: f"answer to {value}")
        stream = flavour.stream([lambda: iterator])
        assert flavour.next(stream) == "pulled"
        assert flavour.send(stream, 1) == "answer to 1"
        assert flavour.send(stream, 2) == "answer to 2"
        assert flavour.next(stream) == "pulled"
        assert flavour.send(stream, 3) == "answer to 3"

    # Law 2, laziness.

    def test_nothing_happens_before_the_first_pull(self, flavour: SyncFlavour) -> None:
        """The call touches neither the factories nor the iterable that contains them."""
        touched: list[str] = []

        def factories() -> Iterator[Any]:
            touched.append("factories")
            yield self.source(flavour, 1)

        stream = flavour.stream(factories())
        assert touched == []
        assert flavour.next(stream) == 1
        assert touched == ["factories"]

    def test_the_next_factory_waits_for_the_failure_and_the_close(
        self, flavour: SyncFlavour
    ) -> None:
        """It is not even pulled from `factories` before the failed source was closed."""
        log: list[str] = []

        def fails() -> Any:
            raise reset()

        def factories() -> Iterator[Any]:
            log.append("first")
            yield lambda: flavour.iterator(fails, close=lambda: log.append("close"))
            log.append("second")
            yield self.source(flavour, 1)

        assert flavour.drain(flavour.stream(factories())) == [1]
        assert log == ["first", "close", "second"]

    def test_factories_may_be_endless(self, flavour: SyncFlavour) -> None:
        """An endless iterable of factories is read as far as is needed."""
        count = itertools.count()

        def source() -> Iterator[int]:
            if next(count) < 1000:
                raise reset()
            yield 1

        assert flavour.drain(flavour.stream(itertools.repeat(flavour.generator(source)))) == [1]

    def test_nothing_is_pulled_ahead(self, flavour: SyncFlavour) -> None:
        """An item is pulled when the consumer asks for it, and not before."""
        pulled = itertools.count()
        stream = flavour.stream([lambda: flavour.iterator(lambda: next(pulled))])
        assert [flavour.next(stream) for _ in range(3)] == [0, 1, 2]
        assert next(pulled) == 3

    # Law 4, transparency.

    def test_an_error_that_is_not_named_arrives_as_it_is(self, flavour: SyncFlavour) -> None:
        """The same object, with its context and cause, earlier failures in its notes."""
        cause, error = KeyError("cause"), ValueError("bug")
        error.__cause__ = cause
        sources = [self.source(flavour, 1, error=reset()), self.source(flavour, 2, error=error)]
        with pytest.raises(ValueError) as caught:
            flavour.drain(flavour.stream(sources))
        assert caught.value is error
        assert error.__cause__ is cause
        assert error.__context__ is None
        assert error.__notes__ == [
            "failure 1 before it: source (attempt 1): ConnectionError: reset by peer"
        ]

    def test_no_predicate_is_asked_about_what_is_no_exception(self, flavour: SyncFlavour) -> None:
        """KeyboardInterrupt goes through even where the predicate says yes to everything."""

        def pull() -> Any:
            raise KeyboardInterrupt

        def never() -> Any:
            pytest.fail("opened")

        closed: list[str] = []
        first = flavour.iterator(pull, close=lambda: closed.append("closed"))
        asked: list[BaseException] = []
        stream = flavour.stream([lambda: first, never], retry_on=lambda e: asked.append(e) or True)
        with pytest.raises(KeyboardInterrupt):
            flavour.next(stream)
        assert (closed, asked) == (["closed"], [])

    def test_a_predicate_is_asked_about_each_leaf(self, flavour: SyncFlavour) -> None:
        """A group matches when it does itself or when each leaf does."""

        def is_reset(error: Exception) -> bool:
            return "reset" in str(error) and not isinstance(error, ExceptionGroup)

        good = ExceptionGroup("g", [reset(), ExceptionGroup("in", [reset(), SourceError("x")])])
        bad = ExceptionGroup("g", [reset(), ExceptionGroup("in", [reset(), ValueError("bug")])])
        fallback = self.source(flavour, 1)
        sources = [self.source(flavour, error=good), fallback]
        assert flavour.drain(flavour.stream(sources, retry_on=is_reset)) == [1]
        with pytest.raises(ExceptionGroup) as caught:
            flavour.drain(
                flavour.stream([self.source(flavour, error=bad), fallback], retry_on=is_reset)
            )
        assert caught.value is bad

    # Law 5, blame.

    def test_what_the_consumer_throws_never_switches(self, flavour: SyncFlavour) -> None:
        """A retryable error thrown in goes to the source and out again."""
        opened: list[str] = []
        thrown = reset()
        stream = flavour.stream([self.source(flavour, 1, 2), lambda: opened.append("second")])
        assert flavour.next(stream) == 1
        with pytest.raises(ConnectionError) as caught:
            flavour.throw(stream, thrown)
        assert caught.value is thrown
        assert opened == []
        assert not hasattr(thrown, "__notes__")

    def test_an_error_that_answers_a_throw_is_the_consumers(self, flavour: SyncFlavour) -> None:
        """An error raised in answer to a throw never causes a switch, even if it is retryable."""
        answer = reset()

        def throw(*_: Any) -> Any:
            raise answer

        stream = flavour.stream(
            [lambda: flavour.iterator(lambda: 1, throw=throw), self.source(flavour, 9)]
        )
        assert flavour.next(stream) == 1
        with pytest.raises(ConnectionError) as caught:
            flavour.throw(stream, KeyError("mine"))
        assert caught.value is answer

    def test_after_an_answered_throw_the_source_is_to_blame_again(
        self, flavour: SyncFlavour
    ) -> None:
        """An item that answers a throw is delivered, and a later failure switches."""
        pulls = iter([1, 2])

        def pull() -> Any:
            for item in pulls:
                return item
            raise reset()

        first = flavour.iterator(pull, throw=lambda *_: "answer")
        stream = flavour.stream(
            [lambda: first, self.source(flavour, 1, 2, "answer", 3)], mid_stream="skip"
        )
        assert flavour.next(stream) == 1
        assert flavour.throw(stream, KeyError("mine")) == "answer"
        assert flavour.next(stream) == 2
        assert flavour.next(stream) == 3

    def test_a_throw_answered_by_the_end_ends_well(self, flavour: SyncFlavour) -> None:
        """The stream ends too, and is not judged by `complete_when`."""

        def throw(*_: Any) -> Any:
            raise Ends

        stream = flavour.stream(
            [lambda: flavour.iterator(lambda: 1, throw=throw), self.source(flavour, 9)],
            complete_when=lambda item: item == "never",
        )
        assert flavour.next(stream) == 1
        with pytest.raises(flavour.stop):
            flavour.throw(stream, KeyError("mine"))

    def test_a_failing_send_switches_and_is_not_repeated(self, flavour: SyncFlavour) -> None:
        """`send` is a pull like any other; the value is lost with the source it was sent to."""
        sent: list[Any] = []

        def send(value: Any) -> Any:
            sent.append(value)
            raise reset()

        second = flavour.iterator(
            lambda: "second", send=lambda value: sent.append(("second", value))
        )
        stream = flavour.stream([lambda: flavour.iterator(lambda: 1, send=send), lambda: second])
        assert flavour.next(stream) == 1
        assert flavour.send(stream, "value") == "second"
        assert sent == ["value"]

    def test_a_source_without_send_is_no_outage(self, flavour: SyncFlavour) -> None:
        """The AttributeError of PEP 380 is raised to the consumer, whatever `retry_on` says."""
        stream = flavour.stream(
            [lambda: flavour.iterator(lambda: 1), self.source(flavour, 9)], retry_on=Exception
        )
        assert flavour.next(stream) == 1
        with pytest.raises(AttributeError, match="send"):
            flavour.send(stream, "value")

    def test_no_value_can_be_sent_to_held_items(self, flavour: SyncFlavour) -> None:
        """The source is ahead of them: a TypeError, and the source is closed."""
        closed: list[str] = []
        iterator = flavour.iterator(
            lambda: 1, send=lambda v: v, close=lambda: closed.append("closed")
        )
        stream = flavour.stream(
            [lambda: iterator, self.source(flavour, 9)], retry_on=Exception, commit_when=2
        )
        assert flavour.next(stream) == 1
        with pytest.raises(TypeError, match="commit_when"):
            flavour.send(stream, "value")
        assert closed == ["closed"]

    def test_a_value_sent_to_the_last_held_item_reaches_the_source(
        self, flavour: SyncFlavour
    ) -> None:
        """The source stops being ahead once the last of them is delivered."""
        iterator = flavour.iterator(lambda: 1, send=lambda value: f"answer to {value}")
        stream = flavour.stream([lambda: iterator], commit_when=2)
        assert [flavour.next(stream), flavour.next(stream)] == [1, 1]
        assert flavour.send(stream, "value") == "answer to value"

    def test_a_value_sent_behind_the_end_is_ignored(self, flavour: SyncFlavour) -> None:
        """Where the source has ended behind the held items, the stream ends as on `next`."""
        stream = flavour.stream([self.source(flavour, 1, 2)], commit_when=9)
        assert [flavour.next(stream), flavour.next(stream)] == [1, 2]
        with pytest.raises(flavour.stop):
            flavour.send(stream, "value")

    def test_a_throw_discards_held_items(self, flavour: SyncFlavour) -> None:
        """An error thrown at a held item goes to the source; its answer comes next."""
        pulls = itertools.count()
        iterator = flavour.iterator(lambda: next(pulls), throw=lambda *_: "answer")
        stream = flavour.stream([lambda: iterator], commit_when=3)
        assert flavour.next(stream) == 0
        assert flavour.throw(stream, KeyError("mine")) == "answer"
        assert flavour.next(stream) == 3

    def test_a_marker_ignores_what_is_sent(self, flavour: SyncFlavour) -> None:
        """A value sent to a `Takeover` goes nowhere; what is thrown goes to the new source."""
        first = self.source(flavour, 1, error=reset())
        second = flavour.iterator(lambda: 2, send=lambda value: value, throw=lambda *_: "answer")
        for ask, expected in ((flavour.send, 2), (flavour.throw, "answer")):
            stream = flavour.stream([first, lambda: second], mark_takeovers=True)
            assert flavour.next(stream) == 1
            assert flavour.next(stream).mode == "restart"
            value = KeyError("mine") if ask == flavour.throw else "value"
            assert ask(stream, value) == expected
            assert flavour.next(stream) == 2

    # Law 6, exhaustion.

    def test_the_last_error_is_the_same_object(self, flavour: SyncFlavour) -> None:
        """Its type is kept, the earlier ones are told in its notes, in order."""
        errors = [reset(), SourceError("no good"), reset()]
        with pytest.raises(ConnectionError) as caught:
            flavour.drain(flavour.stream([self.source(flavour, error=error) for error in errors]))
        assert caught.value is errors[-1]
        assert errors[-1].__notes__ == [
            "failure 1 before it: source (attempt 1): ConnectionError: reset by peer",
            "failure 2 before it: source#2 (attempt 1): SourceError: no good",
        ]
        assert errors[-1].__context__ is None

    def test_a_group_holds_all_errors_in_order(self, flavour: SyncFlavour) -> None:
        """Under `on_exhausted="group"`, also where there was one source only."""
        errors = [reset(), SourceError("no good"), reset()]
        sources = [self.source(flavour, error=error) for error in errors]
        with pytest.raises(AllSourcesFailed) as caught:
            flavour.drain(flavour.stream(sources, on_exhausted="group"))
        assert list(caught.value.exceptions) == errors

    @pytest.mark.parametrize("how", ["ends", "fails", "thrown", "callback"])
    def test_an_error_of_closing_keeps_nothing_alive(self, flavour: SyncFlavour, how: str) -> None:
        """Its source is freed with it, without the collector, however the stream came to close."""
        sources: list[Any] = []
        options: dict[str, Any] = {}
        if how == "callback":
            options["commit_when"] = lambda item: 1 / 0

        def pull() -> int:
            if how in ("ends", "fails"):
                raise Ends if how == "ends" else ConnectionError
            return 1

        def close() -> None:
            raise ValueError

        def opened() -> Any:
            source = flavour.iterator(pull, close=close)
            sources.append(ref(source))
            return source

        gc.collect()
        gc.disable()
        try:
            stream = flavour.stream([opened], attempts=2, **options)
            thrown = how == "thrown"
            assert flavour.watched_error(stream, pulls=int(thrown), throw=thrown) is not None
            del stream
            assert sources
            assert [source() for source in sources if source() is not None] == []
        finally:
            gc.enable()

    @pytest.mark.parametrize(
        "how", ["last", "group", "transparent", "thrown", "callback", "closing"]
    )
    @pytest.mark.parametrize("keep", [False, True])
    def test_no_reference_cycle_is_left(self, flavour: SyncFlavour, how: str, keep: bool) -> None:
        """An error that left the stream is freed with its last reference, without the collector."""
        events: list[Any] = []
        options: dict[str, Any] = {"on_event": events.append} if keep else {}
        if how == "group":
            options["on_exhausted"] = "group"
        if how == "callback":
            options["commit_when"] = lambda item: 1 / 0
        error: type[Exception] = ValueError if how == "transparent" else ConnectionError

        def fails() -> Iterator[Any]:
            if how in ("thrown", "callback"):
                yield 1
            raise error

        def ends() -> None:
            raise Ends

        def fails_to_close() -> None:
            raise error

        source = flavour.generator(fails)
        if how == "closing":
            source = partial(flavour.iterator, ends, close=fails_to_close)
        gc.collect()
        gc.disable()
        try:
            stream = flavour.stream([source, source], attempts=2, **options)
            thrown = how == "thrown"
            watched = flavour.watched_error(stream, pulls=int(thrown), throw=thrown)
            del stream
            events.clear()
            options.clear()
            assert watched is not None
            assert watched() is None
        finally:
            gc.enable()
