"""The table that streams count with, as it is before any marker was made."""

from __future__ import annotations

from failover_iter._tally import AFTER

LENGTH = len(AFTER)


def refill() -> None:
    """Have streams count as they do in a process that has seen no marker yet."""
    AFTER[:] = range(1, LENGTH + 1)
