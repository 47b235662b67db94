"""The test kit, as a user writes tests with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import assert_type

from hypothesis import given
from hypothesis.strategies import SearchStrategy

from failover_iter import Progress
from failover_iter.testing import (
    Oracle,
    Plan,
    RunResult,
    check_replayable,
    check_resumable,
    fault_server,
    inject,
    must_see,
    plans,
    run_plan,
    verify,
)


def pipeline(
    first: Callable[[], Iterator[str]], second: Callable[[], Iterator[str]]
) -> Iterator[str]:
    yield from first()
    yield from second()


async def apipeline(first: Callable[[], AsyncIterator[str]]) -> AsyncIterator[str]:
    async for item in first():
        yield item


assert_type(plans(sources=2, errors=[ConnectionError, TimeoutError]), SearchStrategy[Plan])
assert_type(run_plan(pipeline, Plan("a#", "ab|")), RunResult)
assert_type(verify(apipeline, Plan("a|"), oracles="lazy", flavour="trio"), RunResult)


@must_see("switched mid-stream")
@given(plans())
def test(plan: Plan) -> None:
    verify(
        pipeline,
        plan,
        oracles=["exactly_once", Oracle.within(3), Oracle.max_openings(1), lambda run: run.ended],
    )


def rows(progress: Progress[int]) -> Iterator[int]:
    yield from range(progress.delivered, 5)


check_replayable(lambda: rows(Progress()))
check_resumable(rows, range(5))
inject(rows, "ab#")

with fault_server(Plan("a|")) as server:
    assert_type(server.urls, list[str])
