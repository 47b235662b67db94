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

    from failover_iter._core.deadlines import Limits


class Puller:
    """Waits for the source of one attempt for as long as its limits allow."""

    __slots__ = ("_limits", "item")

    def __init__(self, limits: Limits) -> None:
        """Know the limits."""
        self._limits = limits
        #: What came of the last step.
        self.item: Any = None

    def steps(self, iterator: AsyncIterator[Any]) -> Iterator[Any]:
        """Pull item by item: give what is to be handed to `rest`."""
        while True:
            self._limits.check_stream()
            yield iterator.__anext__()

    async def rest(self, _steps: Iterator[Any], pulled: Awaitable[Any]) -> None:
        """Await what was pulled, in the time that there is for it."""
        self.item = await self.wait(pulled)

    async def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Await this, in the time that there is for it."""
        item: Any = None
        answer: Exception | None = None
        scope = trio.CancelScope(deadline=self._limits.until())
        try:
            with scope:
                item = await awaitable
        except Exception as error:  # out of the scope: a group may have been parted there
            if not scope.cancel_called:
                raise
            answer = None if isinstance(error, StopAsyncIteration) else error
        if not scope.cancel_called:
            return item
        # What the source made of being cancelled, an item at the last moment too, is late.
        try:
            await trio.lowlevel.checkpoint_if_cancelled()  # by the consumer as well, who goes first
            raise self._limits.over() from answer
        finally:
            del answer
