"""How `check_failover_laws` checks a combinator: random plans, and what no oracle can see."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from failover_iter.testing._identity import check_identity
from failover_iter.testing._oracles import Oracles
from failover_iter.testing._plan_strategies import DEFAULT_FAULTS, plans
from failover_iter.testing._plans import Plan
from failover_iter.testing._runs import RunResult
from failover_iter.testing._verify import run_plan, verify
from failover_iter.testing._worlds import Flavour, run_coroutine

Combinator: TypeAlias = Callable[[Any], Any]

#: All failures of a source, in every phase, and all kinds of sources.
OUTAGES: Final = (
    *DEFAULT_FAULTS, "group", "await", "chained", "both", "returning", "opens slowly",
    "close slow", "late", "stalls",
)  # fmt: skip
#: All faults: failures of a source, and errors that are not.
EVERYTHING: Final = (*OUTAGES, "base", "mixed", "stop", "close bug", "close base")

#: How many sources fail, and how many items arrive, in the law of constant memory.
MANY: Final = 2000
#: How many items, and how many errors, may be alive then: those that a loop, its consumer and the
#: stream hold; and for the notes, some of the first errors and of the last ones.
MOST_ITEMS, MOST_ERRORS = 4, 40


@dataclass
class Suite:
    """A combinator, how to check it, and the laws that it was found to break."""

    combinator: Combinator
    failure: type[Exception]
    flavour: Flavour
    laws: dict[str, str]  # each with its sentence
    max_examples: int | None
    errors: list[Exception] = field(default_factory=list[Exception])
    #: Whether the law at hand was chosen.
    is_chosen: bool = True

    @contextmanager
    def law(self, name: str) -> Generator[None]:
        """Check a law in the block, if it was chosen; keep the error of the first check."""
        self.is_chosen = name in self.laws
        try:
            yield
        except Exception as error:  # noqa: BLE001 (raised by `report`, with those of other laws)
            error.add_note(f"the law of {name}: {self.laws[name]}")
            self.errors.append(error)

    def check(self, check: Callable[[], object]) -> None:
        """Check the law at hand, if it was chosen."""
        if self.is_chosen:
            check()

    def report(self) -> None:
        """Raise the errors of the broken laws."""
        if self.errors:
            name = getattr(self.combinator, "__name__", repr(self.combinator))
            raise ExceptionGroup(f"{name} breaks laws of failover", self.errors)

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
        """Check the law with random plans."""
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

        self.check(explored)

    def explore(
        self,
        oracles: Oracles,
        *,
        faults: Iterable[str] = EVERYTHING,
        consumers: Iterable[str] = ("drain", "slow"),
        combinator: Combinator | None = None,
    ) -> None:
        """Verify random plans with these oracles."""
        chosen = combinator or self.combinator

        def check(plan: Plan) -> None:
            verify(lambda *f: chosen(iter(f)), plan, oracles=oracles, flavour=self.flavour)

        self.each(check, faults=faults, consumers=consumers)

    def run_plan(self, combinator: Combinator, plan: Plan, **options: Any) -> RunResult:
        """Run one plan on any combinator of this flavour."""
        return run_plan(
            lambda *factories: combinator(list(factories)), plan, flavour=self.flavour, **options
        )

    # The checks that need more than an oracle.

    def identity(self) -> None:
        """Compare the stream over one source with `yield from`."""
        check_identity(
            self.combinator,
            self.failure,
            flavour=self.flavour,
            settings=self.settings,
        )

    def takes_no_factory_before_its_turn(self, plan: Plan) -> None:
        """Hand the factories over one by one, and count them."""
        taken: list[int] = []

        def counted(factories: Iterable[Any]) -> Iterator[Any]:
            for number, factory in enumerate(factories):
                taken.append(number)
                yield factory

        def no_factory_is_taken_before_its_turn(run: RunResult) -> bool:
            return len(taken) <= len(run.entries("open"))

        verify(
            lambda *factories: self.combinator(counted(factories)),
            plan,
            oracles=no_factory_is_taken_before_its_turn,
            flavour=self.flavour,
        )

    def delivers_the_same_nested(self, plan: Plan, nest: Any) -> None:
        """Compare the flat combinator with one whose second source is a combinator."""

        def opened(factories: list[Any]) -> Any:
            return lambda: self.combinator(factories)

        def nested(factories: list[Any]) -> Any:
            return self.combinator([factories[0], (nest or opened)(factories[1:])])

        flat, deep = self.run_plan(self.combinator, plan), self.run_plan(nested, plan)
        assert _seen(deep) == _seen(flat), f"nested combinators deliver something else, for {plan}"

    def does_as_its_twin(self, plan: Plan, twin: Any) -> None:
        """Compare the logs of both flavours."""
        other: Flavour = "asyncio" if self.flavour == "sync" else "sync"
        theirs = run_plan(lambda *factories: twin(list(factories)), plan, flavour=other)
        ours = self.run_plan(self.combinator, plan)
        assert _steps(ours) == _steps(theirs), f"the twins differ, for {plan}"

    def shares_nothing(self, plan: Plan) -> None:
        """Run another stream in the middle of a run, and compare both with runs alone."""
        other = Plan("a#", "ab|", errors=plan.errors)
        alone = _steps(self.run_plan(self.combinator, plan))
        other_alone = _steps(self.run_plan(self.combinator, other))
        within: list[Any] = []

        def item(letter: str) -> str:
            if not within:
                within.append(None)
                thread = threading.Thread(
                    target=lambda: within.append(_steps(self.run_plan(self.combinator, other)))
                )
                thread.start()
                thread.join()
            return letter

        both = self.run_plan(self.combinator, plan, item=item)
        kept_apart = _steps(both) == alone and within[1:] in ([], [other_alone])
        assert kept_apart, f"another stream changed the result, for {plan}"

    def leaves_no_cycle(self) -> None:
        """Let the stream fail without the garbage collector, and drop the error."""
        errors = _Alive(type("Down", (self.failure,), {}))
        gc.collect()
        gc.disable()
        try:
            run_coroutine(self.flavour, self._drain([self._failing(errors)] * 2, errors))
            assert not errors.alive, "a reference cycle keeps the error that was raised"
        finally:
            gc.enable()

    def keeps_little(self) -> None:
        """Let many sources fail, and one yield many items, and count what is alive."""
        errors, items = _Alive(type("Down", (self.failure,), {})), _Alive(type("Item", (), {}))

        def many(*_progress: Any) -> Iterator[Any]:
            for _ in range(MANY):
                item = items.new()
                yield item
                del item

        sources = [*[self._failing(errors)] * MANY, self._source(many)]
        count = run_coroutine(self.flavour, self._drain(sources, errors))
        assert count == MANY, f"{count} items of {MANY} were delivered"
        assert items.most <= MOST_ITEMS, f"{items.most} items were kept"
        assert errors.most <= MOST_ERRORS, f"{errors.most} errors were kept"

    def _failing(self, errors: _Alive) -> Any:
        def failing(*_progress: Any) -> Iterator[Any]:
            raise errors.new("down")
            yield

        return self._source(failing)

    def _source(self, source: Callable[..., Iterator[Any]]) -> Any:
        async def opened(*_progress: Any) -> AsyncIterator[Any]:
            for item in source():
                yield item
                del item

        return source if self.flavour == "sync" else opened

    async def _drain(self, sources: list[Any], errors: _Alive) -> int:
        """Return how many items the combinator delivers, without keeping one, nor the error."""
        count = 0
        try:
            if self.flavour == "sync":
                for _ in self.combinator(sources):
                    count += 1
            else:
                async for _ in self.combinator(sources):
                    count += 1
        except errors.kind:
            return count
        return count


class _Alive:
    """Counts how many of the objects that it makes are alive at the same time."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.alive: weakref.WeakSet[Any] = weakref.WeakSet()
        self.most = 0

    def new(self, *args: Any) -> Any:
        made = self.kind(*args)
        self.alive.add(made)
        self.most = max(self.most, len(self.alive))
        return made


def _seen(run: RunResult) -> tuple[Any, ...]:
    """Return what the consumer of a run received."""
    return run.delivered, run.ended, type(run.error)


def _steps(run: RunResult) -> list[tuple[Any, ...]]:
    """Return the log of a run as comparable data: error classes, no stack depths, no times."""
    return [
        (entry.what, entry.source, entry.opening, _shown(entry.value), entry.phase != "close")
        for entry in run.log
        if entry.what not in ("stray", "end", "left", "held")
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, BaseException):
        return type(value).__name__
    return None if isinstance(value, int) else value
