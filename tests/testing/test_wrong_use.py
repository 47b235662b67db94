"""What `verify` and `run_plan` refuse at once."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import inf, nan
from typing import Any

import pytest
import trio

from failover_iter.testing import (
    BrokenLaw,
    Oracle,
    Plan,
    RunResult,
    check_closes,
    check_replayable,
    fault_server,
    inject,
    must_see,
    plans,
    run_plan,
    verify,
)
from failover_iter.testing._plans import Consumer, SourceScript


def pipeline(factory: Any) -> Any:
    return factory()


def _served(plan: Any, **options: Any) -> None:
    with fault_server(plan, **options):
        pass


@pytest.mark.parametrize("function", [verify, run_plan])
def test_a_pipeline_that_was_called(function: Callable[..., Any]) -> None:
    """An iterator is not a pipeline."""
    with pytest.raises(TypeError, match="must be a function that takes a factory .* got <list_"):
        function(iter([]), Plan("a|"))


@pytest.mark.parametrize("function", [verify, run_plan])
def test_marbles_without_a_plan(function: Callable[..., Any]) -> None:
    """The error shows how to write a plan."""
    with pytest.raises(TypeError, match=r"got 'ab\|': write Plan\('ab\|'\)"):
        function(pipeline, "ab|")
    with pytest.raises(TypeError, match="plan must be a Plan, got 3$"):
        function(pipeline, 3)


@pytest.mark.parametrize("function", [verify, run_plan])
def test_a_pipeline_of_another_number_of_factories(function: Callable[..., Any]) -> None:
    """The error says how many factories there are; no law is blamed."""
    with pytest.raises(TypeError, match="cannot take the factories of 2 sources: too many pos"):
        function(pipeline, Plan("a|", "a|"))
    with pytest.raises(TypeError, match="of 1 source: missing a required argument: 'second'"):
        function(lambda first, second: first(), Plan("a|"))


def test_a_pipeline_without_a_signature() -> None:
    """It is just called."""

    class Unsigned:
        __signature__ = "none"

        def __call__(self, factory: Any) -> Any:
            return factory()

    assert run_plan(Unsigned(), Plan("a|")).ended


def test_a_pipeline_with_a_decorator_that_passes_other_arguments() -> None:
    """Only the signature of the wrapper counts."""

    def with_replica(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*factories: Any) -> Any:
            return function(*factories, lambda: iter("b"))

        return wrapper

    @with_replica
    def both(primary: Any, replica: Any) -> Any:
        return itertools.chain(primary(), replica())

    assert run_plan(both, Plan("a|")).delivered == ["a", "b"]


def test_a_pipeline_with_annotations_for_type_checkers_alone() -> None:
    """Since Python 3.14, they are evaluated when they are asked for."""

    class Signed:
        @property
        def __signature__(self) -> Any:
            raise NameError("name 'Source' is not defined")

        def __call__(self, factory: Any) -> Any:
            return factory()

    assert run_plan(Signed(), Plan("a|")).ended


def test_a_tick_of_no_time() -> None:
    """A real source can be injected with faults alone, without delays."""
    assert list(inject(lambda: "abc", "--a-b|", tick=0)()) == [*"abc"]
    run = run_plan(pipeline, Plan("--a|"), tick=0)
    assert (run.delivered, run.seconds) == (["a"], 0)


def test_a_predicate_that_cannot_answer() -> None:
    """A coroutine or a generator would always be true."""

    async def coroutine(_: RunResult) -> bool:
        return False

    def generator(_: RunResult) -> Iterator[bool]:
        yield False

    for predicate in (coroutine, generator):
        with pytest.raises(TypeError, match="a predicate must be a plain function, got <func"):
            verify(pipeline, Plan("a|"), oracles=predicate)


def test_an_oracle_that_has_no_hash() -> None:
    """It is an oracle like any other."""

    @dataclass
    class Limit:
        most: int

        def __call__(self, run: RunResult) -> str | None:
            return "too many" if len(run.delivered) > self.most else None

    oracle = Oracle("limit", "At most three items are delivered.", Limit(3))
    assert verify(pipeline, Plan("abc|"), oracles=[oracle, oracle]).ended


async def apipeline(factory: Any) -> AsyncIterator[Any]:
    async for item in factory():
        yield item


@pytest.mark.parametrize("function", [verify, run_plan])
def test_a_running_event_loop(function: Callable[..., Any]) -> None:
    """A run under asyncio or trio starts a loop, so it is refused within one."""

    async def main(flavour: Any) -> None:
        function(apipeline, Plan("a|"), flavour=flavour)

    with pytest.raises(RuntimeError, match="within asyncio: call it from a plain function, or in"):
        asyncio.run(main("asyncio"))
    with pytest.raises(RuntimeError, match="within asyncio"):
        asyncio.run(main(None))
    with pytest.raises(RuntimeError, match="within trio"):
        trio.run(main, "trio")
    trio.run(main, "asyncio")  # a loop of another kind


def test_checks_in_a_running_event_loop() -> None:
    """The checks of sources say the same."""

    async def source() -> AsyncIterator[int]:
        yield 1

    async def check(flavour: Any) -> None:
        for check in (check_closes, check_replayable):
            with pytest.raises(RuntimeError, match=f"within {flavour}"):
                check(source, flavour=flavour)

    asyncio.run(check("asyncio"))
    trio.run(check, "trio")


def test_must_see_around_a_coroutine() -> None:
    """Its runs would come after the decorator has looked."""

    async def test() -> None: ...

    with pytest.raises(TypeError, match="must_see is for plain functions, got <function .*test"):
        must_see()(test)


def test_an_oracle_that_is_given_twice() -> None:
    """It is reported once."""
    with pytest.raises(BrokenLaw) as caught:
        verify(lambda _: [], Plan("a|"), oracles=["no_loss", "exactly_once", "no_loss", "ends"])
    assert [oracle.name for oracle, _ in caught.value.broken] == ["no_loss"]


NUMBERS: tuple[Any, ...] = (-1, 1.5, True, "soon", None)
ITEMS: tuple[Any, ...] = (1, ["a"], "a-b", "a b", "_")
WRONG: Any = "Trio"
TICKS: tuple[Any, ...] = (-1, nan, inf, True, "1", None)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Plan("a| open=soon"),
        *[partial(SourceScript, opens=each) for each in NUMBERS],
        *[partial(SourceScript, "a", (0, each)) for each in NUMBERS],
        *[partial(SourceScript, items=each) for each in ITEMS],
        *[partial(Consumer, "close", each) for each in NUMBERS],
        *[partial(Plan, "a|", items=each) for each in ITEMS],
        *[partial(check_replayable, list, times=each) for each in (*NUMBERS, 1)],
        *[partial(check_closes, list, most=each) for each in NUMBERS],
        *[partial(check, list, flavour=WRONG) for check in (check_replayable, check_closes)],
        *[partial(plans, sources=each) for each in (*NUMBERS, 0)],
        *[partial(plans, openings=each) for each in (*NUMBERS, 0)],
        *[partial(plans, min_items=each) for each in (*NUMBERS, 7)],
        *[partial(plans, max_items=each) for each in (*NUMBERS, 63)],
        *[
            partial(call, Plan("a|"), tick=tick)
            for call in (partial(run_plan, pipeline), partial(inject, list), _served)
            for tick in TICKS
        ],
    ],
)
def test_values_that_are_refused_at_once(wrong: Callable[[], object]) -> None:
    """The error names the option, and what is allowed."""
    with pytest.raises(ValueError, match=r"must be .*got "):
        wrong()


def test_what_else_takes_a_plan() -> None:
    """`inject` and `fault_server` check it too, and a source that is wrapped must be there."""
    wrong: Any = 3
    for call in (partial(inject, list), _served):
        with pytest.raises(TypeError, match="plan must be a Plan, got 3$"):
            call(wrong)
    with pytest.raises(ValueError, match="inject takes a plan of one source or more, got Plan"):
        inject(list, Plan())
