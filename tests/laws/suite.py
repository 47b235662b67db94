"""How `check_failover_laws` checks a combinator: with random plans, and a reference model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from failover_iter.testing._faults import Bug, make_error
from failover_iter.testing._oracle import Oracle, Oracles
from failover_iter.testing._plan_strategies import DEFAULT_FAULTS, plans
from failover_iter.testing._plans import GENERATORS, Plan, SourceScript
from failover_iter.testing._runs import RunResult
from failover_iter.testing._verify import itself, run_plan, verify
from failover_iter.testing._worlds import Flavour
from failover_iter.typing import Mode

Combinator: TypeAlias = Callable[[Any], Any]
Verdict: TypeAlias = Literal["ends", "outage", "error"]

#: All failures of a source, in every phase, and all kinds of sources.
OUTAGES: Final = (
    *DEFAULT_FAULTS, "group", "await", "chained", "both", "returning", "opens slowly",
    "close slow", "late", "stalls",
)  # fmt: skip
#: All faults: failures of a source, and errors that are not.
EVERYTHING: Final = (*OUTAGES, "base", "mixed", "stop", "close bug", "close base")


@dataclass(frozen=True)
class Suite:
    """A combinator, and how to check it: the arguments of `check_failover_laws`."""

    combinator: Combinator
    failure: type[Exception]
    mode: Mode
    flavour: Flavour
    nest: Callable[[list[Any]], Any] | None
    twin: Combinator | None
    waiting: Combinator | None
    max_examples: int | None

    @property
    def settings(self) -> settings:
        """The settings of the loaded profile, with `max_examples` if given."""
        quiet = settings(
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            phases=[each for each in settings().phases if each is not Phase.explain],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.nested_given],
        )
        most = self.max_examples
        return quiet if most is None else settings(quiet, max_examples=most)

    def each(
        self,
        check: Callable[[Plan], object],
        *,
        faults: Iterable[str] = EVERYTHING,
        consumers: Iterable[str] = ("drain", "slow"),
    ) -> None:
        """Check random plans."""
        sizes = [
            plans(
                sources=sources,
                max_items=items,
                errors=[self.failure],
                faults=faults,
                consumers=consumers,
            )
            for sources, items in ((2, 4), (3, 6), (6, 8))
        ]

        @self.settings
        @given(st.one_of(sizes))
        def explored(plan: Plan) -> None:
            check(plan)

        explored()

    def explore(
        self, oracles: Oracles, *, combinator: Combinator | None = None, **which: Iterable[str]
    ) -> None:
        """Verify random plans with these oracles."""
        chosen = combinator or self.combinator
        self.each(
            lambda plan: verify(
                lambda *f: chosen(iter(f)), plan, oracles=oracles, flavour=self.flavour
            ),
            **which,
        )

    def run(
        self,
        plan: Plan,
        combinator: Combinator | None = None,
        *,
        flavour: Flavour | None = None,
        item: Callable[[str], Any] = itself,
    ) -> RunResult:
        """Run one plan."""
        chosen = combinator or self.combinator

        def pipeline(*factories: Any) -> Any:
            return chosen(list(factories))

        return run_plan(pipeline, plan, flavour=flavour or self.flavour, item=item)

    @property
    def is_exactly_once(self) -> bool:
        """Whether no item is delivered twice."""
        return self.mode in ("skip", "resume")

    @property
    def model(self) -> Oracle:
        """The oracle that compares a run with the reference model of the mode."""
        return Oracle.equals(delivered_under(self.mode))


# The reference model: the items that a combinator delivers in each mode. It knows plans alone, so
# any combinator can be compared with it. The tests of this library have a model of whole traces,
# and compare the two.


def delivered_under(mode: Mode) -> Callable[[Plan], Iterator[Any]]:
    """Return the model of a combinator in this mode that opens each source once."""

    def model(plan: Plan) -> Iterator[Any]:
        delivered = 0
        error: BaseException = Bug("there was no source")
        for scripts in plan.sources:
            script = scripts[0]
            if mode == "restart":
                delivered = 0
            items = _items_of(script)
            replayed = mode in ("skip", "resume")
            for item in items[delivered:] if replayed else items:
                delivered += 1
                yield item
            # In mode "skip", a sequence that is too short is a different one: it has failed.
            verdict = _verdict(script, is_short=mode == "skip" and len(items) < delivered)
            if verdict == "ends":
                return
            error = make_error(script.error, plan.errors, "the model")
            if verdict == "error" or (mode == "raise" and delivered):
                break
        raise error

    model.__name__ = f"the model of {mode!r}"
    return model


def _items_of(script: SourceScript) -> str:
    return script.items if script.at == "pull" else ""


def _verdict(script: SourceScript, *, is_short: bool) -> Verdict:
    """Return how an attempt ends, as its consumer sees it."""
    is_generator = script.kind in GENERATORS
    nothing_to_close = script.kind == "bare" or script.at in ("call", "await")
    closing = "quietly" if nothing_to_close else script.closing
    if closing == "base":
        return "error"
    if is_generator and closing in ("raises", "bug"):
        return "outage" if closing == "raises" else "error"  # raised in `finally`
    if script.end != "ends":
        return "error" if script.error in ("bug", "base", "mixed", "stop") else "outage"
    if is_short:
        return "outage"  # whatever closing does then
    if closing in ("raises", "bug"):
        return "error"  # closing failed after a normal end: the consumer gets the error
    return "ends"
