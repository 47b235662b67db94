"""`Budget`: how many retries streams may make together; and budgets that allow a storm."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import strategies as st

from failover_iter import Budget, PassedOver, Policy, failover_stream
from failover_iter._core.admission import Admissions
from support.laws import SEARCH, each_law, each_mutant, table
from support.runners import quiet
from support.worlds import World, check_law


class Load:
    """Streams over sick sources, which share a budget on the clock of their world."""

    def __init__(self, world: World, **budget: Any) -> None:
        self.world = world
        self.budget = Budget(clock=world.time, **budget)

    def source(self, name: str, items: int = 0) -> Any:
        async def body(*_: object) -> AsyncIterator[int]:
            for item in range(items):
                yield item
            raise ConnectionError("refused")

        return self.world.source(name, body)

    async def asked(self, *sources: Any, **options: Any) -> str:
        options = {"on_event": self.world.events.append, **options}
        policy = Policy(retry_on=ConnectionError, budget=self.budget, **options)
        return "".join(await self.world.asked_by(policy, sources))


async def retries_stay_a_fraction(world: World, data: Any) -> None:
    """However many streams fail, they retry as often as they have earned, and no more."""
    ratio, reserve = data.draw(st.sampled_from([0.0, 0.1, 0.5])), data.draw(st.integers(1, 10))
    per_second = data.draw(st.sampled_from([0, 1]))
    load = Load(world, ratio=ratio, reserve=reserve, per_second=per_second)
    source, streams = load.source("a"), data.draw(st.integers(1, 60))
    asked, began = 0, world.time()
    for _ in range(streams):
        asked += len(await load.asked(source, attempts=4))
        await world.sleep(data.draw(st.sampled_from([0.0, 0.5, 3.0])))
    most = reserve + streams * ratio + per_second * (world.time() - began)
    assert streams <= asked <= streams + most
    assert asked >= min(4 * streams, streams + reserve)


async def quiet_hours_save_up_no_storm(world: World, data: Any) -> None:
    """However long it was quiet, no more than the reserve is there at once."""
    reserve, streams = data.draw(st.integers(1, 10)), data.draw(st.integers(1, 30))
    load = Load(world, ratio=0, reserve=reserve, per_second=1)
    await world.sleep(1000)
    source = load.source("a")
    for _ in range(streams):
        await load.asked(source, attempts=4)
    assert len(world.asked) == streams + min(reserve, 3 * streams)


async def a_new_source_is_free(world: World, data: Any) -> None:
    """An empty budget leaves the switch to a source that was not tried; a lazy repeat costs."""
    load = Load(world, ratio=0, reserve=1, per_second=0)
    assert load.budget.spend()
    a, b = load.source("a"), load.source("b")
    assert await load.asked(a, b, attempts=3) == "ab"

    def endless() -> Any:
        while True:
            yield a
            yield b

    policy = Policy(retry_on=ConnectionError, budget=load.budget)
    assert await world.asked_by(policy, endless()) == ["a", "b"]


async def progress_is_free(world: World, data: Any) -> None:
    """A source that brought the stream further is opened again for nothing, unless it restarts."""
    mode = data.draw(st.sampled_from(["resume", "restart"]))
    load = Load(world, ratio=0, reserve=1, per_second=0)
    assert load.budget.spend()
    asked = await load.asked(load.source("a", items=1), attempts=3, mid_stream=mode)
    assert asked == ("aaa" if mode == "resume" else "a")


async def it_is_said(world: World, data: Any) -> None:
    """The events and a note at the error say that the budget was empty."""
    load = Load(world, ratio=0, reserve=1, per_second=0)
    policy = Policy(
        retry_on=ConnectionError, budget=load.budget, attempts=3, on_event=world.events.append
    )
    with pytest.raises(ConnectionError) as caught:
        await world.drain(policy, [load.source("a")])
    assert world.asked == ["a", "a"]
    assert "a was not tried again: the budget is empty" in caught.value.__notes__
    assert [(each.source, each.attempt, each.reason) for each in world.events
            if isinstance(each, PassedOver)] == [("a", 3, "budget")]  # fmt: skip


async def groups_earn_nothing(world: World, data: Any) -> None:
    """Only the outermost stream earns; each level spends from its own policy's budget."""
    load = Load(world, ratio=0.25, reserve=1, per_second=0)
    assert load.budget.spend()
    policy = Policy(retry_on=ConnectionError, budget=load.budget, attempts=2)
    inner = policy.source([load.source("a")])
    outer = policy.source([inner])
    for _ in range(4):
        assert load.budget.tokens < 1
        await world.asked_by(policy, [outer])
    assert "".join(world.asked) == "aaaaa"


LAWS = table(
    retries_stay_a_fraction,
    quiet_hours_save_up_no_storm,
    a_new_source_is_free,
    progress_is_free,
    it_is_said,
    groups_earn_nothing,
)


@each_law(LAWS)
def test_law(law: Any, flavour: str) -> None:
    """The law holds for sync streams, asyncio and trio."""
    check_law(law, flavour, max_examples=15)


# Mutants: budgets as one might write them, each with one bug.

_affords = Admissions._affords


def _always(self: Budget) -> bool:
    """Each retry is allowed: a storm."""
    return True


def _never_full(self: Budget, earned: float) -> float:
    """Quiet hours save up a storm."""
    now = self._clock()
    self._tokens += earned + (now - self._filled_at) * self._per_second
    self._filled_at = now
    return self._tokens


def _never_refills(self: Budget, earned: float) -> float:
    """Nothing is earned."""
    return self._tokens


def _switches_cost(self: Admissions, level: Any, chosen: Any) -> bool:
    """A switch counts as a retry: an empty budget keeps streams from a healthy source."""
    return bool(level.options.budget.spend())


def _restarts_are_progress(self: Admissions, level: Any, chosen: Any) -> bool:
    """Items that only repeat count as progress: a source that dies after one is asked forever."""
    if self._takeovers.delivered.is_beyond(level.milestone):
        return True
    return _affords(self, level, chosen)


MUTANTS: list[tuple[str, type, str, Any]] = [
    ("retries_stay_a_fraction", Budget, "spend", _always),
    ("quiet_hours_save_up_no_storm", Budget, "_refilled", _never_full),
    ("groups_earn_nothing", Budget, "_refilled", _never_refills),
    ("a_new_source_is_free", Admissions, "_affords", _switches_cost),
    ("progress_is_free", Admissions, "_affords", _switches_cost),
    ("progress_is_free", Admissions, "_affords", _restarts_are_progress),
]


@each_mutant(MUTANTS)
def test_the_law_kills_the_mutant(law: str, mutated: None) -> None:
    """Wrong budgets break the law that they are about."""
    with pytest.raises((AssertionError, ExceptionGroup)):
        check_law(LAWS[law], "sync", max_examples=200, **SEARCH)


def test_threads_share_it() -> None:
    """Threads that retry at the same time spend each token once."""
    budget = Budget(ratio=0, reserve=50, per_second=0)
    spent: list[bool] = []

    def spend() -> None:
        spent.extend(budget.spend() for _ in range(100))

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(spent) == 50


def test_its_repr() -> None:
    """It shows its rules, and how much is left."""
    budget = Budget(ratio=0.2, reserve=5, per_second=0, clock=lambda: 0.0)
    assert budget.spend()
    assert repr(budget) == "Budget(ratio=0.2, reserve=5, per_second=0) with 4.0 left"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ratio": -0.1}, ValueError, "ratio must be a finite number of at least 0, got -0.1"),
        ({"ratio": "1"}, TypeError, "ratio must be a number of at least 0, got '1'"),
        ({"reserve": 0.5}, ValueError, "reserve must be a finite number of at least 1, got 0.5"),
        ({"reserve": True}, TypeError, "reserve must be a number of at least 1, got True"),
        ({"per_second": math.inf}, ValueError, "per_second must be a finite number"),
        ({"clock": 3}, TypeError, "clock must be a function"),
        ({"tokens": 3}, TypeError, "got an unexpected option 'tokens'"),
    ],
)
def test_wrong_options(options: Any, error: type[Exception], message: str) -> None:
    """Wrong use fails at once, and the error names the option, the value and what is allowed."""
    with pytest.raises(error, match=message):
        Budget(**options)


def test_only_a_budget_is_a_budget() -> None:
    """The option of a stream takes a `Budget`, an object and not the class."""
    for wrong in (0.1, Budget):
        with quiet(), pytest.raises(TypeError, match="^budget must be a Budget, or None, got "):
            failover_stream([list], retry_on=OSError, budget=wrong)  # type: ignore[arg-type]
