"""The object that waits for a timed async source: one class for asyncio, one for trio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_iter._core.usage import mark_usage_error
from failover_iter._drivers.clock import async_library

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from failover_iter._core.deadlines import SourceDeadline
    from failover_iter._types import Puller


def new_puller(
    deadline: SourceDeadline, close: Callable[[], Awaitable[Exception | None]], name: str
) -> Puller:
    """Return a puller for the library that runs this task; `close` closes the source."""
    match async_library():
        case "trio":
            from failover_iter._drivers import timed_trio

            return timed_trio.Puller(deadline, close, name)
        case "asyncio":
            from failover_iter._drivers import timed_asyncio

            return timed_asyncio.Puller(deadline)
        case _:
            raise mark_usage_error(
                RuntimeError("a timeout needs asyncio or trio: neither runs this stream")
            )
