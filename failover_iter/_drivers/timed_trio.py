"""Pulling an async source with a limit of time, under trio.

A cancel scope around each pull, entered before the source is stepped: armed later it would not
nest with the scopes of the source. For the same reason a source that keeps a nursery or a cancel
scope open while it yields cannot be timed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from typing import Self

    from failover_iter._core.deadlines import SourceDeadline


class Puller:
    """Waits for the source of one attempt for as long as its deadline allows."""

    __slots__ = ("_deadline",)

    def __init__(self, deadline: SourceDeadline) -> None:
        self._deadline = deadline

    def items(self, iterator: AsyncIterator[Any]) -> Items:
        """Return the items of the source, each pulled before its deadline."""
        return Items(self, iterator)

    def check_stream(self) -> None:
        """Raise if the time of the stream is up."""
        self._deadline.check_stream()

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


class Items:
    """The items of a source, each pulled before its deadline."""

    __slots__ = ("_iterator", "_puller")

    def __init__(self, puller: Puller, iterator: AsyncIterator[Any]) -> None:
        self._puller = puller
        self._iterator = iterator

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        self._puller.check_stream()
        return await self._puller.wait(self._iterator.__anext__())
