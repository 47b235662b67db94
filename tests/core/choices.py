"""Sources, groups, and options of each level, from which `core.machine` chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from failover_iter import Budget, Health, Resume, Source, SourceError
from support.play import named

A, B, C = FACTORIES = [named(name) for name in "abc"]


def scarce() -> Budget:
    """A budget that is soon empty."""
    return Budget(ratio=0.5, reserve=1, per_second=0)


MODES = [None, "restart", "raise", "skip", "resume"]

#: That of a stream with a checkpoint.
SAVED = Resume(start=0, advance=lambda at, _: at + 1)
PAUSES = [0, 1.5]

#: The options of a level, the usual value more often.
LEVEL: dict[str, list[Any]] = {
    "attempts": [1, 2, 3],
    "wait": PAUSES,
    "commit_when": [1, 1, 2],
    "complete_when": [None, None, lambda item: item % 3],
    "switch_on": [None, None, SourceError, (LookupError, TimeoutError)],
    "allow_empty": [True, False],
    "idle_timeout": [None, None, 2],
    "first_item_timeout": [None, None, 1],
    "total_timeout": [None, None, 1, 4],
    "give_up_after": [None, None, 5],
    "on_exhausted": ["last", "group"],
    "health": [None, None, Health],
    "budget": [None, None, scarce],
}
BREAKS = ["Opening", "Committed", "Failed", "Completed", "Waiting", "Ended", "ask", *[None] * 6]
Choose = Callable[[list[Any]], Any]
LAYOUTS: list[Callable[[Any], list[Any]]] = [
    lambda group: [A, B, C],
    lambda group: [A, Source(B, mid_stream="raise"), C],
    lambda group: [A, group([B, C])],
    lambda group: [group([A, B]), C],
    lambda group: [group([group([A]), B]), C],
    lambda group: [A, group([Source(B, mid_stream="raise")]), C],  # it cannot resume
]
