"""Pulling an async source with a limit of time, under trio.

A cancel scope around each pull, entered before the source is stepped: armed later it would not
nest with the scopes of the source. For the same reason a source that keeps a nursery or a cancel
scope open while it yields cannot be timed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from failover_iter._core.deadlines import SourceDeadline


class Puller:
    """Waits for the source of one attempt for as long as its deadline allows."""

    __slots__ = ("_deadline",)

    def __init__(self, deadline: SourceDeadline) -> None:
        self._deadline = deadline

    def start_pulls(self, iterator: AsyncIterator[Any]) -> Iterator[Any]:
        """Pull item by item: yield what `finish_pull` has to await."""
        while True:
            self._deadline.check_stream()
            yield iterator.__anext__()

    async def finish_pull(self, _pulls: Iterator[Any], pulled: Awaitable[Any]) -> Any:
        """Await what was pulled, before its deadline."""
        return await self.wait(pulled)

    async def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Await this, in the time that there is for it."""
        item: Any = None
        answer: Exception | None = None
        scope = trio.CancelScope(deadline=self._deadline.until())
        try:
            with scope:
                item = await awaitable
        except Exception as error:  # out of the scope: a group may have been parted there
            if not scope.cancel_called:
                raise
            answer = None if isinstance(error, StopAsyncIteration) else error
        if not scope.cancel_called:
            return item
        # Whatever the source answered to the cancellation, even an item, came too late.
        try:
            await trio.lowlevel.checkpoint_if_cancelled()  # by the consumer as well, who goes first
            raise self._deadline.expired() from answer
        finally:
            del answer
