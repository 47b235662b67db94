"""`openai_sse`: a chat stream as the HTTP response of an endpoint compatible with OpenAI's."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, islice
from math import isfinite
from typing import Any, Final, Generic, TypeVar, overload

from failover_iter import Takeover
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._openai_errors import error_event, is_bug, refusal
from failover_iter.llm._openai_events import EventWriter
from failover_iter.llm._reading import closing_sync

__all__ = ["SSEResponse", "openai_sse"]

_BodyT = TypeVar("_BodyT", bound=Iterator[bytes] | AsyncIterator[bytes], covariant=True)

_STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx would hold the events back
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SSEResponse(Generic[_BodyT]):
    """The HTTP response that `openai_sse` returns, for any web framework.

    Example:
        >>> from failover_iter.llm import Chunk, openai_sse
        >>> response = openai_sse([Chunk(text="Hello"), Chunk(finish_reason="stop")])
        >>> response.status, response.headers["content-type"]
        (200, 'text/event-stream; charset=utf-8')
    """

    status: int
    """The HTTP status: 200, or that of the error if no source delivered anything."""
    headers: dict[str, str]
    """The headers of the response, names in lower case."""
    body: _BodyT
    """The bytes of the response, one event at a time. Closing it closes the stream."""


@overload
def openai_sse(
    stream: Iterable[Chunk | Takeover], *, model: str | None = None, include_usage: bool = False
) -> SSEResponse[Iterator[bytes]]: ...
@overload
def openai_sse(
    stream: AsyncIterable[Chunk | Takeover],
    *,
    model: str | None = None,
    include_usage: bool = False,
    keep_alive: float | timedelta | None = 15.0,
) -> Coroutine[Any, Any, SSEResponse[AsyncIterator[bytes]]]: ...
def openai_sse(
    stream: Any,
    *,
    model: str | None = None,
    include_usage: bool = False,
    keep_alive: float | timedelta | None = 15.0,
) -> Any:
    """Return a chat stream as the response of a server that is compatible with OpenAI's.

    It waits for the first chunk, so the status is known before the first byte. If no source
    delivers anything, the response is the error, with its status: 429, 503, ... An error after the
    first chunk becomes an event, for which the clients of OpenAI raise an exception. An error that
    does not come from a provider (`error_kind` is "unknown") is raised, so that your framework
    reports it.

    For an async stream, which needs asyncio, the result is awaitable. A task of the response reads
    the stream. It ends, and the sources are closed, when the body has ended or is closed, and when
    the task that reads the body ends, as when the client disconnects.

    A client cannot take back what it has shown. So an answer that starts over after content was
    sent, as by `mid_stream="restart"`, ends in an error event. Let the next provider continue the
    answer with `continue_with(...)`.

    Args:
        stream: A stream made by `chat_stream` or `achat_stream`.
        model: The model's name in the response; by default, the name that its provider was asked
            for.
        include_usage: Whether an event before the last has the usage of all attempts, as clients
            request it with `stream_options`; False by default.
        keep_alive: After this many seconds without an event, a comment is sent. It keeps proxies
            from closing the connection, and shows whether the client is still connected. 15 by
            default, None for never; only for async streams.

    Raises:
        TypeError: `keep_alive` is not a duration.
        ValueError: `keep_alive` is not positive.

    Example:
        >>> from failover_iter.llm import Chunk, openai_sse
        >>> response = openai_sse([Chunk(text="Hello"), Chunk(finish_reason="stop")])
        >>> *_, last = response.body
        >>> last.strip()
        b'data: [DONE]'
    """
    seconds = _seconds(keep_alive)
    writer = EventWriter(model, include_usage=include_usage)
    if hasattr(stream, "__aiter__"):
        return _respond_async(stream, writer, seconds)
    return _respond(stream, writer)


def _seconds(keep_alive: object) -> float | None:
    if keep_alive is None:
        return None
    seconds = keep_alive.total_seconds() if isinstance(keep_alive, timedelta) else keep_alive
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"keep_alive must be seconds, a timedelta or None, got {keep_alive!r}")
    if not (isfinite(seconds) and seconds > 0):
        raise ValueError(f"keep_alive must be finite and positive, got {keep_alive!r}")
    return float(seconds)


def _respond(stream: Iterable[Any], writer: EventWriter) -> SSEResponse[Iterator[bytes]]:
    body = _body(stream, writer)
    try:
        next(body)
    except Exception as error:  # noqa: BLE001 (raised again unless it is a provider's)
        status, headers, text = refusal(error)
        return SSEResponse(status=status, headers=headers, body=iter([text]))
    return SSEResponse(status=200, headers=dict(_STREAM_HEADERS), body=body)


def _body(stream: Iterable[Any], writer: EventWriter) -> Iterator[bytes]:
    """Yield nothing when the first item is there, then the events; an error becomes an event."""
    with closing_sync(stream):
        items = iter(stream)
        first = list(islice(items, 1))
        yield b""
        try:
            for item in chain(first, items):
                yield from writer.events(item)
        except Exception as error:
            yield error_event(error)
            if is_bug(error):
                raise
        else:
            yield from writer.end()


async def _respond_async(
    stream: AsyncIterable[Any], writer: EventWriter, keep_alive: float | None
) -> SSEResponse[AsyncIterator[bytes]]:
    from failover_iter.llm._openai_body import Body

    body = Body(stream, writer, keep_alive)
    try:
        await body.start()
    except Exception as error:  # noqa: BLE001 (raised again unless it is a provider's)
        status, headers, text = refusal(error)
        return SSEResponse(status=status, headers=headers, body=_once(text))
    except BaseException:
        await body.aclose()
        raise
    return SSEResponse(status=200, headers=dict(_STREAM_HEADERS), body=body)


async def _once(text: bytes) -> AsyncIterator[bytes]:
    yield text
