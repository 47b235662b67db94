"""`expect_items`, for both drivers: neither fewer items nor more."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import (
    Bookmark,
    Decide,
    DivergedStream,
    Failed,
    Policy,
    Resume,
    Source,
    TruncatedStream,
)
from support.flavour import Ends, SyncFlavour


class Expected(Behaviour):
    """The number of items is that of a complete stream; a test module names the flavour."""

    def test_fewer_items_than_expected(self, flavour: SyncFlavour) -> None:
        """The stream was cut, and the next source takes over."""
        sources = [self.source(flavour, 1, 2), self.source(flavour, 1, 2, 3)]
        stream = flavour.stream(sources, mid_stream="skip", expect_items=3)
        assert flavour.drain(stream) == [1, 2, 3]
        stream = flavour.stream(sources[:1], expect_items=3)
        message = r"source ended when 2 of 3 items were delivered \(expect_items\)"
        with pytest.raises(TruncatedStream, match=message):
            flavour.drain(stream)

    @pytest.mark.parametrize("commit_when", [1, 2, 3, 9])
    @pytest.mark.parametrize("expected", [0, 1, 2])
    def test_an_item_too_many(self, flavour: SyncFlavour, commit_when: int, expected: int) -> None:
        """It is not delivered, however many good ones came before; nothing is pulled after it."""
        pulled: list[int] = []

        def items() -> Any:
            for number in range(9):
                pulled.append(number)
                yield number

        stream = flavour.stream(
            [flavour.generator(items)], commit_when=commit_when, expect_items=expected
        )
        got: list[int] = []
        message = rf"items yielded an item after the {expected} that were expected"
        with pytest.raises(DivergedStream, match=message):
            while True:
                got.append(flavour.next(stream))
        assert got == [*range(expected)][: 0 if commit_when > expected else None]
        assert pulled == [*range(expected + 1)]

    def test_a_good_source_takes_over_from_one_with_too_many(self, flavour: SyncFlavour) -> None:
        """The items before it were good: the stream is complete without it."""
        sources = [self.source(flavour, 1, 2, 3), self.source(flavour, 1, 2)]
        assert flavour.drain(flavour.stream(sources, mid_stream="skip", expect_items=2)) == [1, 2]

    def test_the_count_starts_over_with_a_restart(self, flavour: SyncFlavour) -> None:
        """Items before it do not count, also while the fresh attempt holds its own."""
        for commit_when in (1, 2):
            sources = [
                self.source(flavour, 1, 2, error=reset()),
                self.source(flavour, 1, 2, 3),
            ]
            stream = flavour.stream(sources, expect_items=3, commit_when=commit_when)
            assert flavour.drain(stream) == [1, 2, 1, 2, 3]
        sources = [self.source(flavour, 1, 2, error=reset()), self.source(flavour)]
        with pytest.raises(TruncatedStream, match="0 of 2 items"):
            flavour.drain(flavour.stream(sources, expect_items=2))

    def test_a_restart_that_a_bookmark_has_begun(self, flavour: SyncFlavour) -> None:
        """The items after the bookmark count, those before the restart do not."""
        openings = iter([[1, 2, reset()], [Bookmark("a"), 1, 2, 3]])

        def source(_: object) -> Any:
            for item in next(openings):
                if isinstance(item, BaseException):
                    raise item
                yield item

        stream = flavour.stream(
            [flavour.generator(source)] * 2,
            expect_items=3,
            commit_when=2,
            mid_stream=Decide(lambda _: "restart", start=0),
        )
        assert flavour.drain(stream) == [1, 2, 1, 2, 3]

    @pytest.mark.parametrize("held", [1, 2])
    @pytest.mark.parametrize("how", ["send", "throw"])
    def test_an_answer_too_many(self, flavour: SyncFlavour, how: str, held: int) -> None:
        """An item that answers the consumer is an item like any other."""
        answers = [*range(9)]

        def answer(*_: Any) -> int:
            return answers.pop(0)

        opened = flavour.iterator(answer, send=answer, throw=answer)
        stream = flavour.stream(
            [lambda: opened, self.source(flavour, 0, 1)],
            expect_items=2,
            commit_when=held,
            mid_stream="skip",
        )
        assert [flavour.next(stream), flavour.next(stream)] == [0, 1]
        with pytest.raises(flavour.stop):
            if how == "send":
                flavour.send(stream, "hello")
            else:
                flavour.throw(stream, LookupError())
        assert answers == [*range(3, 9)]

    def test_an_answer_that_is_still_expected(self, flavour: SyncFlavour) -> None:
        """It is counted."""
        answers = [*range(9)]

        def answer(*_: Any) -> int:
            return answers.pop(0)

        opened = flavour.iterator(answer, send=answer)
        stream = flavour.stream([lambda: opened], expect_items=3)
        assert [flavour.next(stream), flavour.next(stream)] == [0, 1]
        assert flavour.send(stream, "hello") == 2
        with pytest.raises(DivergedStream):
            flavour.next(stream)

    def test_an_end_in_answer_to_a_throw_is_complete(self, flavour: SyncFlavour) -> None:
        """As for `complete_when`: the consumer asked for it."""

        def throw(*_: Any) -> Any:
            raise Ends

        opened = flavour.iterator(lambda: 1, throw=throw)
        stream = flavour.stream([lambda: opened], expect_items=3)
        assert flavour.next(stream) == 1
        with pytest.raises(flavour.stop):
            flavour.throw(stream, LookupError())

    def test_the_count_in_a_group_is_that_of_the_outer_stream(self, flavour: SyncFlavour) -> None:
        """Both levels count all items; the level that is not satisfied has failed."""
        events: list[Any] = []
        inner = Policy(
            retry_on=ConnectionError, mid_stream="skip", on_event=events.append, expect_items=3
        )
        group = inner.source([self.source(flavour, 1, 2), self.source(flavour, 1, 2, 3)])
        stream = flavour.stream(
            [self.source(flavour, 1, error=reset()), group], mid_stream="skip", expect_items=3
        )
        assert flavour.drain(stream) == [1, 2, 3]
        assert [event.source for event in events if isinstance(event, Failed)] == ["source"]

    def test_an_outer_stream_that_expects_fewer(self, flavour: SyncFlavour) -> None:
        """The group has failed as a whole: its next source is not asked."""
        asked: list[str] = []

        def second() -> Any:
            asked.append("second")
            yield from (1, 2)

        inner = Policy(retry_on=ConnectionError, mid_stream="skip")
        group = inner.source([self.source(flavour, 1, 2, 3), flavour.generator(second)])
        sources = [group, self.source(flavour, 1, 2)]
        assert flavour.drain(flavour.stream(sources, mid_stream="skip", expect_items=2)) == [1, 2]
        assert asked == []

    def test_a_source_may_expect_something_else(self, flavour: SyncFlavour) -> None:
        """An option of a `Source` replaces that of the stream."""
        sources = [Source(self.source(flavour, 1, 2, 3), expect_items=None)]
        assert flavour.drain(flavour.stream(sources, expect_items=2)) == [1, 2, 3]

    def test_a_surplus_item_keeps_no_error_alive(self, flavour: SyncFlavour) -> None:
        """The error is not in a cycle with the frames that raised it."""
        stream = flavour.stream([self.source(flavour, 1, 2, 3)], expect_items=2)
        assert flavour.watched_error(stream, 0, False)() is None

    def test_expected_items_with_a_cursor(self, flavour: SyncFlavour) -> None:
        """Bookmarks are not items, and replayed items are those of before."""

        def source(progress: Any) -> Any:
            yield from range(progress.cursor, 3)
            yield Bookmark(3)
            if not progress.failures:
                raise reset()

        stream = flavour.stream(
            [flavour.generator(source)] * 2, mid_stream=Resume(start=0), expect_items=3
        )
        assert flavour.drain(stream) == [0, 1, 2]
