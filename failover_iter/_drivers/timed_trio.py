"""Pulling an async source with a limit of time, under trio.

A cancel scope around each pull, entered before the source is stepped: armed later it would not
nest with the scopes of the source. For the same reason a source that keeps a nursery or a cancel
scope open while it yields cannot be timed: that scope would have to outlive ours. Such a source is
closed inside our scope, so that its scopes end first. The item that it yielded is delivered, and
the next pull says what is wrong.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import trio

from failover_iter._core.notes import note_close_error
from failover_iter._core.usage import mark_usage_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Self

    from failover_iter._core.deadlines import SourceDeadline


class Puller:
    """Waits for the source of one attempt for as long as its deadline allows."""

    __slots__ = ("_close", "_deadline", "_name", "_scope", "usage_error")

    def __init__(
        self,
        deadline: SourceDeadline,
        close: Callable[[], Awaitable[Exception | None]],
        name: str,
    ) -> None:
        """Time this source, which `close` closes."""
        self._deadline = deadline
        self._close = close
        self._name = name
        #: Why the source was closed after its last item.
        self.usage_error: Exception | None = None
        #: Around the pull in progress, or the last one.
        self._scope = trio.CancelScope()

    def items(self, iterator: AsyncIterator[Any]) -> Items:
        """Return the items of the source, each pulled before its deadline."""
        return Items(self, iterator)

    def check(self) -> None:
        """Raise what is wrong, before a pull: the time of the stream is up, or a scope was held."""
        if self.usage_error is not None:
            raise self.usage_error
        self._deadline.check_stream()

    async def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Await this, in the time that there is for it."""
        item: Any = None
        answer: Exception | None = None
        self._scope = scope = trio.CancelScope(deadline=self._deadline.until())
        try:
            with scope:
                item = await awaitable
                if holds_a_scope_inside(scope):
                    scope.deadline = inf  # closing is not timed
                    await self._close_holder()
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

    def interrupt(self) -> None:
        """End the pull in progress, if there is one, as if its time was up."""
        if self.usage_error is None:  # else the source is being closed
            self._scope.cancel()

    async def _close_holder(self) -> None:
        """Close a source that holds its own scope, while ours is still around it."""
        self.usage_error = error = mark_usage_error(
            RuntimeError(
                f"source {self._name!r} holds a cancel scope or a nursery open while it yields, so "
                "it cannot have a timeout or take part in a hedge under trio: end the scope before "
                "each yield, or open it around the stream, not in the source"
            )
        )
        try:
            close_error: BaseException | None = await self._close()
        except BaseExceptionGroup as group:
            # A nursery wraps the GeneratorExit with which the generator was closed.
            close_error = group.split(GeneratorExit)[1]
            if not isinstance(close_error, Exception | None):
                raise close_error from None
        note_close_error(error, self._name, close_error)
        del close_error  # its traceback refers to this frame


def holds_a_scope_inside(scope: trio.CancelScope) -> bool:
    """Whether this task has entered a scope inside this one, and not left it.

    Only private attributes of trio say it. Without them trio itself raises when the scope is left.
    """
    status = getattr(scope, "_cancel_status", None)
    return status is not getattr(trio.lowlevel.current_task(), "_cancel_status", status)


class Items:
    """The items of a source, each pulled before its deadline."""

    __slots__ = ("_iterator", "_puller")

    def __init__(self, puller: Puller, iterator: AsyncIterator[Any]) -> None:
        self._puller = puller
        self._iterator = iterator

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        self._puller.check()
        return await self._puller.wait(self._iterator.__anext__())
