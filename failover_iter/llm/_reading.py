"""Opens, reads and closes an SDK's stream: blocking, async, or both. This is the only I/O."""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from typing import Any, TypeVar

from failover_iter import Progress
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._factory import ChatFactory
from failover_iter.llm._opening import Opening

_FactoryT = TypeVar("_FactoryT", bound=ChatFactory)
_START: Progress[Any] = Progress()


class SyncChatFactory(ChatFactory):
    """A factory of blocking streams."""

    def __call__(self, progress: Progress[Any] = _START) -> Iterator[Chunk]:
        """Open one answer."""
        opening = Opening(self, progress)
        for arguments in opening.requests():
            try:
                with closing_sync(self.call(arguments)) as opened, _iterator(opened) as events:
                    for event in events:
                        yield from opening.read(event)
                yield from opening.end()
            except Exception as error:
                if not opening.was_rejected(error):
                    raise
            else:
                opening.completed = True
                return
            finally:
                opening.settle()
        raise opening.interruption()


class AsyncChatFactory(ChatFactory):
    """A factory of async streams."""

    async def __call__(self, progress: Progress[Any] = _START) -> AsyncIterator[Chunk]:
        """Open one answer."""
        opening = Opening(self, progress)
        for arguments in opening.requests():
            try:
                opened = (self.acall or self.call)(arguments)
                if not hasattr(opened, "__aiter__"):
                    opened = await opened
                async with closing_async(opened), _aiterator(opened) as events:
                    async for event in events:
                        for chunk in opening.read(event):
                            yield chunk
                for chunk in opening.end():
                    yield chunk
            except Exception as error:
                if not opening.was_rejected(error):
                    raise
            else:
                opening.completed = True
                return
            finally:
                opening.settle()
        raise opening.interruption()


class DualChatFactory(ChatFactory):
    """A factory of streams for both kinds of iteration, for clients that are sync and async."""

    def __call__(self, progress: Progress[Any] = _START) -> DualStream:
        """Return one answer; iterating it makes the request."""
        return DualStream(self, progress)


@dataclass(frozen=True)
class DualStream(Iterable[Chunk], AsyncIterable[Chunk]):
    """One answer of a client that is both blocking and async; `for` and `async for` both work."""

    factory: DualChatFactory
    progress: Progress[Any]

    def __iter__(self) -> Iterator[Chunk]:
        """Make the request with the blocking call."""
        return self._as(SyncChatFactory)(self.progress)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Make the request with the async call."""
        return self._as(AsyncChatFactory)(self.progress)

    def _as(self, factory_type: type[_FactoryT]) -> _FactoryT:
        return factory_type(**vars(self.factory))


def factory_class(method: Callable[..., object]) -> type[SyncChatFactory | AsyncChatFactory]:
    """Return the factory class for a client: async if this method of the client is async."""
    function = inspect.unwrap(method)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    return AsyncChatFactory if is_async else SyncChatFactory


def _add_close_note(error: BaseException, close_error: Exception) -> None:
    error.add_note(f"closing the stream raised {type(close_error).__name__}: {close_error}")


@contextmanager
def closing_sync(events: Any) -> Generator[Any, None, None]:
    """Close the SDK's stream; an error while closing never hides an earlier one."""
    try:
        yield events
    except GeneratorExit:
        _close(events)
        raise
    except BaseException as error:
        try:
            _close(events)
        except Exception as close_error:  # noqa: BLE001 (any error goes into the notes)
            _add_close_note(error, close_error)
        raise
    else:
        _close(events)


def _iterator(opened: Any) -> AbstractContextManager[Any]:
    """Return the iterator of a stream; it is closed before the stream if it is another object."""
    events = iter(opened)
    return nullcontext(events) if events is opened else closing_sync(events)


def _close(events: Any) -> None:
    close = getattr(events, "close", None)
    if close is not None:
        close()
    elif hasattr(events, "__exit__"):  # mistralai 1 has no `close`
        events.__exit__(None, None, None)


@asynccontextmanager
async def closing_async(events: Any) -> AsyncGenerator[Any, None]:
    """Close the SDK's async stream, as `closing_sync` does."""
    try:
        yield events
    except GeneratorExit:
        await _aclose(events)
        raise
    except BaseException as error:
        try:
            await _aclose(events)
        except Exception as close_error:  # noqa: BLE001 (any error goes into the notes)
            _add_close_note(error, close_error)
        raise
    else:
        await _aclose(events)


def _aiterator(opened: Any) -> AbstractAsyncContextManager[Any]:
    """Return the async iterator of a stream, as `_iterator` does."""
    events = aiter(opened)
    return nullcontext(events) if events is opened else closing_async(events)


async def _aclose(events: Any) -> None:
    close = getattr(events, "aclose", None) or getattr(events, "close", None)
    if close is not None:
        await close()
    elif hasattr(events, "__aexit__"):
        await events.__aexit__(None, None, None)
