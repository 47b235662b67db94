"""How `check_failover_laws` checks a combinator: with random plans, and a reference model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from failover_iter.testing._law_models import delivered_under
from failover_iter.testing._oracle import Oracle, Oracles
from failover_iter.testing._plan_strategies import DEFAULT_FAULTS, plans
from failover_iter.testing._plans import Plan
from failover_iter.testing._runs import RunResult
from failover_iter.testing._verify import itself, run_plan, verify
from failover_iter.testing._worlds import Flavour
from failover_iter.typing import Mode

Combinator: TypeAlias = Callable[[Any], Any]

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
        if self.max_examples is None:
            return quiet
        return settings(quiet, max_examples=self.max_examples)

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
