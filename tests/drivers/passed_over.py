"""Sources that may not take over, for both drivers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from drivers.base import Behaviour, reset
from failover_iter import Decide, Policy, Source
from support.flavour import SyncFlavour


class PassedOver(Behaviour):
    """The stream goes on behind them; a test module names the flavour that it runs on."""

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

    def test_a_source_that_refuses_in_a_group(self, flavour: SyncFlavour) -> None:
        """It is passed over as in a flat list, also if the next one decides to restart."""
        first = self.source(flavour, 1, error=reset())
        items, again = self.source(flavour, 9), self.source(flavour, 1, 2)
        shy = Source(lambda _: items(), mid_stream=Decide(lambda _: "raise"))
        bold = Source(lambda _: again(), mid_stream=Decide(lambda _: "restart"))
        group = Policy(retry_on=ConnectionError).source([shy, bold])
        assert flavour.drain(flavour.stream([first, shy, bold])) == [1, 1, 2]
        assert flavour.drain(flavour.stream([first, group])) == [1, 1, 2]

    def test_a_refusal_holds_whatever_the_stream_decides(self, flavour: SyncFlavour) -> None:
        """The stream is asked about the source behind the one that refuses, not about that one."""
        first = self.source(flavour, 1, error=reset())
        items, plain = self.source(flavour, 9), self.source(flavour, 1, 2)
        shy = Source(lambda _: items(), mid_stream=Decide(lambda _: "raise"))
        restart = Decide(lambda _: "restart")
        tail = [shy, lambda _: plain()]
        group = Policy(retry_on=ConnectionError, mid_stream=restart).source(tail)
        for sources in ([lambda _: first(), *tail], [lambda _: first(), group]):
            assert flavour.drain(flavour.stream(sources, mid_stream=restart)) == [1, 1, 2]

    @pytest.mark.parametrize("mode", ["restart", "skip"])
    @pytest.mark.parametrize("depth", [0, 1, 3])
    def test_a_source_is_asked_once(self, flavour: SyncFlavour, mode: Any, depth: int) -> None:
        """At each takeover, in however many groups it is."""
        asked: list[Any] = []

        def decide(progress: Any) -> Any:
            asked.append(progress.delivered)
            return mode

        first, items = self.source(flavour, 1, error=reset()), self.source(flavour, 1, 2)
        last: Any = Source(lambda _: items(), mid_stream=Decide(decide))
        for _ in range(depth):
            last = Policy(retry_on=ConnectionError).source([last])
        flavour.drain(flavour.stream([first, last]))
        assert asked == [1]

    def test_endless_sources_that_may_not_take_over(self, flavour: SyncFlavour) -> None:
        """All of them new, they end the stream too, and not the processor."""

        def lazily() -> Iterator[Any]:
            yield self.source(flavour, 1, error=reset())
            while True:
                yield Source(self.source(flavour, 9), mid_stream="raise")

        with pytest.raises(ConnectionError):
            flavour.drain(flavour.stream(lazily()))

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
