"""The promises of the rules of `Health`, as properties of a store; and wrong rules.

Each law drives one store: streams that ask and report in any order, while time passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from failover_iter.health import Admission, LocalStore, Rules
from failover_iter.health._cells import Cell

OUTCOMES = ["committed", "good", "failed", "failed", "nothing"]
#: Whole milliseconds, so that no sum of them is rounded.
PAUSES = [0.0, 0.0, 0.125, 1.0, 3.0, 7.0, 40.0]
RULES = st.builds(
    Rules,
    failures=st.integers(1, 3),
    cooldown=st.sampled_from([1_000, 5_000]),
    maximum=st.sampled_from([5_000, 20_000]),
    lease=st.just(3_000),
)
DELAYS = st.sampled_from([0, 0, 0, 4_000, 60_000])


@dataclass
class World:
    """A store with its own clock, and the tickets that it has handed out."""

    rules: Rules = field(default_factory=lambda: Rules(3, 30_000, 300_000, 60_000))
    now: float = 1000.0
    open: list[Admission] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store: Any = LocalStore(lambda: self.now)

    def ask(self, key: str = "a") -> Admission:
        admission: Admission = self.store.admit(key, self.rules)
        self.open.append(admission)
        return admission

    def report(self, admission: Admission, outcome: Any, retry_after: int = 0) -> None:
        if admission in self.open:
            self.open.remove(admission)
        self.store.report(admission, outcome, retry_after, self.rules)

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.report(self.ask(), "failed")

    def seen(self, key: str = "a") -> Any:
        return self.store.snapshot(self.rules).get(key)

    def health(self, key: str = "a") -> Any:
        return self.store.snapshot(self.rules)[key]


def wander(world: World, data: Any, steps: int = 30) -> None:
    """Let streams ask and report at random."""
    for _ in range(data.draw(st.integers(0, steps), "steps")):
        world.now += data.draw(st.sampled_from(PAUSES), "pause")
        if world.open and data.draw(st.booleans(), "reports"):
            ticket = data.draw(st.sampled_from(world.open), "ticket")
            world.report(ticket, data.draw(st.sampled_from(OUTCOMES)), data.draw(DELAYS))
        else:
            world.ask()


def eject(world: World) -> None:
    """Fail until the source is out, whatever was before."""
    while True:
        ticket = world.ask()
        if ticket.admitted:
            world.report(ticket, "failed")
        elif world.health().state == "out":
            return
        else:
            world.now += ticket.seconds  # another one probes


# The laws. Each takes the data of Hypothesis and raises AssertionError if it does not hold.


def b1_a_source_that_is_out_comes_back(data: Any) -> None:
    """B1: whoever is told "no" is told for how long, and one of them is let in then."""
    world = World(data.draw(RULES))
    wander(world, data)
    ticket = world.ask()
    if not ticket.admitted:
        assert ticket.seconds > 0
        world.now += ticket.seconds
        assert world.ask().admitted


def b2_an_item_lets_all_in_and_the_end_forgives(data: Any) -> None:
    """B2: a commit admits others, but one more failure is enough; the end forgives all."""
    world = World(data.draw(RULES))
    wander(world, data)
    eject(world)
    world.now += world.ask().seconds
    probe = world.ask()
    assert (probe.verdict, world.ask().verdict) == ("probe", "no")
    world.report(probe, "committed")
    others = [world.ask() for _ in range(3)]
    assert {other.verdict for other in others} == {"yes"}
    level = world.health().level
    assert level > 0
    if data.draw(st.booleans(), "completes"):
        world.report(probe, "good")
        assert (world.health().failures, world.health().level) == (0, 0)
    else:
        world.report(probe, "failed")
        assert (world.health().state, world.health().level) == ("out", level + 1)


def b3_leaving_is_no_failure_and_gives_a_probe_back(data: Any) -> None:
    """B3: who leaves without an item counts for nothing, and the next one may probe."""
    world = World(data.draw(RULES))
    wander(world, data)
    if data.draw(st.booleans(), "is out"):
        eject(world)
        world.now += world.ask().seconds
    ticket = world.ask()
    before = world.seen()
    world.report(ticket, "nothing")
    if ticket.verdict == "probe":
        assert world.ask().verdict == "probe"
    else:
        assert before in (None, world.seen())


def b4_one_probe_at_a_time(data: Any) -> None:
    """B4: while a probe has its lease, nobody else has one; a probe that dies gives way."""
    world = World(data.draw(RULES))
    for _ in range(data.draw(st.integers(1, 4), "rounds")):
        wander(world, data, steps=10)
        eject(world)
        world.now += world.ask().seconds
        probe = world.ask()
        assert probe.verdict == "probe"
        gone = data.draw(st.sampled_from([0.0, 1.5, 2.999]), "gone")
        world.now += gone
        assert world.ask().verdict == "no"
        world.now += world.rules.lease / 1000 - gone
        assert world.ask().verdict == "probe"


def b5_one_outage_ejects_once(data: Any) -> None:
    """B5: what was admitted before the ejection neither doubles nor heals; it may lengthen."""
    world = World(data.draw(RULES))
    wander(world, data)
    before = [ticket for ticket in [world.ask() for _ in range(5)] if ticket.verdict == "yes"]
    eject(world)
    out = world.health()
    for ticket in [*before, *(world.ask() for _ in range(3))]:
        delay = data.draw(DELAYS, "delay")
        outcome = data.draw(st.sampled_from(OUTCOMES), "outcome") if ticket in before else "failed"
        world.report(ticket, outcome, delay)
        now = world.health()
        assert (now.state, now.level) == ("out", out.level)
        wanted = delay / 1000 if outcome == "failed" else 0.0
        assert now.until == max(out.until, wanted)
        out = now


def b6_the_later_deadline_wins(data: Any) -> None:
    """B6: Retry-After against the cool-down, which doubles up to its maximum."""
    world = World(data.draw(RULES))
    cooldown = world.rules.cooldown
    for level in range(1, 8):
        while True:
            delay = data.draw(DELAYS, "delay")
            world.report(world.ask(), "failed", delay)
            if world.health().state == "out":
                break
        pause = min(cooldown * 2 ** (level - 1), world.rules.maximum)
        assert world.health().level == level
        assert world.health().until == max(pause, delay) / 1000
        world.now += world.health().until


LAWS: dict[str, Callable[[Any], None]] = {
    law.__name__[:2]: law
    for law in (
        b1_a_source_that_is_out_comes_back,
        b2_an_item_lets_all_in_and_the_end_forgives,
        b3_leaving_is_no_failure_and_gives_a_probe_back,
        b4_one_probe_at_a_time,
        b5_one_outage_ejects_once,
        b6_the_later_deadline_wins,
    )
}


# Mutants: the rules as one might write them, each with one bug.

_admit, _after = Cell.admit, Cell.after


def _shut_for_ever(cell: Cell, key: str, now: int, rules: Rules) -> Admission:
    """A source that is out is never asked again."""
    return replace(_admit(cell, key, now, rules), verdict="no") if cell.is_out else Admission(key)


def _everyone_probes(cell: Cell, key: str, now: int, rules: Rules) -> Admission:
    """Half-open lets everyone in (pybreaker, aiobreaker): a storm at the end of each cool-down."""
    return _admit(replace(cell, lease=0), key, now, rules)


def _probe_without_a_lease(cell: Cell, key: str, now: int, rules: Rules) -> Admission:
    """A probe that dies, with its process or its task, wedges the breaker for good."""
    lease = 10**15 if cell.lease else 0
    return _admit(replace(cell, lease=lease), key, now, rules)


def _the_end_opens_the_gate(cell: Cell, report: Any, rules: Rules) -> Cell:
    """A stream that runs for hours keeps all others out, though the source is well."""
    return cell if report.outcome == "committed" else _after(cell, report, rules)


def _the_first_item_forgives(cell: Cell, report: Any, rules: Rules) -> Cell:
    """Success at the opening hides deaths in the middle of streams: the cool-down never grows."""
    if report.outcome == "committed":
        report = report._replace(outcome="good")
    return _after(cell, report, rules)


def _leaving_wedges(cell: Cell, report: Any, rules: Rules) -> Cell:
    """A `GeneratorExit` during the probe leaves the breaker half-open, for the whole lease."""
    return cell if report.outcome == "nothing" else _after(cell, report, rules)


def _leaving_fails(cell: Cell, report: Any, rules: Rules) -> Cell:
    """A cancelled consumer counts as a failure."""
    if report.outcome == "nothing":
        report = report._replace(outcome="failed")
    return _after(cell, report, rules)


def _each_failure_doubles(cell: Cell, report: Any, rules: Rules) -> Cell:
    """The hundred streams that one outage ends eject a hundred times."""
    return _after(cell, report._replace(generation=cell.generation, lease=1), rules)


def _stale_good_news(cell: Cell, report: Any, rules: Rules) -> Cell:
    """An old stream that ends well heals a source that is down."""
    if report.outcome == "good":
        report = report._replace(generation=cell.generation)
    return _after(cell, report, rules)


def _no_time_asked_for(cell: Cell, report: Any, rules: Rules) -> Cell:
    """Retry-After does not count."""
    return _after(cell, report._replace(retry_after=0), rules)


def _retry_after_alone(cell: Cell, report: Any, rules: Rules) -> Cell:
    """Retry-After replaces the cool-down, also a longer one."""
    after = _after(cell, report, rules)
    asked = bool(report.retry_after) and after.generation != cell.generation
    return replace(after, until=report.now + report.retry_after) if asked else after


MUTANTS: list[tuple[str, type, str, Any]] = [
    ("b1", Cell, "admit", _shut_for_ever),
    ("b4", Cell, "admit", _everyone_probes),
    ("b4", Cell, "admit", _probe_without_a_lease),
    ("b2", Cell, "after", _the_end_opens_the_gate),
    ("b2", Cell, "after", _the_first_item_forgives),
    ("b3", Cell, "after", _leaving_wedges),
    ("b3", Cell, "after", _leaving_fails),
    ("b5", Cell, "after", _each_failure_doubles),
    ("b5", Cell, "after", _stale_good_news),
    ("b6", Cell, "after", _no_time_asked_for),
    ("b6", Cell, "after", _retry_after_alone),
]
