"""The known bugs of other libraries, one test each, written once for both drivers.

The numbers are those of the list in the design. Its number 4, flavours that drift apart, is what
the whole folder is about; `test_flavours.py` checks it too.
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
from failover_iter import Policy, Progress, Resume, Skip, SourceError
from support.case import Falsy
from support.flavour import Ends, SyncFlavour

variable: ContextVar[str] = ContextVar("variable", default="unset")


class KnownBugs(Behaviour):
    """What went wrong elsewhere; a test module names the flavour that it runs on."""

    def test_known_bug_01_try_around_creation(self, flavour: SyncFlavour) -> None:
        """A lazy source fails when it is pulled, not when it is made: that switches too."""
        stream = flavour.stream([self.source(flavour, error=reset()), self.source(flavour, 1)])
        assert flavour.drain(stream) == [1]

    def test_known_bug_02_yield_inside_the_try(self, flavour: SyncFlavour) -> None:
        """A retryable error that the consumer throws opens no source."""
        opened: list[str] = []

        def fallback() -> Any:
            opened.append("fallback")
            return flavour.iterator(lambda: 9)

        stream = flavour.stream([lambda: flavour.iterator(lambda: 1), fallback], attempts=2)
        flavour.next(stream)
        with pytest.raises(ConnectionError):
            flavour.throw(stream, reset())
        assert opened == []

    def test_known_bug_03_failed_source_left_open(self, flavour: SyncFlavour) -> None:
        """Every failed source is closed, and before the pause."""
        log: list[str] = []

        def fails() -> Any:
            raise reset()

        def opened() -> Any:
            log.append("open")
            return flavour.iterator(fails, close=lambda: log.append("close"))

        def wait(_: Any) -> float:
            log.append("wait")
            return 1.0

        with pytest.raises(ConnectionError):
            flavour.drain(flavour.stream([opened], attempts=3, wait=wait))
        assert log == ["open", "close", "wait", "open", "close", "wait", "open", "close"]

    def test_known_bug_05_empty_source(self, flavour: SyncFlavour) -> None:
        """An empty source makes an empty stream, not a RuntimeError."""
        assert flavour.drain(flavour.stream([self.source(flavour)])) == []

        def ends() -> Any:
            raise Ends

        assert flavour.drain(flavour.stream([lambda: flavour.iterator(ends)])) == []

    def test_known_bug_06_errors_lost(self, flavour: SyncFlavour) -> None:
        """The last error arrives, and its notes name all the others."""
        errors = [ConnectionError(str(number)) for number in range(4)]
        with pytest.raises(ConnectionError) as caught:
            flavour.drain(flavour.stream([self.source(flavour, error=error) for error in errors]))
        assert caught.value is errors[3]
        assert [note[-1] for note in caught.value.__notes__] == ["0", "1", "2"]

    def test_known_bug_07_state_on_the_configuration(self, flavour: SyncFlavour) -> None:
        """Attempts used up by one stream of a policy are not missing in the next."""
        policy = Policy(retry_on=ConnectionError, attempts=2)
        for _ in range(3):
            pulls = iter([reset(), None])

            def source(pulls: Iterator[Any] = pulls) -> Iterator[int]:
                if error := next(pulls):
                    raise error
                yield 1

            assert flavour.drain(flavour.of(policy, [flavour.generator(source)])) == [1]

    def test_known_bug_08_silent_cut_and_empty_first_chunk(self, flavour: SyncFlavour) -> None:
        """An empty chunk commits to nothing, and a clean end in the middle is a failure."""
        dead = self.source(flavour, "", error=reset())
        cut = self.source(flavour, "a", "b")
        whole = self.source(flavour, "a", "b", "END")
        stream = flavour.stream(
            [dead, cut, whole],
            commit_when=lambda item: item != "",
            complete_when=lambda item: item == "END",
            mid_stream="skip",
        )
        assert flavour.drain(stream) == ["a", "b", "END"]

    def test_known_bug_09_another_context(self, flavour: SyncFlavour) -> None:
        """The source runs in the context of the consumer: a variable that it sets is seen there."""
        if flavour.name == "async":
            pytest.skip(
                "each step of this flavour is a task: test_asyncio.py and test_trio.py show it"
            )
        seen: list[str] = []

        def source() -> Iterator[int]:
            token = variable.set("in the source")
            yield 1
            seen.append(variable.get())
            variable.reset(token)

        stream = flavour.stream([source])
        flavour.next(stream)
        assert variable.get() == "in the source"
        assert flavour.drain(stream) == []
        assert (seen, variable.get()) == (["in the source"], "unset")

    def test_known_bug_10_break_leaves_the_source_open(self, flavour: SyncFlavour) -> None:
        """Closing the stream closes the source inside at once, without the collector."""
        closed: list[str] = []
        iterator = flavour.iterator(lambda: 1, close=lambda: closed.append("closed"))
        stream = flavour.stream([lambda: iterator])
        flavour.next(stream)
        flavour.close(stream)
        assert closed == ["closed"]

    def test_known_bug_11_endless_loop(self, flavour: SyncFlavour) -> None:
        """One source that always fails is opened once; and no bound needs a pause."""
        count = itertools.count()

        def fails() -> Any:
            next(count)
            raise reset()

        with pytest.raises(ConnectionError):
            flavour.drain(flavour.stream([fails]))
        assert next(count) == 1
        with pytest.raises(ValueError, match="attempts=None"):
            flavour.stream([fails], attempts=None)

    def test_known_bug_11_endless_cycle_of_sources_that_may_not_take_over(
        self, flavour: SyncFlavour
    ) -> None:
        """Sources that are all passed over end the stream, also in an endless cycle."""
        from failover_iter import Source

        first = self.source(flavour, 1, error=reset())
        shy = Source(self.source(flavour, 9), mid_stream="raise")
        with pytest.raises(ConnectionError):
            flavour.drain(flavour.stream(itertools.chain([first], itertools.cycle([shy]))))

    def test_known_bug_12_switch_after_the_consumer_left(self, flavour: SyncFlavour) -> None:
        """Nothing is opened once the stream was closed."""
        opened: list[str] = []

        def factories() -> Iterator[Any]:
            opened.append("first")
            yield lambda: flavour.iterator(lambda: 1)
            opened.append("second")
            yield self.source(flavour, 2)

        stream = flavour.stream(factories())
        flavour.next(stream)
        flavour.close(stream)
        flavour.close(stream)
        with pytest.raises(flavour.stop):
            flavour.next(stream)
        assert opened == ["first"]

    def test_known_bug_13_bug_taken_for_an_outage(self, flavour: SyncFlavour) -> None:
        """A TypeError in the source is nobody's outage unless it is named."""
        bug = TypeError("bug")
        with pytest.raises(TypeError) as caught:
            flavour.drain(
                flavour.stream([self.source(flavour, error=bug), self.source(flavour, 1)])
            )
        assert caught.value is bug

    def test_known_bug_14_retryable_error_in_a_finally_while_closing(
        self, flavour: SyncFlavour
    ) -> None:
        """It reaches the consumer who closes or throws, and opens nothing."""
        opened: list[str] = []

        def close() -> None:
            raise reset()

        def fallback() -> Any:
            opened.append("fallback")
            return flavour.iterator(lambda: 9)

        for leave in (flavour.close, lambda stream: flavour.throw(stream, GeneratorExit)):
            stream = flavour.stream([lambda: flavour.iterator(lambda: 1, close=close), fallback])
            flavour.next(stream)
            with pytest.raises(ConnectionError):
                leave(stream)
        assert opened == []

    def test_known_bug_15_error_after_the_last_item(self, flavour: SyncFlavour) -> None:
        """There is nothing left to resume: the resumed source is empty, the stream ends."""
        asked: list[int] = []

        def rows(progress: Any) -> Iterator[int]:
            asked.append(progress.delivered)
            yield from [1, 2, 3][progress.delivered :]
            if not progress.delivered:
                raise reset()

        source = flavour.generator(rows)
        assert flavour.drain(flavour.stream([source, source], mid_stream="resume")) == [1, 2, 3]
        assert asked == [0, 3]

    def test_known_bug_16_hostile_errors(self, flavour: SyncFlavour) -> None:
        """An error that is false, cannot be compared and cannot be shown is lost nowhere."""
        error = Falsy()
        sources = [self.source(flavour, 1, error=error), self.source(flavour, 2, error=error)]
        with pytest.raises(Falsy) as caught:
            flavour.drain(flavour.stream(sources, retry_on=Falsy))
        assert caught.value is error
        assert caught.value.__notes__ == [
            "failure 1 before it: source (attempt 1): Falsy: (its message cannot be shown)"
        ]

    def test_known_bug_16_a_predicate_that_raises(self, flavour: SyncFlavour) -> None:
        """Its error reaches the consumer, that of the source as its context, the source closed."""
        closed: list[str] = []
        outage = reset()

        def fails() -> Any:
            raise outage

        iterator = flavour.iterator(fails, close=lambda: closed.append("closed"))
        with pytest.raises(ZeroDivisionError) as caught:
            flavour.next(flavour.stream([lambda: iterator], retry_on=lambda error: 1 / 0))
        assert caught.value.__context__ is outage
        assert closed == ["closed"]

    @pytest.mark.parametrize("how", ["sources", "attempts"])
    def test_known_bug_17_many_failures(self, flavour: SyncFlavour, how: str) -> None:
        """Failures in a row need constant stack and memory, and leave no chain of contexts."""

        def fails() -> Any:
            raise reset()

        def peak(count: int) -> int:
            stream = (
                flavour.stream(itertools.repeat(fails, count))
                if how == "sources"
                else flavour.stream([fails], attempts=count)
            )
            gc.collect()
            tracemalloc.start()
            with pytest.raises(ConnectionError) as caught:
                flavour.next(stream)
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert caught.value.__context__ is None
            assert len(caught.value.__notes__) <= 33
            return used

        from support.runners import quiet

        with quiet():
            peak(200)
            assert peak(1_200) < 2 * peak(200) + 50_000

    def test_known_bug_18_clean_up_swallows_an_interrupt(self, flavour: SyncFlavour) -> None:
        """An interrupt that arrives while a failed source is closed is not swallowed."""
        opened: list[str] = []

        def fails() -> Any:
            raise reset()

        def interrupted() -> None:
            raise KeyboardInterrupt

        def fallback() -> Any:
            opened.append("fallback")
            return flavour.iterator(lambda: 9)

        stream = flavour.stream([lambda: flavour.iterator(fails, close=interrupted), fallback])
        with pytest.raises(KeyboardInterrupt):
            flavour.next(stream)
        assert opened == []

    @pytest.mark.parametrize("commit_when", [1, 2, 3])
    def test_known_bug_19_position_counted_where_items_are_yielded(
        self, flavour: SyncFlavour, commit_when: int
    ) -> None:
        """Items that were held and discarded are not delivered, so the next attempt yields them."""

        def source(progress: Progress[int]) -> Iterator[int]:
            for number in range(progress.cursor, 9):
                yield number
                if len(progress.failures) < 3 and number >= 2 * len(progress.failures):
                    raise reset()

        stream = flavour.stream(
            [flavour.generator(source)],
            attempts=4,
            commit_when=commit_when,
            mid_stream=Resume(start=0, advance=lambda _, item: item + 1),
        )
        assert flavour.drain(stream) == [*range(9)]

    @pytest.mark.parametrize("data", [b"abcdefghij", "abcdefghij"])
    def test_known_bug_20_chunk_boundaries_taken_for_positions(
        self, flavour: SyncFlavour, data: Any
    ) -> None:
        """Two sources cut the same content differently."""
        threes = [data[at : at + 3] for at in range(0, 6, 3)]
        fours = [data[at : at + 4] for at in range(0, 10, 4)]
        sources = [self.source(flavour, *threes, error=reset()), self.source(flavour, *fours)]
        stream = flavour.stream(sources, mid_stream=Skip(size=len))
        assert data[:0].join(flavour.drain(stream)) == data

    @pytest.mark.parametrize(
        ("first", "other", "size"),
        [("é", "éx", lambda text: len(text.encode())), ([1, 2], [1, 2, 3], sum)],
    )
    def test_a_size_that_slices_do_not_count(
        self, flavour: SyncFlavour, first: Any, other: Any, size: Any
    ) -> None:
        """A slice would cut elsewhere than where the stream stopped: nothing is lost silently."""
        sources = [self.source(flavour, first, error=reset()), self.source(flavour, other)]
        stream = flavour.stream(sources, mid_stream=Skip(size=size))
        with pytest.raises(TypeError, match="the function of size must count what a slice counts"):
            flavour.drain(stream)

    @pytest.mark.parametrize("items", [[0, 1, 2], ["", "a"], [None, False, 3]])
    def test_known_bug_21_a_falsy_last_item_starts_over(
        self, flavour: SyncFlavour, items: list[Any]
    ) -> None:
        """`Progress.delivered` says whether there was one, and the cursor where to go on."""

        def source(progress: Progress[Any]) -> Iterator[Any]:
            assert progress.delivered == progress.cursor
            yield items[progress.delivered]
            if progress.delivered + 1 < len(items):
                raise reset()

        stream = flavour.stream(
            [flavour.generator(source)] * 3,
            mid_stream=Resume(start=0, advance=lambda cursor, _: cursor + 1),
        )
        assert flavour.drain(stream) == items

    def test_a_source_says_go_on(self, flavour: SyncFlavour) -> None:
        """A `SourceError` of the user's own switches, whatever `retry_on` says."""

        class NoGood(SourceError):
            pass

        stream = flavour.stream(
            [self.source(flavour, error=NoGood()), self.source(flavour, 1)], retry_on=KeyError
        )
        assert flavour.drain(stream) == [1]
