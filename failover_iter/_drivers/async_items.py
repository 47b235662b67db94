"""The async iterables that an async stream loops over: held items, and an iterator.

The twin of `delegation.py`, without what only `yield from` needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._core.notes import leaked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from failover_iter._drivers.opened import OpenedSource


class Held:
    """The items that were received before the attempt committed. They are counted here."""

    __slots__ = ("_source",)

    def __init__(self, source: OpenedSource) -> None:
        self._source = source

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        attempt = self._source.attempt
        if not attempt.held:
            raise StopAsyncIteration
        if attempt.deadline is not None and not self._source.is_answer:
            attempt.deadline.check_stream()
        self._source.is_answer = False
        delivered = attempt.delivered
        if delivered.asave is not None and delivered.is_save_due:
            await delivered.asave()
        try:
            return attempt.pop_held()
        except StopAsyncIteration as stop:  # raised by a callback: it is not the end
            raise leaked(stop, "async generator") from stop


class IterableOver:
    """An async iterable over an iterator, which itself may lack `__aiter__`."""

    __slots__ = ("_iterator",)

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._iterator
