"""The laws that `check_failover_laws` checks, one function each."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from failover_iter.testing._async_runs import drained_by
from failover_iter.testing._composed import equals
from failover_iter.testing._identity import check_identity
from failover_iter.testing._law_models import delivered_under
from failover_iter.testing._oracles import Oracles
from failover_iter.testing._plan_strategies import CONSUMERS, DEFAULT_FAULTS, plans
from failover_iter.testing._plans import LEAVING, Plan
from failover_iter.testing._run_plan import Flavour, run_plan
from failover_iter.testing._runs import RunResult
from failover_iter.testing._verify import verify
from failover_iter.typing import Mode

Combinator: TypeAlias = Callable[[Any], Any]

#: All failures of a source, in every phase.
OUTAGES: Final = (*DEFAULT_FAULTS, "group", "await", "close slow", "late", "stalls")
#: All faults: failures of a source, and errors that are not.
EVERYTHING: Final = (*OUTAGES, "base", "mixed", "stop", "close bug")
#: Consumers that leave before the end, or that call a method only generators have.
MEDDLING: Final = (*LEAVING, "send")

MANY: Final = 5000


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A combinator, and how to check it."""

    combinator: Combinator
    mode: Mode
    failure: type[Exception]
    flavour: Flavour
    nest: Callable[[list[Any]], Any] | None
    twin: Combinator | None
    max_examples: int | None
    #: Options of `run_plan`.
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def settings(self) -> settings:
        """The settings of the loaded profile, with `max_examples` if given."""
        quiet = settings(
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            phases=[phase for phase in Phase if phase is not Phase.explain],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.nested_given],
        )
        if self.max_examples is None:
            return quiet
        return settings(quiet, max_examples=self.max_examples)

    def plans(self, *, faults: Iterable[str], consumers: Iterable[str]) -> st.SearchStrategy[Plan]:
        """Return a strategy of plans for this combinator."""
        return plans(sources=3, errors=[self.failure], faults=faults, consumers=consumers)

    def pipeline(self, *factories: Any) -> Any:
        """Call the combinator as a pipeline, with an iterator of factories."""
        return self.combinator(iter(factories))

    def explore(
        self,
        oracles: Oracles,
        *,
        faults: Iterable[str] = EVERYTHING,
        consumers: Iterable[str] = ("drain", "slow"),
    ) -> None:
        """Verify random plans."""
        self.each(
            lambda plan: self.verify(plan, oracles),
            self.plans(faults=faults, consumers=consumers),
        )

    def each(self, check: Callable[[Plan], object], strategy: st.SearchStrategy[Plan]) -> None:
        """Call a check with random plans."""

        @self.settings
        @given(strategy)
        def explore(plan: Plan) -> None:
            check(plan)

        explore()

    def verify(self, plan: Plan, oracles: Oracles) -> None:
        """Run one plan and check the result."""
        verify(self.pipeline, plan, oracles=oracles, flavour=self.flavour, **self.options)

    def run_plan(self, combinator: Combinator, plan: Plan) -> RunResult:
        """Run one plan on any combinator of this flavour."""
        return run_plan(
            lambda *factories: combinator(list(factories)),
            plan,
            flavour=self.flavour,
            **self.options,
        )

    def drained(self, sources: list[Callable[[], Iterator[Any]]]) -> list[Any]:
        """Return the types of the items that the combinator delivers, without a log."""
        return drained_by(self.flavour, self.combinator, sources)


Check: TypeAlias = Callable[[Suite], None]
LAWS: Final[dict[str, Check]] = {}


def _law(check: Check) -> Check:
    LAWS[check.__name__.removeprefix("_").replace("_", " ")] = check
    return check


@_law
def _identity(suite: Suite) -> None:
    """A stream over one source acts like `yield from`: items, send, throw, close, value, errors."""
    check_identity(
        suite.combinator,
        suite.failure,
        is_async=suite.flavour != "sync",
        settings=settings(suite.settings, stateful_step_count=12),
    )


@_law
def _laziness(suite: Suite) -> None:
    """No factory is taken or called and no item pulled before the consumer asks for an item."""
    suite.explore(["lazy", "no_read_ahead"], consumers=CONSUMERS)

    def check(plan: Plan) -> None:
        taken: list[int] = []

        def pipeline(*factories: Any) -> Any:
            return suite.combinator(_counted(factories, taken))

        def no_factory_is_taken_before_its_turn(run: RunResult) -> bool:
            return len(taken) <= len(run.entries("open"))

        verify(
            pipeline,
            plan,
            oracles=no_factory_is_taken_before_its_turn,
            flavour=suite.flavour,
            **suite.options,
        )

    suite.each(check, suite.plans(faults=EVERYTHING, consumers=("drain", "close")))


def _counted(factories: Iterable[Any], taken: list[int]) -> Iterator[Any]:
    for number, factory in enumerate(factories):
        taken.append(number)
        yield factory


@_law
def _switching(suite: Suite) -> None:
    """When a source fails, in any phase, the next source takes over as the mode specifies."""
    model = equals(delivered_under(suite.mode))
    suite.explore(model, faults=(*OUTAGES, "ends early", "empty"))
    # Not "cancel": a source may answer it with another error, which is a failure like any other.
    leaving = [consumer for consumer in LEAVING if consumer != "cancel"]
    suite.explore(model, faults=OUTAGES, consumers=("drain", *leaving))
    if suite.mode in ("skip", "resume"):
        suite.explore("exactly_once", faults=OUTAGES)


@_law
def _transparency(suite: Suite) -> None:
    """An error that is not a source failure reaches the consumer unchanged and opens nothing."""
    model = equals(delivered_under(suite.mode))
    suite.explore(["transparent", model])
    suite.explore("transparent", consumers=("cancel", "cancel_close"))


@_law
def _blame(suite: Suite) -> None:
    """A throw, send or close by the consumer never causes a switch."""
    suite.explore(["transparent", "no_reopen"], faults=EVERYTHING, consumers=MEDDLING)
    if suite.mode in ("skip", "resume"):
        suite.explore(
            ["no_duplicates", "in_order", "nothing_else"],
            faults=OUTAGES,
            consumers=("send", "reenter", "concurrent"),
        )


@_law
def _exhaustion(suite: Suite) -> None:
    """When the last source fails, its error is raised to the consumer: the same object."""
    suite.explore("same_error")
    suite.explore("same_error", faults=("raises", "call", "iter", "falsy", "iterator"))


@_law
def _associativity(suite: Suite) -> None:
    """Nested combinators deliver the same items as one flat combinator."""
    if suite.nest is None and suite.mode == "resume":
        return  # the nested stream must learn where to resume, and only `nest` can pass that on

    def opened(factories: list[Any]) -> Any:
        return lambda: suite.combinator(factories)

    nest = suite.nest or opened

    def nested(factories: list[Any]) -> Any:
        return suite.combinator([factories[0], nest(factories[1:])])

    def check(plan: Plan) -> None:
        flat, deep = suite.run_plan(suite.combinator, plan), suite.run_plan(nested, plan)
        assert seen(deep) == seen(flat), f"nested combinators deliver something else, for {plan!r}"

    suite.each(check, suite.plans(faults=OUTAGES, consumers=("drain", "close")))


def seen(run: RunResult) -> tuple[Any, ...]:
    """Return what the consumer of a run received."""
    return run.delivered, run.ended, type(run.error)


@_law
def _one_at_a_time(suite: Suite) -> None:
    """At most one source is open: a failed source is closed before the next one is opened."""
    suite.explore("one_open", consumers=CONSUMERS)


@_law
def _closing(suite: Suite) -> None:
    """Every opened source is closed exactly once, however the stream ends."""
    suite.explore(["no_leak", "closed_once"], consumers=CONSUMERS)


@_law
def _twins(suite: Suite) -> None:
    """Both flavours do the same: they open, pull, close and deliver in the same order."""
    twin = suite.twin
    if twin is None:
        return
    other: Flavour = "asyncio" if suite.flavour == "sync" else "sync"

    def check(plan: Plan) -> None:
        theirs = run_plan(lambda *factories: twin(list(factories)), plan, flavour=other)
        ours = run_plan(
            lambda *factories: suite.combinator(list(factories)), plan, flavour=suite.flavour
        )
        assert steps(ours) == steps(theirs), f"the twins differ, for {plan!r}"

    consumers = ("drain", "slow", "close", "throw", "drop")
    suite.each(check, suite.plans(faults=EVERYTHING, consumers=consumers))


def steps(run: RunResult) -> list[tuple[Any, ...]]:
    """Return the log of a run as comparable data: error classes, no stack depths, no times."""
    return [
        (entry.what, entry.source, entry.opening, _shown(entry.value), entry.phase)
        for entry in run.log
        if entry.what not in ("stray", "end", "left")
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, BaseException):
        return type(value).__name__
    return None if isinstance(value, int) else value


@_law
def _no_shared_state(suite: Suite) -> None:
    """Two streams do not affect each other, even if one runs while the other is in progress."""

    def check(plan: Plan) -> None:
        other = Plan("a#", "ab|", errors=plan.errors)
        alone = steps(suite.run_plan(suite.combinator, plan))
        other_alone = steps(suite.run_plan(suite.combinator, other))
        within: list[Any] = []

        def item(letter: str) -> str:
            if not within:
                within.append(None)
                thread = threading.Thread(
                    target=lambda: within.append(steps(suite.run_plan(suite.combinator, other)))
                )
                thread.start()
                thread.join()
            return letter

        both = run_plan(
            lambda *factories: suite.combinator(list(factories)),
            plan,
            flavour=suite.flavour,
            item=item,
        )
        kept_apart = steps(both) == alone and within[1:] in ([], [other_alone])
        assert kept_apart, f"another stream changed the result, for {plan!r}"

    suite.each(check, suite.plans(faults=OUTAGES, consumers=("drain", "close")))


class _Thing:
    """An item that a weak reference can point to."""


@_law
def _constant_memory(suite: Suite) -> None:
    """A stream keeps at most the last delivered item, and failures leave nothing on the stack."""
    alive: weakref.WeakSet[_Thing] = weakref.WeakSet()
    most = 0

    def many(*_progress: Any) -> Iterator[Any]:
        nonlocal most
        for _ in range(MANY):
            thing = _Thing()
            alive.add(thing)
            most = max(most, len(alive))
            yield thing
            del thing

    def fails(*_progress: Any) -> Iterator[Any]:
        raise suite.failure("down")
        yield

    assert len(suite.drained([*[fails] * MANY, many])) == MANY
    assert most <= 4, f"{most} items were kept"  # noqa: PLR2004 (this loop's, the consumer's, the last)
