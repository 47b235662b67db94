"""Five numbers from a source with a cursor, and the stream over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from failover_iter import Checkpoint, Resume, afailover_stream, failover_stream


def advance(cursor: int, item: int) -> int:
    return cursor + 1


RESUME = Resume(start=0, advance=advance)


def numbers(progress: Any) -> Iterator[int]:
    yield from range(progress.cursor, 5)


async def anumbers(progress: Any) -> AsyncIterator[int]:
    for number in range(progress.cursor, 5):
        yield number


def stream(checkpoint: Checkpoint, source: Any = numbers, **options: Any) -> Any:
    options = {"retry_on": OSError, "mid_stream": RESUME, **options}
    return failover_stream([source], checkpoint=checkpoint, **options)


def astream(checkpoint: Checkpoint, **options: Any) -> Any:
    options = {"retry_on": OSError, "mid_stream": RESUME, **options}
    return afailover_stream([anumbers], checkpoint=checkpoint, **options)
