"""Options of the stream in a race, its cursor and memo, and what its listeners see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from math import inf
from typing import Any

import pytest

from failover_iter import (
    Bookmark,
    Budget,
    Policy,
    Resume,
    Source,
    SourceTimeout,
    StreamTimeout,
    Trace,
    afailover_stream,
)
from failover_iter.testing import VirtualClock
from hedge.streams import POLICY, run, slow
from support.worlds import FLAVOURS, World, play


def test_a_trace_shows_contenders_side_by_side() -> None:
    """As rows that overlap, with a legend."""
    trace = Trace()

    async def main() -> None:
        policy = Policy(retry_on=OSError, on_event=trace)
        race = policy.hedge([slow("a"), slow("b", 1)], after=1)
        async for _ in policy.astream([race]):
            pass

    run(main)
    rows = [(row.source, row.outcome, row.superseded_by) for row in trace.attempts[1:]]
    assert rows == [("a", "superseded", "b"), ("b", "completed", None)]
    assert "superseded by b" in str(trace)
    assert str(trace).endswith("\\ superseded (another source was first)")
    assert "superseded" in trace._repr_html_()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_bookmarks_and_memo_of_a_loser_have_no_effect(flavour: str) -> None:
    """The stream has the cursor and the memo of the winner."""

    async def scenario(world: World) -> None:
        seen: list[Any] = []

        def source(name: str, seconds: float, *, fails: bool = False) -> Any:
            async def body(progress: Any) -> AsyncIterator[Any]:
                seen.append((name, progress.cursor, dict(progress.memo)))
                progress.memo["by"] = name
                yield Bookmark()
                yield Bookmark(f"{name}, at once")
                await world.sleep(seconds)
                yield "item"
                yield Bookmark(f"{name}, later")
                if fails:
                    raise ConnectionError("lost")

            return world.source(name, body)

        mode = Resume(start="start")
        policy = Policy(retry_on=ConnectionError, mid_stream=mode)
        race = policy.hedge([source("a", 9), source("b", 0.5, fails=True)], after=1)
        got = await world.drain(policy, [race, source("c", 0)])
        assert got == ["item", "item"]
        assert seen == [
            ("a", "start", {}),
            ("b", "start", {}),
            ("c", "b, later", {"by": "b"}),
        ]

    play(flavour, scenario)


@pytest.mark.parametrize("steps", [[2.0], [1.5, 0.5]])
def test_an_item_at_the_moment_of_the_decision(steps: list[float]) -> None:
    """Whoever is first, the other one is not pulled for long."""

    async def first() -> AsyncIterator[int]:
        for seconds in steps:
            await asyncio.sleep(seconds)
        yield 1
        await asyncio.sleep(99)
        yield 2

    async def second() -> AsyncIterator[int]:
        await asyncio.sleep(1)
        yield 3
        yield 4

    async def main() -> None:
        policy = Policy(retry_on=OSError, commit_when=2)
        stream = policy.astream([policy.hedge([first, second], after=1)])
        assert [item async for item in stream] == [3, 4]
        assert asyncio.get_running_loop().time() == 1002

    run(main)


def test_a_backup_is_sent_to_and_thrown_into() -> None:
    """In its task, as a source of the consumer's task would be."""

    async def backup() -> AsyncIterator[Any]:
        sent = yield 1  # type: ignore[misc]  # it is sent to
        try:
            yield sent
        except KeyError:
            yield "caught"

    async def main() -> None:
        stream: Any = POLICY.astream([POLICY.hedge([slow(), backup], after=1)])
        assert await anext(stream) == 1
        assert await stream.asend("sent") == "sent"
        assert await stream.athrow(KeyError()) == "caught"
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run(main)


def test_a_backup_times_out() -> None:
    """`idle_timeout` holds for its source, in its task."""

    async def backup() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(99)

    async def main() -> None:
        policy = Policy(retry_on=OSError, idle_timeout=20)
        stream = policy.astream([policy.hedge([slow(), backup], after=1)])
        assert await anext(stream) == 1
        with pytest.raises(SourceTimeout):
            await anext(stream)

    run(main)


def test_a_surplus_item_before_the_commit(virtual: VirtualClock) -> None:
    """`expect_items` holds in a race, too."""
    policy = Policy(retry_on=OSError, expect_items=1, commit_when=2)
    race = policy.hedge([lambda: [1, 2, 3], lambda: [1]], after=1)
    assert list(policy.stream([race])) == [1]


def test_the_time_of_the_stream_is_up_between_two_pulls(virtual: VirtualClock) -> None:
    """A predicate took it."""

    def judge(_: object) -> bool:
        virtual.sleep(5)
        return False

    policy = Policy(retry_on=OSError, commit_when=judge, total_timeout=3)
    race = policy.hedge([lambda: [1, 2], lambda: [1, 2]], after=1)
    with pytest.raises(StreamTimeout):
        list(policy.stream([race]))


def test_one_copy_of_the_memo_for_each_contender(virtual: VirtualClock) -> None:
    """`abort` receives what a source leaves in it."""
    aborted: list[Any] = []

    def first(progress: Any) -> Iterator[str]:
        progress.memo["by"] = "first"
        virtual.sleep(9)
        yield "late"

    def second(progress: Any) -> Iterator[str]:
        progress.memo["by"] = "second"
        yield "item"

    policy = Policy(retry_on=OSError, mid_stream="resume")
    source = Source(first, abort=lambda _, memo: aborted.append(memo))
    assert list(policy.stream([policy.hedge([source, second], after=1)])) == ["item"]
    assert aborted == [{"by": "first"}]


def test_a_budget_puts_the_source_back(virtual: VirtualClock) -> None:
    """One that was not opened for want of budget is the next one after a failure."""
    budget = Budget(ratio=0, reserve=1, per_second=0, clock=virtual.time)
    assert budget.spend()

    def fails() -> Iterator[str]:
        virtual.sleep(2)
        raise ConnectionError("down")
        yield

    policy = Policy(retry_on=ConnectionError, budget=budget)
    race = policy.hedge([fails, lambda: ["b"], lambda: ["c"]], after=1)
    assert list(policy.stream([race])) == ["b"]


def test_marks_of_a_takeover_into_a_hedge() -> None:
    """A backup that takes over is marked, as any source."""

    async def breaks() -> AsyncIterator[str]:
        yield "one"
        raise ConnectionError("lost")

    async def main() -> list[Any]:
        race = POLICY.hedge([slow("a"), slow("b", 1)], after=1)
        stream = afailover_stream([breaks, race], retry_on=ConnectionError, mark_takeovers=True)
        return [item async for item in stream]

    one, mark, b = run(main)
    assert (one, b, mark.source, mark.delivered) == ("one", "b", "b", 1)
    assert isinstance(mark.error, ConnectionError)


def test_an_outage_began_with_the_first_contender() -> None:
    """`give_up_after` counts from the first failure, whichever contender it was."""

    async def opened(seconds: float) -> AsyncIterator[str]:
        await asyncio.sleep(seconds)
        raise OSError(str(seconds))
        yield "never"

    async def other() -> AsyncIterator[str]:
        yield "other"

    async def main(after: float) -> list[str]:
        race = Policy(retry_on=OSError).hedge(
            [lambda: opened(0.05), lambda: opened(0.2)], after=after
        )
        outer = Policy(retry_on=OSError, give_up_after=0.1)
        return [item async for item in outer.astream([race, other])]

    for after in (inf, 0.01):
        with (
            asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner,
            pytest.raises(OSError, match="0.2"),
        ):
            runner.run(main(after))
