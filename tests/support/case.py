"""Cases as plain data: what the sources do, in marbles, the options, and what the consumer does.

Both drivers, the reference model and the mutants run the same cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

from failover_iter import SourceError
from failover_iter.testing import Plan
from failover_iter.testing._faults import make_error as make
from failover_iter.testing._plans import Consumer, SourceScript

#: How long a tick of marbles is, in seconds.
TICK = 0.1


class Retryable(Exception):
    """Is named in `retry_on`; `#` in marbles."""


class Falsy(Retryable):
    """Is false, and can be neither compared nor shown."""

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        raise RuntimeError("shown")


#: Errors that a source may raise, besides those that all marbles may name.
ERRORS = (Retryable, Falsy, SourceError)


def make_error(name: str) -> BaseException:
    """Return a new error of this name in marbles."""
    return make(name, ERRORS, "outage")


class Short:
    """A dataclass that shows the fields that are not at their defaults."""

    def __repr__(self) -> str:
        given = [
            f"{each.name}={value!r}"
            for each in fields(self)  # type: ignore[arg-type]  # of a dataclass
            if (value := getattr(self, each.name)) != each.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Make Hypothesis print that."""
        printer.text(repr(self))


@dataclass(frozen=True)
class SourcePlan:
    """The script of a source for each opening (the last one repeats), and its own options."""

    name: str
    openings: tuple[SourceScript, ...]
    mid_stream: Any = None
    attempts: int | None = None
    switch_on: Any = None

    def __repr__(self) -> str:
        marbles = "; ".join(map(str, self.openings))
        own = [f", {name}={value!r}" for name in OWN if (value := getattr(self, name)) is not None]
        return f"source({self.name!r}, {marbles!r}{''.join(own)})"

    def opening(self, number: int) -> SourceScript:
        return self.openings[min(number, len(self.openings) - 1)]


OWN = ("mid_stream", "attempts", "switch_on")


def source(name: str, marbles: str, **own: Any) -> SourcePlan:
    """Return a source with these marbles: a line for each opening, the last one for all others."""
    return SourcePlan(name, tuple(map(SourceScript.read, marbles.split(";"))), **own)


@dataclass(frozen=True, repr=False)
class Case(Short):
    """A stream, its consumer, and its options."""

    sources: tuple[SourcePlan, ...]
    switch_on: Any = None
    mid_stream: Any = None
    attempts: int = 1
    reset_on_progress: bool = False
    wait: float = 0
    commit_when: int | Callable[[int], bool] = 1
    complete_when: Callable[[int], bool] | None = None
    allow_empty: bool = True
    first_item_timeout: float | None = None
    idle_timeout: float | None = None
    total_timeout: float | None = None
    give_up_after: float | None = None
    on_exhausted: Literal["last", "group"] = "last"
    mark_takeovers: bool = False
    consumer: str = "drain"

    @property
    def options(self) -> dict[str, Any]:
        """The options that are not at their default, as keyword arguments."""
        return {
            each.name: value
            for each in fields(self)
            if each.name not in ("sources", "consumer")
            and (value := getattr(self, each.name)) != each.default
        }

    @property
    def plan(self) -> Plan:
        """The plan of the sources and the consumer, for the test kit."""
        scripts = [plan.openings for plan in self.sources]
        return Plan(*scripts, items="", errors=ERRORS, consumer=self.consumer)

    @property
    def pace(self) -> float:
        """How many seconds the consumer takes for each output."""
        consumer = Consumer.read(self.consumer)
        return consumer.at * TICK if consumer.how == "slow" else 0
