"""The consumer of a race is cancelled, or the task of a backup is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from failover_iter import Policy
from failover_iter._drivers import tasks_asyncio
from failover_iter.testing import VirtualClock
from hedge.streams import POLICY, blocking, run, slow
from support.virtual import virtual_time


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


def test_ctrl_c_while_sources_race() -> None:
    """All of them are abandoned, and the consumer gets it."""

    class Pressed(VirtualClock):
        def get(self, queue: Any, seconds: float, jobs: Any = None) -> Any:
            if seconds > 5:
                raise KeyboardInterrupt
            return super().get(queue, seconds, jobs)

    fake = Pressed()
    events: list[Any] = []
    with virtual_time(fake):
        policy = Policy(retry_on=OSError, on_event=events.append)
        race = policy.hedge([blocking(fake), blocking(fake)], after=1)
        with pytest.raises(KeyboardInterrupt):
            list(policy.stream([race]))
    names = [(type(event).__name__, getattr(event, "abandoned", None)) for event in events]
    assert names[-3:] == [("Superseded", True), ("Closed", True), ("Closed", True)]
