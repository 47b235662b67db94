"""Oracles for what many streams do together, and for races: breakers, hedges."""

from __future__ import annotations

from typing import Any

from failover_iter.testing._oracles import Oracle, oracle
from failover_iter.testing._runs import RunResult, unclosed


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


@oracle("all items are those of one opening, from its first one: a race has one winner")
def _one_winner(run: RunResult) -> str | None:
    got = run.delivered
    yielded: dict[tuple[Any, int], list[Any]] = {}
    for entry in run.entries("yield"):
        yielded.setdefault((entry.source, entry.opening), []).append(entry.value)
    if got and not any(items[: len(got)] == got for items in yielded.values()):
        return f"no source has yielded {got!r} by itself"
    return None


@oracle("when the first item arrives, at most one source is open: losers are closed before")
def _losers_closed(run: RunResult) -> str | None:
    for index, entry in enumerate(run.log):
        if entry.what == "got":
            left = sorted({each.source or 0 for each in unclosed(run.log[:index])})
            if len(left) > 1:
                names = " and ".join(run.source_name(each) for each in left)
                return f"{names} were open when the first item arrived"
            return None
    return None
