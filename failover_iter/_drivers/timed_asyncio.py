"""Pulling an async source with a limit of time, under asyncio.

The source is stepped in the task of the consumer. What is there at once costs no timer. Where the
source waits for a future there is one for the rest of the pull, and when time is up it cancels
that future, as `Task.cancel` does. The task itself is not cancelled by that: `Task.cancelling`
counts the cancellations of others alone, so none of them is taken for a timeout, and none is
swallowed.
"""

from __future__ import annotations

import asyncio
from math import inf
from types import AsyncGeneratorType, coroutine
from typing import TYPE_CHECKING, Any

from failover_iter._core.deadlines import READY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
    from typing import Self

    from failover_iter._core.deadlines import SourceDeadline


class Puller:
    """Waits for the source of one attempt for as long as its deadline allows."""

    __slots__ = ("_deadline", "_fired", "_loop", "_timer", "_until", "_waited_for", "item")

    #: Under trio: why the source was closed after its last item.
    usage_error: Exception | None = None

    def __init__(self, deadline: SourceDeadline) -> None:
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._waited_for: Any = None
        self._until = inf
        self._fired = False
        #: The result of the last step.
        self.item: Any = None

    def check(self) -> None:
        """Raise what is wrong, before a pull: the time of the stream is up."""
        self._deadline.check_stream()

    def items(self, iterator: AsyncIterator[Any]) -> Items:
        """Return the items of the source, each pulled before its deadline."""
        is_generator = isinstance(iterator, AsyncGeneratorType)
        pull = iterator.__anext__ if is_generator else lambda: _awaited(iterator.__anext__())
        steps: Any = self._steps(pull)
        return Items(self, steps)

    @coroutine
    def _steps(self, pull: Callable[[], Any]) -> Any:
        """Pull item by item: yield READY, or what the source waits for, for `finish_pull`."""
        deadline = self._deadline
        has_end = deadline.has_end
        while True:
            if has_end:
                deadline.check_stream()
            self.item = yield from pull()
            yield READY

    @coroutine
    def _once(self, awaitable: Awaitable[Any]) -> Any:
        self.item = yield from _awaited(awaitable)
        yield READY

    async def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Await this, in the time that there is for it."""
        steps: Any = self._once(awaitable)
        waited_for = next(steps)
        if waited_for is not READY:
            await self.finish_pull(steps, waited_for)
        return self.item

    @coroutine
    def finish_pull(self, steps: Any, waited_for: Any) -> Generator[Any, Any, Any]:
        """Go on with a step that waits for something, before its deadline; return the item."""
        task: Any = asyncio.current_task(self._loop)
        # One that was asked for since the last pull, and is still to come, is news too.
        cancelled_before = task.cancelling() - getattr(task, "_must_cancel", False)
        self._until = self._deadline.until()
        answer: BaseException | None = None
        thrown: BaseException | None = None
        try:
            while waited_for is not READY:
                thrown = sent = None
                self._waited_for = waited_for
                is_cancelled = task.cancelling() > cancelled_before
                if is_cancelled:  # cleaning up for a consumer that leaves is not timed
                    self._stop()
                elif waited_for is not None and self._is_to_be_timed:
                    self._timer = self._loop.call_at(self._until, self._expire)
                try:
                    sent = yield waited_for
                except BaseException as error:
                    thrown = error
                # After a bare `yield`, as of sleep(0): there is nothing that a timer could cancel.
                if (
                    waited_for is thrown is None
                    and not (self._fired or is_cancelled)
                    and self._loop.time() >= self._until
                ):
                    self._fired, thrown = True, asyncio.CancelledError()
                # Out of the `except`, or the source would run as if it handled what is thrown.
                waited_for = steps.send(sent) if thrown is None else steps.throw(thrown)
        except (Exception, asyncio.CancelledError) as error:
            if not self._fired:
                raise
            answer = error
        finally:
            self._stop()
            # Or the traceback holds this frame, and this frame the error, or what holds that.
            thrown = waited_for = self._waited_for = None
            is_cancelled = task.cancelling() > cancelled_before
            del task  # it may come to hold the error
        if self._fired:
            # Whatever the source made of it, an item at the last moment too, is late.
            self._fired, self.item = False, None
            try:
                if is_cancelled:  # by the consumer too, who goes first
                    raise _cancellation(answer) from _cause(answer)
                raise self._deadline.expired() from _cause(answer)
            finally:
                answer = None
        return self.item

    @property
    def _is_to_be_timed(self) -> bool:
        """Whether there is a limit, and neither a timer nor an end of that yet."""
        return self._timer is None and not self._fired and self._until < inf

    def interrupt(self) -> None:
        """End the pull in progress, if there is one, as if its time was up."""
        self._stop()
        self._until = -inf
        if self._waited_for is not None:
            self._expire()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        if self._waited_for is None:
            self._timer = None  # the clock is looked at next; a new one is armed where it is wanted
        elif self._waited_for.done():  # the source goes on in this very turn: let it
            self._timer = self._loop.call_soon(self._expire)
        else:
            self._fired = True
            self._waited_for.cancel()


class Items:
    """The items of a source, each pulled before its deadline."""

    __slots__ = ("_puller", "_steps")

    def __init__(self, puller: Puller, steps: Iterator[Any]) -> None:
        self._puller = puller
        self._steps = steps

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        waited_for = next(self._steps)
        if waited_for is READY:
            return self._puller.item
        try:
            return await self._puller.finish_pull(self._steps, waited_for)
        finally:
            del waited_for  # a future holds the error whose traceback holds this frame


def _cancellation(answer: BaseException | None) -> asyncio.CancelledError:
    """The cancellation of the consumer, with its message where that is known."""
    return asyncio.CancelledError(
        *(answer.args if isinstance(answer, asyncio.CancelledError) else ())
    )


def _cause(answer: BaseException | None) -> BaseException | None:
    """The exception of the source itself; a cancellation, or an end caused by it, adds nothing."""
    no_news = isinstance(answer, asyncio.CancelledError | StopAsyncIteration)
    return None if no_news else answer


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    """Await what cannot be stepped itself."""
    return await awaitable
