"""`Body`: what a web framework sends of an async chat stream, read by a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final

from failover_iter.llm._openai_errors import error_event, is_bug
from failover_iter.llm._openai_events import EventWriter
from failover_iter.llm._reading import closing_async

KEEP_ALIVE: Final = b": keep-alive\n\n"


class Body(AsyncIterator[bytes]):
    """The body of an async response: what a task reads, and keep-alives between.

    The task is needed because a pull cannot be left and taken up again. It opens, reads and closes
    the stream, and pulls only when the body is asked for more.
    """

    def __init__(
        self, stream: AsyncIterable[Any], writer: EventWriter, keep_alive: float | None
    ) -> None:
        loop = asyncio.get_running_loop()
        self._writer = writer
        self._keep_alive = keep_alive
        #: The events to yield next.
        self._events: list[bytes] = []
        self._ended = False
        #: The task that reads the body.
        self._reader: asyncio.Task[Any] | None = None
        #: Raised after the events.
        self._error: Exception | None = None
        self._is_pulling = False
        #: The items; None follows the last.
        self._items: asyncio.Queue[Any] = asyncio.Queue()
        self._wanted = asyncio.Semaphore(0)
        self._task = loop.create_task(_read(stream, self._items, self._wanted))

    async def start(self) -> None:
        """Wait for the first item; raise if it cannot be had."""
        await self._pull(None)

    async def _pull(self, seconds: float | None) -> None:
        """Add the events of the next item, or a keep-alive."""
        if not self._is_pulling:
            self._is_pulling = True
            self._wanted.release()
        try:
            async with asyncio.timeout(seconds):
                item = await self._items.get()
        except TimeoutError:
            self._events = [KEEP_ALIVE]
            return
        self._is_pulling = False
        if item is not None:
            self._events = list(self._writer.events(item))
        else:
            self._ended = True
            await asyncio.wait({self._task})
            if self._task.cancelled():
                raise RuntimeError("the stream was closed: read the body in one task")
            self._task.result()
            self._events = list(self._writer.end())

    async def __anext__(self) -> bytes:
        reader = asyncio.current_task()
        if reader is not None and reader is not self._reader:
            self._reader = reader
            reader.add_done_callback(self._leave)
        while not self._events:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._ended:
                raise StopAsyncIteration
            try:
                await self._pull(self._keep_alive)
            except Exception as error:  # noqa: BLE001 (raised after its event, if it is a bug)
                await self.aclose()
                self._events = [error_event(error)]
                if is_bug(error):
                    self._error = error
        return self._events.pop(0)

    async def aclose(self) -> None:
        """Close the stream; an error of closing it is raised."""
        self._ended = True
        self._events = []
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()

    def _leave(self, reader: asyncio.Task[Any]) -> None:
        """Close the stream when the task that reads the body has ended.

        When a client has left, a web framework ends that task and forgets the body, often in a
        reference cycle.
        """
        if reader is self._reader:
            self._task.cancel()

    def __del__(self) -> None:
        """Close the stream of a body that nobody has read."""
        loop = self._task.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._task.cancel)


async def _read(
    stream: AsyncIterable[Any], items: asyncio.Queue[Any], wanted: asyncio.Semaphore
) -> None:
    """Read the stream, an item for each that is wanted, and close it."""
    try:
        async with closing_async(stream):
            await wanted.acquire()
            async for item in stream:
                items.put_nowait(item)
                await wanted.acquire()
    finally:
        items.put_nowait(None)
