"""Oracles with a parameter, predicates as oracles, and names for several oracles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from failover_iter.testing import (  # (each registers its oracles)
    _error_oracles,  # noqa: F401  # pyright: ignore[reportUnusedImport]
    _race_oracles,  # noqa: F401  # pyright: ignore[reportUnusedImport]
)
from failover_iter.testing._faults import Interrupt
from failover_iter.testing._oracles import ORACLES, Oracle, Oracles, lost, outcome
from failover_iter.testing._plans import Plan
from failover_iter.testing._runs import RunResult

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


def attempts_at_most(n: int) -> Oracle:
    """Return an oracle: no source is opened more than `n` times."""

    def check(run: RunResult) -> str | None:
        for source, count in Counter(e.source for e in run.entries("open")).items():
            if count > n:
                return f"{run.source_name(source)} was opened {count} times"
        return None

    return Oracle(f"attempts_at_most({n})", f"no source is opened more than {n} times", check)


def at_most_n_openings(n: int, *, source: int | None = None) -> Oracle:
    """Return an oracle: sources are opened at most `n` times in the run, or this one is.

    For a pipeline of several streams that share something: a breaker, a budget.

    Args:
        n: how many openings are allowed.
        source: the number of the source, from 0. By default, the openings of all sources count.

    Example:
        >>> from failover_iter import Health, Policy
        >>> from failover_iter.testing import Plan, at_most_n_openings, verify
        >>> def ten_streams(primary, replica):
        ...     health = Health(failures=3, cooldown=30)
        ...     policy = Policy(retry_on=ConnectionError, health=health)
        ...     for _ in range(10):
        ...         yield from policy.stream([primary, replica])
        >>> run = verify(ten_streams, Plan("#", "abc|"), oracles=at_most_n_openings(3, source=0))
        >>> run.delivered[:4]
        ['a', 'b', 'c', 'a']
    """

    def check(run: RunResult) -> str | None:
        count = sum(source in (None, entry.source) for entry in run.entries("open"))
        what = "sources were" if source is None else f"{run.source_name(source)} was"
        return f"{what} opened {count} times" if count > n else None

    what = "sources are" if source is None else f"source {source + 1} is"
    where = "" if source is None else f", source={source}"
    return Oracle(f"at_most_n_openings({n}{where})", f"{what} opened at most {n} times", check)


def survives(attempts: int) -> Oracle:
    """Return an oracle: `no_loss` for a pipeline that opens each source up to `attempts` times."""
    law = f"every item arrives that {attempts} attempts for each source can deliver"
    return Oracle(f"survives({attempts})", law, lambda run: lost(run, attempts))


def within(seconds: float) -> Oracle:
    """Return an oracle: the consumer waits at most this long in total, in virtual seconds.

    The consumer's own pauses do not count.
    """

    def check(run: RunResult) -> str | None:
        if run.seconds > seconds:
            return f"the consumer waited {run.seconds:g} s"
        return None

    law = f"the consumer waits at most {seconds:g} s in total"
    return Oracle(f"within({seconds:g})", law, check)


def equals(model: Callable[[Plan], Iterable[Any]]) -> Oracle:
    """Return an oracle: the pipeline delivers what a model computes from the plan.

    Args:
        model: `Plan -> iterable` of the items that a consumer receives if it drains the stream. If
            the model raises, the stream must raise too. A consumer who leaves early receives the
            first of these items.
    """

    def check(run: RunResult) -> str | None:
        expected, error = _drained(model, run.plan)
        got = run.delivered
        if got != expected[: len(got)] or (run.drained and len(got) < len(expected)):
            return f"delivered {got!r}, but the model expects {expected!r}"
        if run.drained and (error is None) is not run.ended:
            wanted = "a normal end" if error is None else repr(error)
            return f"the consumer got {outcome(run)}, but the model expects {wanted}"
        return None

    name = getattr(model, "__name__", repr(model))
    return Oracle(
        f"equals({name})", f"the pipeline delivers what {name} computes from the plan", check
    )


def _drained(model: Callable[[Plan], Iterable[Any]], plan: Plan) -> tuple[list[Any], Any]:
    items: list[Any] = []
    try:
        for item in model(plan):
            items.append(item)  # noqa: PERF402 (the items before an error count)
    except (Exception, Interrupt) as error:  # noqa: BLE001 (the error is part of the result)
        return items, error
    return items, None


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
        return [_predicate(oracles)]
    return [oracle for one in oracles for oracle in resolve(one)]


def _predicate(predicate: Callable[[RunResult], object]) -> Oracle:
    name = getattr(predicate, "__name__", repr(predicate))

    def check(run: RunResult) -> str | None:
        answer = predicate(run)
        if isinstance(answer, str):
            return answer
        return None if answer is None or answer else f"{name} returned {answer!r}"

    return Oracle(name, (predicate.__doc__ or f"{name} holds").strip().splitlines()[0], check)
