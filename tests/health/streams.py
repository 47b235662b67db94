"""Laws B1 to B7 and B10 for streams with a `Health`; and streams that break them.

Each law is a scenario (`support.worlds`), so it is played by sync streams, asyncio and trio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import strategies as st

from failover_iter import Health, PassedOver, Policy
from failover_iter._core.admission import Admissions
from failover_iter._core.groups import Level
from failover_iter._core.reporting import Reporter
from support.laws import table
from support.worlds import World


class Busy(ConnectionError):
    """The provider asks to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__("busy")
        self.retry_after = seconds


class Interrupt(BaseException):
    """The consumer is gone: no `Exception`."""


class Plant:
    """Sources that are sick or well as the test says, and a policy whose streams share a health."""

    def __init__(self, world: World, names: str = "ab", **rules: Any) -> None:
        self.world = world
        self.sick: dict[str, BaseException] = {}
        self.cut: dict[str, BaseException] = {}
        self.health = Health(clock=world.time, **{"failures": 2, "cooldown": 10, **rules})
        self.sources = [self.source(name) for name in names]

    def source(self, name: str) -> Any:
        async def body() -> AsyncIterator[int]:
            if name in self.sick:
                raise self.sick[name]
            yield 1
            if name in self.cut:
                raise self.cut[name]
            yield 2

        return self.world.source(name, body)

    def policy(self, **options: Any) -> Policy:
        options = {"retry_on": ConnectionError, "on_event": self.world.events.append, **options}
        return Policy(health=self.health, **options)

    def is_down(self, *names: str) -> None:
        self.sick = {name: ConnectionError("refused") for name in names}

    async def asked(self, **options: Any) -> str:
        return "".join(await self.world.asked_by(self.policy(**options), self.sources))

    async def eject(self, name: str) -> None:
        """Fail until this source is out."""
        self.is_down(name)
        policy, sources = self.policy(), [self.source(name)]
        while (known := self.health.snapshot().get(name)) is None or known.state != "out":
            await self.world.asked_by(policy, sources)
        self.is_down()

    def state(self, name: str) -> Any:
        return self.health.snapshot()[name]


async def b1_order_never_removal(world: World, data: Any) -> None:
    """B1: the sick are asked last, the soonest first, and each is asked if all others fail."""
    plant = Plant(world, "abcd", failures=data.draw(st.integers(1, 2)))
    for _ in range(data.draw(st.integers(1, 8), "streams")):
        await world.sleep(data.draw(st.sampled_from([0.0, 3.0, 11.0, 25.0]), "pause"))
        plant.is_down(*data.draw(st.sets(st.sampled_from("abcd")), "down"))
        known = plant.health.snapshot()
        out = {key: each.until for key, each in known.items() if each.until > 0}
        order = [name for name in "abcd" if name not in out] + sorted(out, key=lambda key: out[key])
        well = [at for at, name in enumerate(order) if name not in plant.sick]
        assert await plant.asked() == "".join(order[: well[0] + 1] if well else order)


async def b1_a_retry_asks_too(world: World, data: Any) -> None:
    """B1: a source that is ejected meanwhile is left, and gets its attempts at the end."""
    failures = data.draw(st.integers(1, 3))
    plant = Plant(world, failures=failures)
    plant.is_down("a", "b")
    asked = await plant.asked(attempts=4, wait=data.draw(st.sampled_from([0, 0.5])))
    assert asked.startswith("a" * failures + "b" * failures)
    assert sorted(asked) == sorted("aaaabbbb")


async def b1_a_pause_ends_with_a_question(world: World, data: Any) -> None:
    """B1: a source that others eject in the pause before a retry is left too."""
    plant = Plant(world)
    plant.is_down("a")
    pause = data.draw(st.sampled_from([0.0, 0.5]))

    def wait(failed: Any) -> float:
        plant.health.report(plant.health.admit("a"), "failed", ConnectionError())
        return pause

    asked = await plant.asked(attempts=3, wait=wait)
    assert asked == ("ab" if pause else "aab")
    names = [type(event).__name__ for event in world.events]
    if pause:
        assert names[:6] == ["Opening", "Failed", "Waiting", "PassedOver", "Switched", "Opening"]


async def b1_lazy_factories_are_read_in_part(world: World, data: Any) -> None:
    """B1: of endless `factories` 64 are postponed, then the soonest is asked."""
    plant = Plant(world)
    await plant.eject("a")
    plant.is_down("a")
    read: list[int] = []

    def endless() -> Any:
        while len(read) < 500:
            read.append(1)
            yield plant.sources[0]

    world.asked.clear()
    stream = world.stream(plant.policy(give_up_after=data.draw(st.sampled_from([1, 5]))), endless())
    plant.is_down()
    assert await world.next(stream) == 1
    await world.close(stream)
    assert (world.asked, len(read)) == (["a"], 64)


async def b2_commit_opens_the_gate_and_the_end_forgives(world: World, data: Any) -> None:
    """B2: an item lets others in; a death after it counts as one at the start, an end forgives."""
    plant = Plant(world)
    await plant.eject("a")
    await world.sleep(10)
    stream = world.stream(plant.policy(), plant.sources)
    assert await world.next(stream) == 1
    assert plant.state("a").state == "ok"
    assert await plant.asked() == "a"  # while the probe is still running
    plant.cut["a"] = ConnectionError("reset by peer")
    await plant.eject("a")
    await world.sleep(10)
    died = world.stream(plant.policy(mid_stream="raise"), plant.sources)
    assert await world.next(died) == 1
    with pytest.raises(ConnectionError):
        await world.next(died)
    assert (plant.state("a").state, plant.state("a").level) == ("out", 2)
    await world.sleep(20)
    plant.cut.clear()
    probe = world.stream(plant.policy(), plant.sources)
    assert await world.next(probe) == 1
    match data.draw(st.sampled_from(["ends", "closes", "throws"])):
        case "ends":
            assert await world.rest(probe) == [2]
        case "closes":
            await world.close(probe)
        case _:
            with pytest.raises(ValueError, match="mine"):
                await world.throw(probe, ValueError("mine"))
    assert (plant.state("a").failures, plant.state("a").level) == (0, 0)
    await world.close(stream)


async def b3_leaving_is_no_failure(world: World, data: Any) -> None:
    """B3: a consumer that is gone before an item counts for nothing, and frees the probe."""
    plant = Plant(world)
    is_probe = data.draw(st.booleans(), "probe")
    if is_probe:
        await plant.eject("a")
        await world.sleep(10)
    else:
        plant.is_down("a")
        await plant.asked()
    before = plant.state("a")
    plant.sick["a"] = Interrupt()
    world.asked.clear()
    with pytest.raises(Interrupt):
        await world.drain(plant.policy(), plant.sources)
    plant.is_down()
    assert plant.state("a") == before
    assert await plant.asked() == "a"


async def b4_one_probe(world: World, data: Any) -> None:
    """B4: while one stream probes, others leave the source alone, until the lease has expired."""
    plant = Plant(world, lease=5)
    await plant.eject("a")
    await world.sleep(10)
    world.asked.clear()
    gone = data.draw(st.sampled_from([0.0, 4.999, 5.0]))

    async def probed() -> AsyncIterator[int]:
        await world.sleep(gone)
        if len(world.asked) < 2:
            assert await plant.asked() == ("b" if gone < 5 else "a")
        yield 1

    assert await world.drain(plant.policy(), [world.source("a", probed)]) == [1]


async def b5_one_outage_ejects_once(world: World, data: Any) -> None:
    """B5: a thousand streams that one outage ends eject their source once."""
    plant = Plant(world, "a")
    streams = [world.stream(plant.policy(), plant.sources) for _ in range(1000)]
    for stream in streams:
        assert await world.next(stream) == 1
    plant.cut["a"] = ConnectionError("reset by peer")
    plant.is_down("a")
    for stream in streams:
        with pytest.raises(ConnectionError):
            await world.next(stream)
        await world.sleep(0.01)
    assert plant.state("a").level == 1
    assert plant.state("a").until <= 0.1  # 10 s from the second failure


async def b6_the_later_deadline_wins(world: World, data: Any) -> None:
    """B6: an error that asks to wait ejects at once, for that time or the cool-down."""
    plant = Plant(world, failures=9)
    seconds = data.draw(st.sampled_from([1.0, 10.0, 60.0]))
    plant.sick["a"] = Busy(seconds)
    assert await plant.asked() == "ab"
    assert plant.state("a").until == pytest.approx(max(10.0, seconds))


async def b7_only_failures_count(world: World, data: Any) -> None:
    """B7: no bug of the user's opens a breaker, and `switch_on` only with a Retry-After."""
    plant = Plant(world, failures=1, counts=ConnectionAbortedError)
    policy = plant.policy(switch_on=(LookupError, Busy, ConnectionAbortedError))
    cases: list[tuple[BaseException, str]] = [
        (ConnectionError("refused"), "out"),
        (ValueError("a bug"), "ok"),
        (LookupError("404"), "ok"),
        (Busy(1), "out"),
        (ConnectionAbortedError("counts"), "out"),
    ]
    error, state = data.draw(st.sampled_from(cases))
    plant.sick["a"] = error
    with pytest.raises(ValueError, match="bug") if "bug" in str(error) else nullcontext():
        await world.drain(policy, plant.sources)
    assert plant.state("a").state == state


async def b10_seen(world: World, data: Any) -> None:
    """B10: what is passed over is an event, and the snapshot says why."""
    plant = Plant(world, "abc")
    for name in data.draw(st.sets(st.sampled_from("ab"), min_size=1), "out"):
        await plant.eject(name)
    out = [name for name in "abc" if plant.health.snapshot().get(name)]
    world.events.clear()
    (first,) = await plant.asked()
    passed = [event for event in world.events if isinstance(event, PassedOver)]
    assert [event.source for event in passed] == [name for name in out if name < first]
    assert {event.reason for event in passed} <= {"health"}
    for name in out:
        assert name in str(plant.health)
        assert (plant.state(name).state, plant.state(name).level) == ("out", 1)


LAWS = table(
    b1_order_never_removal,
    b1_a_retry_asks_too,
    b1_a_pause_ends_with_a_question,
    b1_lazy_factories_are_read_in_part,
    b2_commit_opens_the_gate_and_the_end_forgives,
    b3_leaving_is_no_failure,
    b4_one_probe,
    b5_one_outage_ejects_once,
    b6_the_later_deadline_wins,
    b7_only_failures_count,
    b10_seen,
)


# Mutants: streams as one might write them, each with one bug.

_report, _ask, _passed_over = Level.report, Admissions.ask, Reporter.passed_over


def _removes(self: Admissions, level: Level) -> None:
    """Sources that are out are never asked."""


def _last_first(self: Admissions, level: Level) -> Any:
    """The source that is out for longest is asked first."""
    return level.postponed.pop().chosen if level.postponed else None


def _retries_without_a_question(
    self: Admissions, level: Level, chosen: Any, find_next: Any, then: Any, error: Any = None
) -> Any:
    """A stream that has opened a source stays with it (most breakers guard the call alone)."""
    if error is not None and chosen is not None and chosen[0] is level.source:
        return then(chosen)
    return _ask(self, level, chosen, find_next, then, error)


def _no_question_after_a_pause(
    self: Admissions, level: Level, chosen: Any, find_next: Any, then: Any, error: Any = None
) -> Any:
    """What others learn in a pause does not count."""
    if error is None and level.failures.count:
        return then(chosen)
    return _ask(self, level, chosen, find_next, then, error)


def _reads_on(self: Admissions, level: Level, chosen: Any, *rest: Any) -> Any:
    """Endless factories are read until one is admitted."""
    if level.postponed:
        del level.postponed[1:]
    return _ask(self, level, chosen, *rest)


def _silent_commit(level: Level, outcome: Any, *args: Any, **options: Any) -> None:
    """The first item is not reported: the gate stays shut while a healthy stream runs."""
    if outcome != "committed":
        _report(level, outcome, *args, **options)


def _success_at_the_opening(level: Level, outcome: Any, *args: Any, **options: Any) -> None:
    """A call counts as good once it has returned a stream: deaths after that go unseen."""
    _report(level, "good" if level.committed else outcome, *args, **options)


def _keeps_the_probe(level: Level, outcome: Any, *args: Any, **options: Any) -> None:
    """A `GeneratorExit` wedges the half-open state."""
    if outcome != "nothing":
        _report(level, outcome, *args, **options)


def _leaving_counts(level: Level, outcome: Any, *args: Any, **options: Any) -> None:
    """Whatever ends a stream early is a failure."""
    _report(level, "failed" if outcome == "nothing" else outcome, *args, **options)


def _every_failure_counts(
    level: Level, outcome: Any, error: Any = None, *, switches: bool = False
) -> None:
    """A 404 opens the breaker."""
    _report(level, outcome, error)


def _deaf_to_retry_after(
    level: Level, outcome: Any, error: Any = None, *, switches: bool = False
) -> None:
    """The stream does not pass on that the provider asks to wait."""
    _report(level, outcome, ConnectionError(str(error)) if error else None, switches=switches)


def _in_silence(self: Reporter, level: Level, source: Any, attempt: int, reason: Any) -> None:
    """A listener does not learn why the primary is not asked."""
    if reason != "health":
        _passed_over(self, level, source, attempt, reason)


MUTANTS: list[tuple[str, type, str, Any]] = [
    ("b1_order_never_removal", Admissions, "_pop_postponed", _removes),
    ("b1_order_never_removal", Admissions, "_pop_postponed", _last_first),
    ("b1_a_retry_asks_too", Admissions, "ask", _retries_without_a_question),
    ("b1_a_pause_ends_with_a_question", Admissions, "ask", _no_question_after_a_pause),
    ("b1_lazy_factories_are_read_in_part", Admissions, "ask", _reads_on),
    ("b2_commit_opens_the_gate_and_the_end_forgives", Level, "report", _silent_commit),
    ("b2_commit_opens_the_gate_and_the_end_forgives", Level, "report", _success_at_the_opening),
    ("b3_leaving_is_no_failure", Level, "report", _keeps_the_probe),
    ("b3_leaving_is_no_failure", Level, "report", _leaving_counts),
    ("b6_the_later_deadline_wins", Level, "report", _deaf_to_retry_after),
    ("b7_only_failures_count", Level, "report", _every_failure_counts),
    ("b7_only_failures_count", Level, "report", _leaving_counts),
    ("b10_seen", Reporter, "passed_over", _in_silence),
]
