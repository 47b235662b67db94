"""Hedges in odd cases: callbacks that raise, cancellations, what a backup's source is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from math import inf
from typing import Any

import pytest
import trio
import trio.testing

from failover_iter import (
    Bookmark,
    Budget,
    Closed,
    Contending,
    Health,
    Opening,
    Percentile,
    Policy,
    Resume,
    Source,
    SourceTimeout,
    StreamTimeout,
    Superseded,
    Trace,
    afailover_stream,
    failover_stream,
    hedge,
)
from failover_iter._drivers import contender, mailbox, tasks_asyncio
from failover_iter._drivers.clock import clock
from failover_iter._percentile import quantile_of
from failover_iter.testing import VirtualClock
from support.worlds import FLAVOURS, World, play

POLICY = Policy(retry_on=ConnectionError)


class Exit(BaseException):
    """No `Exception`."""


def run(main: Callable[[], Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        return runner.run(main())


def slow(name: str = "slow", seconds: float = 9.0) -> Any:
    async def source() -> AsyncIterator[str]:
        await asyncio.sleep(seconds)
        yield name

    source.__name__ = name
    return source


def of_world(world: World, name: str, seconds: float, **more: Any) -> Any:
    async def body(*_: object) -> AsyncIterator[Any]:
        await world.sleep(seconds)
        if "error" in more:
            raise more["error"]
        yield name

    return world.source(name, body)


# The surface.


def test_a_hedge_without_a_policy() -> None:
    """`hedge` takes the options of a policy."""
    race = hedge([lambda: [1], lambda: [2]], after=60, retry_on=OSError, name="race")
    assert race.name == "race"
    assert repr(race.factory) == "<Policy.hedge>"
    assert list(failover_stream([race], retry_on=OSError)) == [1]
    with pytest.raises(TypeError, match=r"factories of a Policy\.hedge must be a list"):
        POLICY.hedge(iter([lambda: [1]]), after=1)


@pytest.mark.parametrize("after", ["1", None, True, Percentile])
def test_a_wrong_delay(after: Any) -> None:
    """`after` is a duration, or learns it."""
    with pytest.raises(TypeError, match="after must be seconds, a timedelta or a Percentile"):
        POLICY.hedge([lambda: [1]], after=after)
    with pytest.raises(ValueError, match="after must be finite and not negative, got -1"):
        POLICY.hedge([lambda: [1]], after=-1)


def test_a_percentile() -> None:
    """It checks its arguments, and knows nothing before 20 times."""
    wrong: Any = "0.5"
    with pytest.raises(TypeError, match="quantile must be a number between 0 and 1, got '0.5'"):
        Percentile(wrong)
    with pytest.raises(ValueError, match="quantile must be a number between 0 and 1, got 95"):
        Percentile(95)
    with pytest.raises(ValueError, match="keep must be an int of at least 20, got 5"):
        Percentile(0.5, keep=5)
    percentile = Percentile(0.5, floor=2, keep=20)
    for seconds in range(19):
        percentile.won(seconds)
    assert percentile.seconds() == inf
    percentile.lost(19.0)
    assert percentile.seconds() == 9
    for _ in range(40):
        percentile.won(1.0)
    assert percentile.seconds() == 2
    assert repr(percentile) == "Percentile(0.5), now 2 s"
    assert quantile_of([(1.0, False), (3.0, True), (2.0, True)], 0.9) == 3.0


def test_a_hedge_in_a_hedge_is_refused() -> None:
    """At the call where the sources are a list, else when it is reached."""
    inner = POLICY.hedge([lambda: [1], lambda: [2]], after=1)
    for sources in ([inner], [POLICY.source([inner])]):
        with pytest.raises(ValueError, match="another hedge: put the sources of both into one"):
            POLICY.hedge(sources, after=1)
    group = POLICY.source([POLICY.source([lambda: [1]])])
    assert list(POLICY.stream([POLICY.hedge([group], after=1)])) == [1]

    class Lazy:
        def __iter__(self) -> Iterator[Any]:
            yield inner

    with pytest.raises(ValueError, match="a hedge in a hedge"):
        list(POLICY.stream([POLICY.hedge(Lazy(), after=1)]))


def test_without_a_loop() -> None:
    """An async hedge needs asyncio or trio, as a timeout does."""
    stream = POLICY.astream([POLICY.hedge([slow(), slow()], after=1)])
    with pytest.raises(RuntimeError, match="neither runs this stream"):
        stream.__anext__().send(None)


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


# A contender learns something before the race is decided.


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


# Callbacks that raise.


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("kind", [Contending, Superseded])
def test_a_listener_that_raises(flavour: str, kind: type) -> None:
    """The error reaches the consumer, and all sources are closed."""

    async def scenario(world: World) -> None:
        def listen(event: Any) -> None:
            if isinstance(event, kind):
                raise LookupError("mine")

        policy = Policy(retry_on=OSError, on_event=listen)
        sources = [of_world(world, "a", 9), of_world(world, "b", 0.5)]
        with pytest.raises(LookupError, match="mine"):
            await world.drain(policy, [policy.hedge(sources, after=1)])

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("by", ["a", "b"])
def test_a_predicate_that_raises(flavour: str, by: str) -> None:
    """In the first source or in a backup: the error reaches the consumer."""

    async def scenario(world: World) -> None:
        def judge(item: str) -> bool:
            raise LookupError(item)

        policy = Policy(retry_on=OSError, commit_when=judge)
        times = {"a": 1.5, "b": 9.0} if by == "a" else {"a": 9.0, "b": 1.0}
        sources = [of_world(world, name, seconds) for name, seconds in times.items()]
        with pytest.raises(LookupError, match=by):
            await world.drain(policy, [policy.hedge(sources, after=1)])

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_health_that_raises(flavour: str) -> None:
    """A store of others may raise: for a backup that has no source yet, too."""

    async def scenario(world: World) -> None:
        class Sick:
            asked = 0

            def admit(self, key: str) -> Any:
                self.asked += 1
                if self.asked > 1:
                    raise LookupError("no answer")
                return type("Yes", (), {"admitted": True, "lease": 0, "seconds": 0.0})()

            async def aadmit(self, key: str) -> Any:
                return self.admit(key)

            def report(self, *_: Any, **__: Any) -> None:
                pass

        policy = Policy(retry_on=OSError, health=Sick())
        sources = [of_world(world, "a", 9), of_world(world, "b", 1)]
        race = policy.hedge(sources, after=1)
        with pytest.raises(LookupError, match="no answer"):
            await world.drain(Policy(retry_on=OSError), [race])

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_errors_of_closing_a_loser_are_logged(
    flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hide nothing, and are not lost."""
    logged: list[str] = []
    for module in (contender, mailbox):
        monkeypatch.setattr(
            module, "log_abandoned", lambda name, error, _: logged.append(f"{name}: {error}")
        )

    async def scenario(world: World) -> None:
        def close(_: object) -> None:
            raise OSError("closing")

        first = Source(of_world(world, "a", 9), close=close)
        race = POLICY.hedge([first, of_world(world, "b", 1)], after=1)
        assert await world.drain(POLICY, [race]) == ["b"]

    play(flavour, scenario)
    assert logged == ["a: closing"]


@pytest.mark.parametrize("option", ["commit_when", "retry_on"])
def test_two_callbacks_that_raise_at_a_time(option: str) -> None:
    """One of the errors reaches the consumer, and nothing is told twice."""
    events: list[Any] = []

    def judge(item: object) -> bool:
        raise LookupError(item)

    def ending(name: str, seconds: float) -> Any:
        async def source() -> AsyncIterator[str]:
            await asyncio.sleep(seconds)
            if option == "retry_on":
                raise ConnectionError(name)
            yield name

        return source

    async def main() -> None:
        options: dict[str, Any] = {"retry_on": OSError, option: judge}
        policy = Policy(**options, on_event=events.append)
        race = policy.hedge([slow("a"), ending("b", 2), ending("c", 1)], after=1)
        with pytest.raises(LookupError):
            await anext(Policy(retry_on=OSError).astream([race]))

    run(main)
    opened = [event for event in events if isinstance(event, Opening)]
    assert len(opened) == 3


def test_a_loser_that_is_being_closed() -> None:
    """Its closing is not interrupted: the winner waits for it."""

    async def fails() -> AsyncIterator[str]:
        await asyncio.sleep(2)
        raise ConnectionError("down")
        yield

    async def close(_: object) -> None:
        await asyncio.sleep(3)

    async def main() -> None:
        race = POLICY.hedge([Source(fails, close=close), slow("b", 2)], after=1)
        assert [item async for item in POLICY.astream([race])] == ["b"]
        assert asyncio.get_running_loop().time() == 1005

    run(main)


def test_a_callback_that_raises_when_the_race_is_decided() -> None:
    """The source of a backup failed before, and was still being closed."""

    async def fails() -> AsyncIterator[str]:
        raise ConnectionError("down")
        yield

    async def close(_: object) -> None:
        await asyncio.sleep(3)

    def judge(error: Exception) -> bool:
        raise LookupError("mine")

    async def main() -> None:
        policy = Policy(retry_on=judge)
        race = policy.hedge([slow("a", 2), Source(fails, close=close)], after=1)
        with pytest.raises(LookupError, match="mine"):
            await anext(POLICY.astream([race]))

    run(main)


def test_a_loser_whose_closing_raises_no_exception() -> None:
    """The consumer gets it, and the winner is closed."""

    def close(_: object) -> None:
        raise Exit("closing")

    async def main() -> None:
        race = POLICY.hedge([Source(slow(), close=close), slow("b", 1)], after=1)
        with pytest.raises(Exit, match="closing"):
            await anext(POLICY.astream([race]))

    run(main)


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


def test_a_scope_that_a_source_holds_under_trio() -> None:
    """It is closed inside our scope, also if another source wins meanwhile."""

    async def holds() -> AsyncIterator[int]:
        with trio.CancelScope():
            try:
                await trio.sleep(1.9)
                yield 1
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)

    async def other() -> AsyncIterator[int]:
        await trio.sleep(1)
        yield 3
        yield 4

    async def main() -> None:
        policy = Policy(retry_on=OSError, commit_when=2)
        stream = policy.astream([policy.hedge([holds, other], after=1)])
        assert [item async for item in stream] == [3, 4]
        stream = POLICY.astream([POLICY.hedge([holds, other], after=9)])
        assert await anext(stream) == 1
        with pytest.raises(RuntimeError, match="or take part in a hedge under trio"):
            await anext(stream)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# Cancellations.


async def cancelled_at(seconds: float, stream: Any) -> None:
    async def drain() -> None:
        async for _ in stream:
            pass

    task = asyncio.ensure_future(drain())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_cancelled_while_others_race() -> None:
    """The first source has failed, and its backup is slow."""

    async def fails() -> AsyncIterator[str]:
        await asyncio.sleep(2)
        raise ConnectionError("down")
        yield

    run(lambda: cancelled_at(3, POLICY.astream([POLICY.hedge([fails, slow()], after=1)])))


@pytest.mark.parametrize("is_listed", [True, False])
def test_cancelled_between_the_decision_and_the_first_item(is_listed: bool) -> None:
    """With a winner or with an error: both are closed, and the loser hears of it."""
    log: list[str] = []

    async def winner() -> AsyncIterator[str]:
        try:
            await asyncio.sleep(0.5)
            if not is_listed:
                raise ValueError("a bug")
            yield "item"
        finally:
            log.append("closed")

    async def closes_slowly() -> AsyncIterator[str]:
        try:
            await asyncio.sleep(9)
            yield "late"
        finally:
            closing = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(2, closing.set_result, None)
            while not closing.done():
                try:
                    await asyncio.shield(closing)
                except asyncio.CancelledError:
                    log.append("cancelled")

    async def main() -> None:
        race = POLICY.hedge([winner, closes_slowly], after=0.1)
        await cancelled_at(1, POLICY.astream([race]))

    run(main)
    assert sorted(log) == ["cancelled", "closed"]


def test_cancelled_while_a_backup_is_pulled() -> None:
    """The cancellation reaches the source, in its task; one that answers with an item is closed."""
    log: list[str] = []

    async def backup() -> AsyncIterator[str]:
        yield "item"
        try:
            await asyncio.sleep(9)
        except asyncio.CancelledError:
            log.append("cancelled")
        try:
            yield "an answer"
        finally:
            log.append("closed")

    run(lambda: cancelled_at(3, POLICY.astream([POLICY.hedge([slow(), backup], after=1)])))
    assert sorted(log) == ["cancelled", "closed"]


def test_the_task_of_a_backup_is_cancelled() -> None:
    """By somebody else, as when an event loop ends: the next pull says so."""

    async def backup() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> None:
        stream = POLICY.astream([POLICY.hedge([slow(), backup], after=1)])
        assert await anext(stream) == 1
        (task,) = asyncio.all_tasks() - {asyncio.current_task()}
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="the task of source 'backup' of a hedge was canc"):
            await anext(stream)

    run(main)


def test_the_task_of_a_backup_is_cancelled_before_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It never runs, and the consumer does not wait for it."""
    start = tasks_asyncio.Tasks.start

    def start_and_cancel(*args: Any) -> Any:
        cancel = start(*args)
        cancel()
        return cancel

    monkeypatch.setattr(tasks_asyncio.Tasks, "start", start_and_cancel)

    async def main() -> None:
        stream = POLICY.astream([POLICY.hedge([slow(), slow()], after=1)])
        with pytest.raises(RuntimeError, match="of a hedge was cancelled"):
            await anext(stream)

    run(main)


def test_all_tasks_are_cancelled_before_a_backup_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `asyncio.run` does at its end: a backup that never ran is reported as superseded."""
    start = tasks_asyncio.Tasks.start

    def start_and_cancel_all(*args: Any) -> Any:
        cancel = start(*args)
        for task in asyncio.all_tasks():
            task.cancel()
        return cancel

    monkeypatch.setattr(tasks_asyncio.Tasks, "start", start_and_cancel_all)
    events: list[Any] = []
    policy = Policy(retry_on=ConnectionError, on_event=events.append)

    async def main() -> None:
        await anext(policy.astream([policy.hedge([slow(), slow("backup")], after=1)]))

    with pytest.raises(asyncio.CancelledError):
        run(main)
    told = [(type(event).__name__, event.source) for event in events]
    assert told[-5:] == [
        ("Contending", "backup"),
        ("Opening", "backup"),
        ("Superseded", "backup"),
        ("Closed", "slow"),
        ("Closed", "slow|backup"),
    ]


def test_the_task_of_a_backup_is_cancelled_while_it_races() -> None:
    """The consumer, who was not cancelled, is told so."""

    async def main() -> None:
        stream = POLICY.astream([POLICY.hedge([slow(), slow("backup")], after=1)])
        loop, mine = asyncio.get_running_loop(), asyncio.current_task()

        def cancel() -> None:
            (task,) = asyncio.all_tasks() - {mine}
            task.cancel()

        loop.call_later(2, cancel)
        with pytest.raises(RuntimeError, match="the task of source 'backup' of a hedge was canc"):
            await anext(stream)

    run(main)


def test_the_task_of_a_backup_is_cancelled_while_it_is_pulled() -> None:
    """The consumer, who was not cancelled, is told so."""

    async def backup() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(99)

    async def main() -> None:
        stream = POLICY.astream([POLICY.hedge([slow(), backup], after=1)])
        assert await anext(stream) == 1
        (task,) = asyncio.all_tasks() - {asyncio.current_task()}
        asyncio.get_running_loop().call_later(1, task.cancel)
        with pytest.raises(RuntimeError, match="the task of source 'backup' of a hedge was canc"):
            await anext(stream)

    run(main)


# Calls that reach the source of a backup.


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


@pytest.mark.parametrize("error", [OSError, Exit])
def test_a_backup_whose_closing_raises(error: type[BaseException]) -> None:
    """An error of closing reaches the consumer who closes."""

    async def backup() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise error("closing")

    async def main() -> None:
        stream = POLICY.astream([POLICY.hedge([slow(), backup], after=1)])
        assert await anext(stream) == 1
        with pytest.raises(error, match="closing"):
            await stream.aclose()

    run(main)


# Blocking streams.


@pytest.fixture
def virtual() -> Iterator[VirtualClock]:
    fake = VirtualClock()
    token = clock.set(fake)
    yield fake
    fake.wake_all()
    clock.reset(token)


def blocking(virtual: VirtualClock, seconds: float = 9.0) -> Any:
    def source() -> Iterator[str]:
        virtual.sleep(seconds)
        yield "late"

    return source


def test_an_iterable_beside_its_iterator(virtual: VirtualClock) -> None:
    """The winner may be any iterable; what it is not is a failure."""

    class Pages:
        def __iter__(self) -> Iterator[int]:
            return iter([1, 2])

    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise ConnectionError("no pages")

    def refused() -> Any:
        raise ConnectionError("refused")

    def leaks() -> Any:
        raise StopIteration

    def not_iterable() -> Any:
        return 5

    race = POLICY.hedge([refused, Broken, Pages], after=1)
    assert list(POLICY.stream([race])) == [1, 2]
    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        list(POLICY.stream([POLICY.hedge([leaks, Pages], after=1)]))
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        list(POLICY.stream([POLICY.hedge([not_iterable, Pages], after=1)]))


def test_a_surplus_item_before_the_commit(virtual: VirtualClock) -> None:
    """`expect_items` holds in a race, too."""
    policy = Policy(retry_on=OSError, expect_items=1, commit_when=2)
    race = policy.hedge([lambda: [1, 2, 3], lambda: [1]], after=1)
    assert list(policy.stream([race])) == [1]


@pytest.mark.parametrize("error", [OSError, Exit])
def test_a_loser_at_rest_is_closed_first(error: type[BaseException]) -> None:
    """It has answered when another one decides; an error of closing it is logged, or raised."""

    class AllAtOnce(VirtualClock):
        def get(self, queue: Any, seconds: float, jobs: Any = None) -> Any:
            item = super().get(queue, seconds, jobs)
            while not all(job.finished for job in jobs or ()):
                time.sleep(0.0005)
            return item

    log: list[str] = []

    def close(_: object) -> None:
        log.append("closed")
        raise error("closing")

    fake = AllAtOnce()
    token = clock.set(fake)
    try:
        stream = POLICY.stream(
            [POLICY.hedge([lambda: [1], Source(lambda: [2], close=close)], after=0)]
        )
        with pytest.raises(Exit) if error is Exit else nullcontext():
            assert next(stream) == 1
        assert log == ["closed"]
        stream.close()
    finally:
        fake.wake_all()
        clock.reset(token)


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


def test_ctrl_c_while_sources_race() -> None:
    """All of them are abandoned, and the consumer gets it."""

    class Pressed(VirtualClock):
        def get(self, queue: Any, seconds: float, jobs: Any = None) -> Any:
            if seconds > 5:
                raise KeyboardInterrupt
            return super().get(queue, seconds, jobs)

    fake = Pressed()
    events: list[Any] = []
    token = clock.set(fake)
    try:
        policy = Policy(retry_on=OSError, on_event=events.append)
        race = policy.hedge([blocking(fake), blocking(fake)], after=1)
        with pytest.raises(KeyboardInterrupt):
            list(policy.stream([race]))
    finally:
        fake.wake_all()
        clock.reset(token)
    names = [(type(event).__name__, getattr(event, "abandoned", None)) for event in events]
    assert names[-3:] == [("Superseded", True), ("Closed", True), ("Closed", True)]


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


def test_a_listener_that_raises_keeps_no_probe() -> None:
    """The hedge's own health hears that the contender was superseded, whatever a listener does."""
    now = [0.0]
    health = Health(failures=1, cooldown=1, lease=1000, clock=lambda: now[0])
    policy = Policy(retry_on=OSError, health=health)

    def raises(event: Any) -> None:
        if isinstance(event, Closed):
            raise KeyError("listener")

    async def dead() -> AsyncIterator[int]:
        raise OSError
        yield

    async def yields(seconds: float) -> AsyncIterator[int]:
        await asyncio.sleep(seconds)
        yield 1

    async def main() -> None:
        down = Policy(retry_on=OSError).source([dead], name="inner")
        with pytest.raises(OSError):
            _ = [item async for item in policy.astream([down])]
        now[0] = 2.0
        inner = Policy(retry_on=OSError, on_event=raises).source([lambda: yields(9)], name="inner")
        race = policy.hedge([lambda: yields(0.1), inner], after=0.02)
        with pytest.raises(KeyError):
            _ = [item async for item in Policy(retry_on=OSError).astream([race])]
        assert health.admit("inner").verdict == "probe"

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        runner.run(main())
