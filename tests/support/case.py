"""Cases as plain data: what the sources do, the options, and what the consumer does.

Both drivers, the reference model and the mutants run the same cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from failover_iter import SourceError
from failover_iter.testing import Bug, Interrupt
from failover_iter.testing._faults import make_error as make

#: Is not named in `retry_on`.
Transparent = Bug
#: Is no Exception, as a cancellation is none.
Base = Interrupt


class Retryable(Exception):
    """Is named in `retry_on`."""


class Falsy(Retryable):
    """Is false, and can be neither compared nor shown."""

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        raise RuntimeError("shown")


Fault = Literal["retryable", "transparent", "source", "group", "mixed", "base", "falsy"]


#: What a plan may call a failure of a source.
ERRORS = (Retryable, Falsy, SourceError)
#: The errors of a case by their names in plans.
NAMES: dict[str, str] = {
    "retryable": "",
    "transparent": "bug",
    "source": "SourceError",
    "group": "group",
    "mixed": "mixed",
    "base": "base",
    "falsy": "Falsy",
}


def make_error(fault: Fault) -> BaseException:
    """A new error of this kind."""
    return make(NAMES[fault], ERRORS, "outage")


def switches(fault: Fault) -> bool:
    """Whether an error of this kind is a failure of the source."""
    return fault in ("retryable", "source", "group", "falsy")


@dataclass(frozen=True)
class Opening:
    """What one opening of a source does."""

    items: tuple[int, ...] = ()
    fault: Fault | None = None  # raised behind the items; None: it ends
    opening: Fault | None = None  # raised by the factory
    iterating: Fault | None = None  # raised by iter() or aiter()
    closing: Fault | None = None  # raised by close() of the iterator
    kind: Literal["generator", "iterator", "bare", "iterable"] = "generator"
    opening_delay: float = 0  # seconds that the factory takes
    delays: tuple[float, ...] = ()  # seconds that each pull takes, that to the end included

    def delay(self, pull: int) -> float:
        return self.delays[pull] if pull < len(self.delays) else 0


@dataclass(frozen=True)
class SourcePlan:
    """What a source does at each opening; the last one again and again."""

    name: str
    openings: tuple[Opening, ...]
    mid_stream: Any = None
    attempts: int | None = None


@dataclass(frozen=True)
class Case:
    """A stream, its consumer, and its options."""

    sources: tuple[SourcePlan, ...]
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
    leave: Literal["drain", "close", "throw", "drop"] = "drain"
    after: int = 0  # so many outputs before the consumer leaves
    pace: float = 0  # seconds that the consumer takes for each output
    options: dict[str, Any] = field(default_factory=dict)


def plan(name: str, *items: int, **how: Any) -> SourcePlan:
    """A source that does the same at each opening."""
    settings = {key: how.pop(key) for key in ("mid_stream", "attempts") if key in how}
    return SourcePlan(name, (Opening(items, **how),), **settings)


def failing(name: str, *items: int, **how: Any) -> SourcePlan:
    """A source that gives items and then fails, at each opening."""
    return plan(name, *items, fault=how.pop("fault", "retryable"), **how)
