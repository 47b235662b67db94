"""Laws 1 to 6 as far as a trace does not show them, written once for both drivers."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.base import reset
from drivers.closing import Closing
from failover_iter import AllSourcesFailed, SourceError
from support.twin import Ends, SyncTwin


class Laws(Closing):
    """What holds for both drivers."""

    # Law 1, identity: the machines of tests/laws say more.

    def test_throwing_generator_exit_is_close(self, twin: SyncTwin) -> None:
        """`throw(GeneratorExit)` closes the source, and comes out again."""
        closed: list[str] = []
        iterator = twin.iterator(lambda: 1, close=lambda: closed.append("closed"))
        stream = twin.stream([lambda: iterator])
        assert twin.next(stream) == 1
        with pytest.raises(GeneratorExit):
            twin.throw(stream, GeneratorExit)
        assert closed == ["closed"]

    @pytest.mark.parametrize("leak", [StopIteration, StopAsyncIteration])
    def test_a_stop_that_leaks_from_a_factory_is_no_end(self, twin: SyncTwin, leak: Any) -> None:
        """A StopIteration out of a factory is PEP 479's RuntimeError, and may cause a switch."""
        if twin.flavour == "sync" and leak is StopAsyncIteration:
            pytest.skip("it ends no generator")

        def leaks() -> Any:
            raise leak

        with pytest.raises(RuntimeError, match=f"raised {leak.__name__}") as caught:
            twin.next(twin.stream([leaks]))
        assert isinstance(caught.value.__cause__, leak)
        assert twin.drain(twin.stream([leaks, self.source(twin, 1)], retry_on=RuntimeError)) == [1]

    def test_values_are_sent_to_the_source(self, twin: SyncTwin) -> None:
        """`send` reaches the source, and its answer is delivered."""
        iterator = twin.iterator(lambda: "pulled", send=lambda value: f"answer to {value}")
        stream = twin.stream([lambda: iterator])
        assert twin.next(stream) == "pulled"
        assert twin.send(stream, 1) == "answer to 1"
        assert twin.send(stream, 2) == "answer to 2"
        assert twin.next(stream) == "pulled"
        assert twin.send(stream, 3) == "answer to 3"

    # Law 2, laziness.

    def test_nothing_happens_before_the_first_pull(self, twin: SyncTwin) -> None:
        """Neither the factories nor the iterable that they stand in are touched at the call."""
        touched: list[str] = []

        def factories() -> Iterator[Any]:
            touched.append("factories")
            yield self.source(twin, 1)

        stream = twin.stream(factories())
        assert touched == []
        assert twin.next(stream) == 1
        assert touched == ["factories"]

    def test_the_next_factory_waits_for_the_failure_and_the_close(self, twin: SyncTwin) -> None:
        """It is not even pulled from `factories` before the failed source was closed."""
        log: list[str] = []

        def fails() -> Any:
            raise reset()

        def factories() -> Iterator[Any]:
            log.append("first")
            yield lambda: twin.iterator(fails, close=lambda: log.append("close"))
            log.append("second")
            yield self.source(twin, 1)

        assert twin.drain(twin.stream(factories())) == [1]
        assert log == ["first", "close", "second"]

    def test_factories_may_be_endless(self, twin: SyncTwin) -> None:
        """An endless iterable of factories is read as far as is needed."""
        count = itertools.count()

        def source() -> Iterator[int]:
            if next(count) < 1000:
                raise reset()
            yield 1

        assert twin.drain(twin.stream(itertools.repeat(twin.generator(source)))) == [1]

    def test_nothing_is_pulled_ahead(self, twin: SyncTwin) -> None:
        """An item is pulled when the consumer asks for it, and not before."""
        pulled = itertools.count()
        stream = twin.stream([lambda: twin.iterator(lambda: next(pulled))])
        assert [twin.next(stream) for _ in range(3)] == [0, 1, 2]
        assert next(pulled) == 3

    # Law 4, transparency.

    def test_an_error_that_is_not_named_arrives_as_it_is(self, twin: SyncTwin) -> None:
        """The same object, with its context and cause, earlier failures in its notes."""
        cause, error = KeyError("cause"), ValueError("bug")
        error.__cause__ = cause
        sources = [self.source(twin, 1, error=reset()), self.source(twin, 2, error=error)]
        with pytest.raises(ValueError) as caught:
            twin.drain(twin.stream(sources))
        assert caught.value is error
        assert error.__cause__ is cause
        assert error.__context__ is None
        assert error.__notes__ == [
            "failure 1 before it: source (attempt 1): ConnectionError: reset by peer"
        ]

    def test_no_predicate_is_asked_about_what_is_no_exception(self, twin: SyncTwin) -> None:
        """KeyboardInterrupt goes through even where the predicate says yes to everything."""

        def pull() -> Any:
            raise KeyboardInterrupt

        def never() -> Any:
            pytest.fail("opened")

        closed: list[str] = []
        first = twin.iterator(pull, close=lambda: closed.append("closed"))
        asked: list[BaseException] = []
        stream = twin.stream([lambda: first, never], retry_on=lambda e: asked.append(e) or True)
        with pytest.raises(KeyboardInterrupt):
            twin.next(stream)
        assert (closed, asked) == (["closed"], [])

    def test_a_predicate_is_asked_about_each_leaf(self, twin: SyncTwin) -> None:
        """A group matches when it does itself or when each leaf does."""

        def is_reset(error: Exception) -> bool:
            return "reset" in str(error) and not isinstance(error, ExceptionGroup)

        good = ExceptionGroup("g", [reset(), ExceptionGroup("in", [reset(), SourceError("x")])])
        bad = ExceptionGroup("g", [reset(), ExceptionGroup("in", [reset(), ValueError("bug")])])
        fallback = self.source(twin, 1)
        sources = [self.source(twin, error=good), fallback]
        assert twin.drain(twin.stream(sources, retry_on=is_reset)) == [1]
        with pytest.raises(ExceptionGroup) as caught:
            twin.drain(twin.stream([self.source(twin, error=bad), fallback], retry_on=is_reset))
        assert caught.value is bad

    # Law 5, blame.

    def test_what_the_consumer_throws_never_switches(self, twin: SyncTwin) -> None:
        """A retryable error thrown in goes to the source and out again."""
        opened: list[str] = []
        thrown = reset()
        stream = twin.stream([self.source(twin, 1, 2), lambda: opened.append("second")])
        assert twin.next(stream) == 1
        with pytest.raises(ConnectionError) as caught:
            twin.throw(stream, thrown)
        assert caught.value is thrown
        assert opened == []
        assert not hasattr(thrown, "__notes__")

    def test_an_error_that_answers_a_throw_is_the_consumers(self, twin: SyncTwin) -> None:
        """What comes out of a throw never switches, also when it is another, retryable error."""
        answer = reset()

        def throw(*_: Any) -> Any:
            raise answer

        stream = twin.stream([lambda: twin.iterator(lambda: 1, throw=throw), self.source(twin, 9)])
        assert twin.next(stream) == 1
        with pytest.raises(ConnectionError) as caught:
            twin.throw(stream, KeyError("mine"))
        assert caught.value is answer

    def test_after_an_answered_throw_the_source_is_to_blame_again(self, twin: SyncTwin) -> None:
        """An item that answers a throw is delivered, and a later failure switches."""
        pulls = iter([1, 2])

        def pull() -> Any:
            for item in pulls:
                return item
            raise reset()

        first = twin.iterator(pull, throw=lambda *_: "answer")
        stream = twin.stream(
            [lambda: first, self.source(twin, 1, 2, "answer", 3)], mid_stream="skip"
        )
        assert twin.next(stream) == 1
        assert twin.throw(stream, KeyError("mine")) == "answer"
        assert twin.next(stream) == 2
        assert twin.next(stream) == 3

    def test_a_throw_answered_by_the_end_ends_well(self, twin: SyncTwin) -> None:
        """The stream ends too, and is not judged by `complete_when`."""

        def throw(*_: Any) -> Any:
            raise Ends

        stream = twin.stream(
            [lambda: twin.iterator(lambda: 1, throw=throw), self.source(twin, 9)],
            complete_when=lambda item: item == "never",
        )
        assert twin.next(stream) == 1
        with pytest.raises(twin.stop):
            twin.throw(stream, KeyError("mine"))

    def test_a_failing_send_switches_and_is_not_repeated(self, twin: SyncTwin) -> None:
        """`send` is a pull like any other; the value is lost with the source it was sent to."""
        sent: list[Any] = []

        def send(value: Any) -> Any:
            sent.append(value)
            raise reset()

        second = twin.iterator(lambda: "second", send=lambda value: sent.append(("second", value)))
        stream = twin.stream([lambda: twin.iterator(lambda: 1, send=send), lambda: second])
        assert twin.next(stream) == 1
        assert twin.send(stream, "value") == "second"
        assert sent == ["value"]

    def test_a_source_without_send_is_no_outage(self, twin: SyncTwin) -> None:
        """The AttributeError of PEP 380 is the consumer's, whatever `retry_on` says."""
        stream = twin.stream(
            [lambda: twin.iterator(lambda: 1), self.source(twin, 9)], retry_on=Exception
        )
        assert twin.next(stream) == 1
        with pytest.raises(AttributeError, match="send"):
            twin.send(stream, "value")

    def test_no_value_can_be_sent_to_held_items(self, twin: SyncTwin) -> None:
        """The source is ahead of them: a TypeError, and the source is closed."""
        closed: list[str] = []
        iterator = twin.iterator(lambda: 1, send=lambda v: v, close=lambda: closed.append("closed"))
        stream = twin.stream(
            [lambda: iterator, self.source(twin, 9)], retry_on=Exception, commit_when=2
        )
        assert twin.next(stream) == 1
        with pytest.raises(TypeError, match="commit_when"):
            twin.send(stream, "value")
        assert closed == ["closed"]

    def test_a_value_sent_to_the_last_held_item_reaches_the_source(self, twin: SyncTwin) -> None:
        """With the last of them handed out the source is no longer ahead."""
        iterator = twin.iterator(lambda: 1, send=lambda value: f"answer to {value}")
        stream = twin.stream([lambda: iterator], commit_when=2)
        assert [twin.next(stream), twin.next(stream)] == [1, 1]
        assert twin.send(stream, "value") == "answer to value"

    def test_a_value_sent_behind_the_end_is_ignored(self, twin: SyncTwin) -> None:
        """Where the source has ended behind the held items, the stream ends as on `next`."""
        stream = twin.stream([self.source(twin, 1, 2)], commit_when=9)
        assert [twin.next(stream), twin.next(stream)] == [1, 2]
        with pytest.raises(twin.stop):
            twin.send(stream, "value")

    def test_a_throw_discards_held_items(self, twin: SyncTwin) -> None:
        """What is thrown at a held item goes to the source; its answer comes next."""
        pulls = itertools.count()
        iterator = twin.iterator(lambda: next(pulls), throw=lambda *_: "answer")
        stream = twin.stream([lambda: iterator], commit_when=3)
        assert twin.next(stream) == 0
        assert twin.throw(stream, KeyError("mine")) == "answer"
        assert twin.next(stream) == 3

    def test_a_marker_ignores_what_is_sent(self, twin: SyncTwin) -> None:
        """A value sent to a `Takeover` goes nowhere; what is thrown goes to the new source."""
        first = self.source(twin, 1, error=reset())
        second = twin.iterator(lambda: 2, send=lambda value: value, throw=lambda *_: "answer")
        for ask, expected in ((twin.send, 2), (twin.throw, "answer")):
            stream = twin.stream([first, lambda: second], mark_takeovers=True)
            assert twin.next(stream) == 1
            assert twin.next(stream).mode == "restart"
            value = KeyError("mine") if ask == twin.throw else "value"
            assert ask(stream, value) == expected
            assert twin.next(stream) == 2

    # Law 6, exhaustion.

    def test_the_last_error_is_the_same_object(self, twin: SyncTwin) -> None:
        """Its type is kept, the earlier ones are told in its notes, in order."""
        errors = [reset(), SourceError("no good"), reset()]
        with pytest.raises(ConnectionError) as caught:
            twin.drain(twin.stream([self.source(twin, error=error) for error in errors]))
        assert caught.value is errors[-1]
        assert errors[-1].__notes__ == [
            "failure 1 before it: source (attempt 1): ConnectionError: reset by peer",
            "failure 2 before it: source (attempt 1): SourceError: no good",
        ]
        assert errors[-1].__context__ is None

    def test_a_group_holds_all_errors_in_order(self, twin: SyncTwin) -> None:
        """Under `on_exhausted="group"`, also where there was one source only."""
        errors = [reset(), SourceError("no good"), reset()]
        sources = [self.source(twin, error=error) for error in errors]
        with pytest.raises(AllSourcesFailed) as caught:
            twin.drain(twin.stream(sources, on_exhausted="group"))
        assert list(caught.value.exceptions) == errors

    @pytest.mark.parametrize("how", ["last", "group", "transparent", "thrown", "callback"])
    @pytest.mark.parametrize("keep", [False, True])
    def test_no_reference_cycle_is_left(self, twin: SyncTwin, how: str, keep: bool) -> None:
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

        source = twin.generator(fails)
        gc.collect()
        gc.disable()
        try:
            stream = twin.stream([source, source], attempts=2, **options)
            thrown = how == "thrown"
            watched = twin.watched_error(stream, pulls=int(thrown), throw=thrown)
            del stream
            events.clear()
            options.clear()
            assert watched is not None
            assert watched() is None
        finally:
            gc.enable()
