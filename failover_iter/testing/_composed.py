"""Oracles by name, with a parameter, or of the user's own; and what several of them stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from failover_iter.testing._faults import Interrupt
from failover_iter.testing._oracles import ORACLES, Oracle, Oracles, lost, outcome
from failover_iter.testing._plans import Plan
from failover_iter.testing._runs import RunResult

#: Oracles that stand for several.
COMPOSED: Final = {
    "exactly_once": ("no_loss", "no_duplicates", "in_order", "nothing_else"),
    "at_least_once": ("no_loss", "nothing_else"),
    "at_most_once": ("no_duplicates", "in_order", "nothing_else"),
}

#: What `verify` judges by unless told otherwise.
DEFAULT: Final = (
    "exactly_once", "transparent", "same_error", "no_leak", "closed_once", "one_open", "lazy",
    "no_read_ahead", "no_reopen",
)  # fmt: skip


def attempts_at_most(n: int) -> Oracle:
    """No source is opened more than `n` times."""

    def check(run: RunResult) -> str | None:
        for source, count in Counter(e.source for e in run.entries("open")).items():
            if count > n:
                return f"{run.source_name(source)} was opened {count} times"
        return None

    return Oracle(f"attempts_at_most({n})", f"no source is opened more than {n} times", check)


def survives(attempts: int) -> Oracle:
    """Nothing is lost that can be had by opening each source so often: `no_loss` with retries."""
    law = f"no item is lost that can be had by opening each source {attempts} times"
    return Oracle(f"survives({attempts})", law, lambda run: lost(run, attempts))


def within(seconds: float) -> Oracle:
    """The consumer waits no longer in all, in virtual time; its own pauses do not count."""

    def check(run: RunResult) -> str | None:
        if run.seconds > seconds:
            return f"the consumer waited {run.seconds:g} s"
        return None

    law = f"the consumer waits no longer than {seconds:g} s in all"
    return Oracle(f"within({seconds:g})", law, check)


def equals(model: Callable[[Plan], Iterable[Any]]) -> Oracle:
    """What is delivered is what a model gives for the plan.

    Args:
        model: `Plan -> iterable` of what a consumer who drains the stream gets; if it raises, so
            must the stream. A consumer who leaves gets the beginning of it.
    """

    def check(run: RunResult) -> str | None:
        expected, error = _drained(model, run.plan)
        got = run.delivered
        if got != expected[: len(got)] or (run.drained and len(got) < len(expected)):
            return f"delivered was {got!r}, the model gives {expected!r}"
        if run.drained and (error is None) is not run.ended:
            return f"the consumer got {outcome(run)}, the model {error!r}"
        return None

    name = getattr(model, "__name__", repr(model))
    return Oracle(f"equals({name})", f"what is delivered is what {name} gives", check)


def _drained(model: Callable[[Plan], Iterable[Any]], plan: Plan) -> tuple[list[Any], Any]:
    items: list[Any] = []
    try:
        for item in model(plan):
            items.append(item)  # noqa: PERF402 (what came before an error counts)
    except (Exception, Interrupt) as error:  # noqa: BLE001 (that it raises is what it says)
        return items, error
    return items, None


def resolve(oracles: Oracles) -> list[Oracle]:
    """The oracles that a name, a predicate or a list of those stands for."""
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
        return None if answer is None or answer else f"{name} is false of this run"

    return Oracle(name, (predicate.__doc__ or f"{name} holds").strip().splitlines()[0], check)
