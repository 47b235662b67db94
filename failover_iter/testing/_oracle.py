"""`Oracle`: a law that a run must obey. The table of all, and what a test may write for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from numbers import Real
from typing import Any, Final, Literal, TypeAlias

from failover_iter.testing import _error_oracles as errors
from failover_iter.testing import _oracles as laws
from failover_iter.testing._faults import Interrupt
from failover_iter.testing._log import shown, source_name
from failover_iter.testing._plans import Plan, check_number
from failover_iter.testing._runs import RunResult


@dataclass(frozen=True)
class Oracle:
    """A law that a run must obey.

    `verify` makes oracles of names and of predicates. The static methods return those that need a
    parameter.

    Args:
        name: the name shown in the report.
        law: the law in one sentence.
        check: `RunResult -> str | None`: returns how the run broke the law, or None if it did not.

    Example:
        >>> from failover_iter import Health, Policy
        >>> from failover_iter.testing import Oracle, Plan, verify
        >>> def ten_streams(primary, replica):
        ...     health = Health(failures=3, cooldown=30)
        ...     policy = Policy(retry_on=ConnectionError, health=health)
        ...     for _ in range(10):
        ...         yield from policy.stream([primary, replica])
        >>> breaks = Oracle.max_openings(3, source=0)
        >>> run = verify(ten_streams, Plan("#", "abc|"), oracles=[breaks, Oracle.within(1)])
        >>> run.delivered[:4]
        ['a', 'b', 'c', 'a']
    """

    name: str
    law: str
    check: Callable[[RunResult], str | None]

    def __call__(self, run: RunResult) -> str | None:
        """Return how the run broke the law, or None."""
        return self.check(run)

    @staticmethod
    def max_openings(n: int, *, source: int | Literal["each", "all"] = "each") -> Oracle:
        """Return an oracle: no source is opened more than `n` times in the run.

        Args:
            n: how many openings are allowed.
            source: the number of the source, from 0; "each", or "all" together.

        Raises:
            ValueError: `n` or `source` is not one of these.
        """
        check_number("max_openings(n)", n, int)
        if source not in ("each", "all"):
            check_number("max_openings(source=...)", source, int, also="'each', 'all' or ")

        def check(run: RunResult) -> str | None:
            opened = [entry.source for entry in run.entries("open")]
            if source == "all":
                return f"sources were opened {len(opened)} times" if len(opened) > n else None
            for number, count in Counter(opened).items():
                if count > n and source in ("each", number):
                    return f"{source_name(number)} was opened {count} times"
            return None

        who = "Sources are" if source == "all" else "Each source is"
        if isinstance(source, int):
            who = f"Source {source + 1} is"
        where = "" if source == "each" else f", source={source!r}"
        return Oracle(f"max_openings({n}{where})", f"{who} opened at most {n} times.", check)

    @staticmethod
    def survives(attempts: int) -> Oracle:
        """Return an oracle: `no_loss` for a pipeline that opens a source up to `attempts` times."""
        check_number("survives(attempts)", attempts, int, least=1)
        law = f"Every item arrives that {attempts} attempts for each source can deliver."
        return Oracle(f"survives({attempts})", law, lambda run: laws.lost(run, attempts))

    @staticmethod
    def within(seconds: float) -> Oracle:
        """Return an oracle: the consumer waits at most this long in total, in virtual seconds.

        The consumer's own pauses do not count.
        """
        check_number("within(seconds)", seconds, Real)

        def check(run: RunResult) -> str | None:
            waited = f"the consumer waited {run.seconds:g} s"
            return waited if run.seconds > seconds else None

        law = f"The consumer waits at most {seconds:g} s in total."
        return Oracle(f"within({seconds:g})", law, check)

    @staticmethod
    def equals(model: Callable[[Plan], Iterable[Any]]) -> Oracle:
        """Return an oracle: the pipeline delivers what a model computes from the plan.

        Args:
            model: `Plan -> iterable` of the items that a consumer receives if it drains the stream.
                If the model raises, the stream must raise too. A consumer who leaves early receives
                the first of these items.
        """

        def check(run: RunResult) -> str | None:
            expected, error = _drained(model, run.plan)
            got = run.delivered
            if got != expected[: len(got)] or (run.drained and len(got) < len(expected)):
                return f"delivered {shown(got)}, but the model expects {shown(expected)}"
            if run.drained and (error is None) is not run.ended:
                wanted = "a normal end" if error is None else shown(error)
                return f"the consumer got {laws.outcome(run)}, but the model expects {wanted}"
            return None

        name = getattr(model, "__name__", repr(model))
        law = f"The pipeline delivers what {name} computes from the plan."
        return Oracle(f"equals({name})", law, check)


def _drained(model: Callable[[Plan], Iterable[Any]], plan: Plan) -> tuple[list[Any], Any]:
    items: list[Any] = []
    try:
        for item in model(plan):
            items.append(item)  # noqa: PERF402 (the items before an error count)
    except (Exception, Interrupt) as error:  # noqa: BLE001 (the error is part of the result)
        return items, error
    return items, None


def _of(predicate: Callable[[RunResult], object]) -> Oracle:
    """Make an oracle of a predicate: its name, and the first line of its docstring."""
    name = getattr(predicate, "__name__", repr(predicate))
    for is_wrong in (iscoroutinefunction, isasyncgenfunction, isgeneratorfunction):
        if is_wrong(predicate):
            raise TypeError(f"a predicate must be a plain function, got {predicate!r}")

    def check(run: RunResult) -> str | None:
        answer = predicate(run)
        if isinstance(answer, str):
            return answer
        return None if answer is None or answer else f"{name} returned {shown(answer)}"

    return Oracle(name, (predicate.__doc__ or f"{name} holds").strip().splitlines()[0], check)


ORACLES: Final = {
    each.__name__: _of(each)
    for each in (
        laws.no_leak, laws.closed_once, laws.one_open,
        laws.lazy, laws.no_read_ahead, laws.no_reopen, laws.ends, laws.flat,
        laws.no_loss, laws.no_duplicates, laws.in_order, laws.nothing_else,
        laws.one_winner, laws.losers_closed,
        errors.transparent, errors.same_error, errors.intact, errors.told, errors.no_cycle,
        errors.no_kept_error, errors.returns, errors.sends, errors.same_task,
    )
}  # fmt: skip
#: Names for several oracles.
COMPOSED: Final = {
    "exactly_once": ("no_loss", "no_duplicates", "in_order", "nothing_else"),
    "at_least_once": ("no_loss", "nothing_else"),
    "at_most_once": ("no_duplicates", "in_order", "nothing_else"),
}
#: The oracles that `verify` checks by default.
DEFAULT_ORACLES: Final = (
    "exactly_once", "transparent", "same_error", "no_leak", "closed_once", "one_open", "lazy",
    "no_read_ahead", "no_reopen",
)  # fmt: skip

Oracles: TypeAlias = str | Oracle | Callable[[RunResult], object] | Iterable["Oracles"]


def resolve(oracles: Oracles) -> list[Oracle]:
    """Return the oracles for a name, a predicate, or a collection of these."""
    if isinstance(oracles, str):
        if oracles in COMPOSED:
            return resolve(COMPOSED[oracles])
        if oracles not in ORACLES:
            known = ", ".join(sorted({*ORACLES, *COMPOSED}))
            raise ValueError(f"oracles must be among {known}, or a predicate; got {oracles!r}")
        return [ORACLES[oracles]]
    if isinstance(oracles, Oracle):
        return [oracles]
    if callable(oracles):
        return [_of(oracles)]
    return [oracle for one in oracles for oracle in resolve(one)]
