"""Groups, for both drivers: what the streams around know of what happens inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import Decide, Policy, Progress, ReusedIterator, Source
from support.flavour import SyncFlavour


class Bug(ConnectionError):
    """Looks like an outage."""


class Nested(Behaviour):
    """What groups tell each other; a test module names the flavour that it runs on."""

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
