"""What a checkpoint costs per item, beside the same stream without one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from failover_iter import Checkpoint, Policy, Resume

from .measure import fastest, rounds
from .streams import drain, quiet_logger

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Items of a stream, and how long one takes at 100,000 items a second, in nanoseconds.
ITEMS: Final = 100_000
PER_ITEM: Final = 10_000.0
#: The goal for the cost of a checkpoint, as a part of that time.
GOAL: Final = 0.02


def _numbers(progress: Any) -> Iterator[int]:
    yield from range(progress.cursor, ITEMS)


def _advance(cursor: int, item: int) -> int:
    return item + 1


def everything(seconds: float) -> dict[str, float]:
    """Measure nanoseconds per item with and without a checkpoint, with `every=1.0`."""
    quiet_logger()
    resume = Resume(start=0, advance=_advance)
    with TemporaryDirectory() as folder:
        path = Path(folder, "state.json")

        def plain() -> float:
            return _drained(Policy(retry_on=OSError, mid_stream=resume))

        def saved() -> float:
            path.unlink(missing_ok=True)
            checkpoint = Checkpoint(path, every=1.0)
            return _drained(Policy(retry_on=OSError, mid_stream=resume, checkpoint=checkpoint))

        times = rounds({"with a cursor": plain, "with a checkpoint": saved}, seconds)
    return {name: fastest(each) for name, each in times.items()}


def _drained(policy: Policy) -> float:
    start = perf_counter()
    drain(policy.stream([_numbers]))
    return (perf_counter() - start) / ITEMS * 1e9
