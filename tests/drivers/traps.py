"""The traps that others fell into, one test each, written once for both drivers.

The numbers are those of the list in the design; its trap 4, twins that drift apart, is what the
whole folder is about, and is also held by `test_twins.py`.
"""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import Policy, SourceError
from support.case import Falsy
from support.twin import Ends, SyncTwin

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Traps(Behaviour):
    """What went wrong elsewhere; a test module names the twin that it runs on."""

    def test_trap_01_try_around_creation(self, twin: SyncTwin) -> None:
        """A lazy source fails when it is pulled, not when it is made: that switches too."""
        stream = twin.stream([self.source(twin, error=reset()), self.source(twin, 1)])
        assert twin.drain(stream) == [1]

    def test_trap_02_yield_inside_the_try(self, twin: SyncTwin) -> None:
        """A retryable error that the consumer throws opens no source."""
        opened: list[str] = []

        def fallback() -> Any:
            opened.append("fallback")
            return twin.iterator(lambda: 9)

        stream = twin.stream([lambda: twin.iterator(lambda: 1), fallback], attempts=2)
        twin.next(stream)
        with pytest.raises(ConnectionError):
            twin.throw(stream, reset())
        assert opened == []

    def test_trap_03_failed_source_left_open(self, twin: SyncTwin) -> None:
        """Every failed source is closed, and before the pause."""
        log: list[str] = []

        def fails() -> Any:
            raise reset()

        def opened() -> Any:
            log.append("open")
            return twin.iterator(fails, close=lambda: log.append("close"))

        def wait(_: Any) -> float:
            log.append("wait")
            return 1.0

        with pytest.raises(ConnectionError):
            twin.drain(twin.stream([opened], attempts=3, wait=wait))
        assert log == ["open", "close", "wait", "open", "close", "wait", "open", "close"]

    def test_trap_05_empty_source(self, twin: SyncTwin) -> None:
        """A source with nothing in it gives an empty stream, and no RuntimeError."""
        assert twin.drain(twin.stream([self.source(twin)])) == []

        def ends() -> Any:
            raise Ends

        assert twin.drain(twin.stream([lambda: twin.iterator(ends)])) == []

    def test_trap_06_errors_lost(self, twin: SyncTwin) -> None:
        """The last error arrives, and its notes name all the others."""
        errors = [ConnectionError(str(number)) for number in range(4)]
        with pytest.raises(ConnectionError) as caught:
            twin.drain(twin.stream([self.source(twin, error=error) for error in errors]))
        assert caught.value is errors[3]
        assert [note[-1] for note in caught.value.__notes__] == ["0", "1", "2"]

    def test_trap_07_state_on_the_configuration(self, twin: SyncTwin) -> None:
        """Attempts used up by one stream of a policy are not missing in the next."""
        policy = Policy(retry_on=ConnectionError, attempts=2)
        for _ in range(3):
            pulls = iter([reset(), None])

            def source(pulls: Iterator[Any] = pulls) -> Iterator[int]:
                if error := next(pulls):
                    raise error
                yield 1

            assert twin.drain(twin.of(policy, [twin.generator(source)])) == [1]

    def test_trap_08_silent_cut_and_empty_first_chunk(self, twin: SyncTwin) -> None:
        """An empty chunk commits to nothing, and a clean end in the middle is a failure."""
        dead = self.source(twin, "", error=reset())
        cut = self.source(twin, "a", "b")
        whole = self.source(twin, "a", "b", "END")
        stream = twin.stream(
            [dead, cut, whole],
            commit_when=lambda item: item != "",
            complete_when=lambda item: item == "END",
            mid_stream="skip",
        )
        assert twin.drain(stream) == ["a", "b", "END"]

    def test_trap_09_another_context(self, twin: SyncTwin) -> None:
        """The source runs in the context of the consumer: a variable that it sets is seen there."""
        if twin.flavour == "async":
            pytest.skip(
                "each step of this twin is a task: test_asyncio.py and test_trio.py show it"
            )
        seen: list[str] = []

        def source() -> Iterator[int]:
            token = variable.set("in the source")
            yield 1
            seen.append(variable.get())
            variable.reset(token)

        stream = twin.stream([source])
        twin.next(stream)
        assert variable.get() == "in the source"
        assert twin.drain(stream) == []
        assert (seen, variable.get()) == (["in the source"], "unset")

    def test_trap_10_break_leaves_the_source_open(self, twin: SyncTwin) -> None:
        """Closing the stream closes the source inside at once, without the collector."""
        closed: list[str] = []
        iterator = twin.iterator(lambda: 1, close=lambda: closed.append("closed"))
        stream = twin.stream([lambda: iterator])
        twin.next(stream)
        twin.close(stream)
        assert closed == ["closed"]

    def test_trap_11_endless_loop(self, twin: SyncTwin) -> None:
        """One source that always fails is opened once; and no bound needs a pause."""
        count = itertools.count()

        def fails() -> Any:
            next(count)
            raise reset()

        with pytest.raises(ConnectionError):
            twin.drain(twin.stream([fails]))
        assert next(count) == 1
        with pytest.raises(ValueError, match="attempts=None"):
            twin.stream([fails], attempts=None)

    def test_trap_11_endless_cycle_of_sources_that_may_not_take_over(self, twin: SyncTwin) -> None:
        """Sources that are all passed over end the stream, also in an endless cycle."""
        from failover_iter import Source

        first = self.source(twin, 1, error=reset())
        shy = Source(self.source(twin, 9), mid_stream="raise")
        with pytest.raises(ConnectionError):
            twin.drain(twin.stream(itertools.chain([first], itertools.cycle([shy]))))

    def test_trap_12_switch_after_the_consumer_left(self, twin: SyncTwin) -> None:
        """Nothing is opened once the stream was closed."""
        opened: list[str] = []

        def factories() -> Iterator[Any]:
            opened.append("first")
            yield lambda: twin.iterator(lambda: 1)
            opened.append("second")
            yield self.source(twin, 2)

        stream = twin.stream(factories())
        twin.next(stream)
        twin.close(stream)
        twin.close(stream)
        with pytest.raises(twin.stop):
            twin.next(stream)
        assert opened == ["first"]

    def test_trap_13_bug_taken_for_an_outage(self, twin: SyncTwin) -> None:
        """A TypeError in the source is nobody's outage unless it is named."""
        bug = TypeError("bug")
        with pytest.raises(TypeError) as caught:
            twin.drain(twin.stream([self.source(twin, error=bug), self.source(twin, 1)]))
        assert caught.value is bug

    def test_trap_14_retryable_error_in_a_finally_while_closing(self, twin: SyncTwin) -> None:
        """It reaches the consumer who closes or throws, and opens nothing."""
        opened: list[str] = []

        def close() -> None:
            raise reset()

        def fallback() -> Any:
            opened.append("fallback")
            return twin.iterator(lambda: 9)

        for leave in (twin.close, lambda stream: twin.throw(stream, GeneratorExit)):
            stream = twin.stream([lambda: twin.iterator(lambda: 1, close=close), fallback])
            twin.next(stream)
            with pytest.raises(ConnectionError):
                leave(stream)
        assert opened == []

    def test_trap_15_error_after_the_last_item(self, twin: SyncTwin) -> None:
        """There is nothing left to resume: the resumed source is empty, the stream ends."""
        asked: list[int] = []

        def rows(progress: Any) -> Iterator[int]:
            asked.append(progress.delivered)
            yield from [1, 2, 3][progress.delivered :]
            if not progress.delivered:
                raise reset()

        source = twin.generator(rows)
        assert twin.drain(twin.stream([source, source], mid_stream="resume")) == [1, 2, 3]
        assert asked == [0, 3]

    def test_trap_16_hostile_errors(self, twin: SyncTwin) -> None:
        """An error that is false, cannot be compared and cannot be shown is lost nowhere."""
        error = Falsy()
        sources = [self.source(twin, 1, error=error), self.source(twin, 2, error=error)]
        with pytest.raises(Falsy) as caught:
            twin.drain(twin.stream(sources, retry_on=Falsy))
        assert caught.value is error
        assert caught.value.__notes__ == [
            "failure 1 before it: source (attempt 1): Falsy: (its message cannot be shown)"
        ]

    def test_trap_16_a_predicate_that_raises(self, twin: SyncTwin) -> None:
        """Its error reaches the consumer, that of the source as its context, the source closed."""
        closed: list[str] = []
        outage = reset()

        def fails() -> Any:
            raise outage

        iterator = twin.iterator(fails, close=lambda: closed.append("closed"))
        with pytest.raises(ZeroDivisionError) as caught:
            twin.next(twin.stream([lambda: iterator], retry_on=lambda error: 1 / 0))
        assert caught.value.__context__ is outage
        assert closed == ["closed"]

    @pytest.mark.parametrize("how", ["sources", "attempts"])
    def test_trap_17_many_failures(self, twin: SyncTwin, how: str) -> None:
        """Failures in a row need constant stack and memory, and leave no chain of contexts."""

        def fails() -> Any:
            raise reset()

        def peak(count: int) -> int:
            stream = (
                twin.stream(itertools.repeat(fails, count))
                if how == "sources"
                else twin.stream([fails], attempts=count)
            )
            gc.collect()
            tracemalloc.start()
            with pytest.raises(ConnectionError) as caught:
                twin.next(stream)
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert caught.value.__context__ is None
            assert len(caught.value.__notes__) <= 33
            return used

        from support.runners import quiet

        with quiet():
            peak(200)
            assert peak(2_000) < 2 * peak(200) + 50_000

    def test_trap_18_clean_up_swallows_an_interrupt(self, twin: SyncTwin) -> None:
        """An interrupt that arrives while a failed source is closed is not swallowed."""
        opened: list[str] = []

        def fails() -> Any:
            raise reset()

        def interrupted() -> None:
            raise KeyboardInterrupt

        def fallback() -> Any:
            opened.append("fallback")
            return twin.iterator(lambda: 9)

        stream = twin.stream([lambda: twin.iterator(fails, close=interrupted), fallback])
        with pytest.raises(KeyboardInterrupt):
            twin.next(stream)
        assert opened == []

    def test_a_source_says_go_on(self, twin: SyncTwin) -> None:
        """A `SourceError` of the user's own switches, whatever `retry_on` says."""

        class NoGood(SourceError):
            pass

        stream = twin.stream(
            [self.source(twin, error=NoGood()), self.source(twin, 1)], retry_on=KeyError
        )
        assert twin.drain(stream) == [1]
