"""Oracles for races of sources: hedges."""

from __future__ import annotations

from typing import Any

from failover_iter.testing._oracles import oracle
from failover_iter.testing._runs import RunResult, unclosed


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
