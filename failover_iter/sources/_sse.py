"""`sse`: server-sent events that reconnect after the last event that was delivered."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, overload

from failover_iter import (
    Bookmark,
    Progress,
    Resume,
    Source,
    SourceError,
    TruncatedStream,
    backoff,
)
from failover_iter.sources._event_stream import EventDecoder
from failover_iter.sources._http_get import (
    AsyncClient,
    SyncClient,
    abort,
    abortable,
    absolute_url,
    async_opener_of,
    is_async,
    opener_of,
    request_headers,
    with_headers,
)
from failover_iter.sources._response import (
    Response,
    check_encoding,
    check_status,
    host_of,
    is_final,
)
from failover_iter.sources._retry import Wait

if TYPE_CHECKING:
    from httpx_sse import ServerSentEvent
else:
    ServerSentEvent = Any  # imported when the first event arrives

#: Under which key of `Progress.memo` a stream remembers the pause that the server asks for.
MEMO = "sse retry"


@overload
def sse(
    client: AsyncClient, url: Any, **request: Any
) -> Source[AsyncGenerator[ServerSentEvent]]: ...
@overload
def sse(client: SyncClient, url: Any, **request: Any) -> Source[Generator[ServerSentEvent]]: ...
def sse(client: Any, url: Any, **request: Any) -> Source[Any]:
    r"""Server-sent events over HTTP, which reconnect after the last event that was delivered.

    The items are `ServerSentEvent` objects of httpx-sse. A request that follows a failure sends the
    id of the last delivered event as `Last-Event-ID`. An event that was cut in the middle is never
    delivered. A feed ends when the server answers 204. A response that just ends is a
    `TruncatedStream`, so the stream reconnects. Comments show that the server is alive
    (`idle_timeout`), and are never delivered.

    Before it reconnects, the source waits as long as the server asks for (`retry:`, or the header
    `Retry-After`), up to 60 seconds, or else as `backoff()` says.
    `dataclasses.replace(source, wait=...)` waits in another way.

    Set `attempts` in the stream: the number of reconnections without any event or comment.

    Args:
        client: an `httpx.Client` or `requests.Session`; for async streams an `httpx.AsyncClient` or
            `aiohttp.ClientSession`. It remains yours. Its read timeout must be longer than the
            server's pauses.
        url: where the feed is.
        request: further arguments for the client's request, such as `headers` or `timeout`.

    Returns:
        A source that brings its own `mid_stream`, `reset_on_progress`, `wait` and name (the host).

    Raises:
        TypeError: `client` is not an HTTP client.
        ValueError: `headers` sets `Last-Event-ID`, `Accept` or `Accept-Encoding`.

    Example:
        >>> import httpx
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import sse
        >>> from failover_iter.testing import FileAnswer, file_server
        >>> feed = {"headers": {"Content-Type": "text/event-stream"}, "ranges": "ignored"}
        >>> first = FileAnswer(data=b"retry: 1\n\nid: 1\ndata: a\n\nid: 2\nda", **feed)
        >>> second = FileAnswer(data=b"id: 2\ndata: b\n\n", **feed)
        >>> with file_server(b"", [first, second, FileAnswer(status=204)]) as server:
        ...     with httpx.Client() as client:
        ...         events = failover_stream([sse(client, server.urls[0])],
        ...                                  retry_on=httpx.TransportError, attempts=5)
        ...         print([event.data for event in events])
        ...     print([request.headers.get("last-event-id") for request in server.requests])
        ['a', 'b']
        [None, '1', '2']
    """
    reserved = ("Accept", "Accept-Encoding", "Last-Event-ID")
    request_headers("sse", request, reserved)
    opener = (async_opener_of if is_async(client) else opener_of)("sse", client)
    feed = _Feed(client, str(url), request, opener)
    return Source(
        feed.aevents if is_async(client) else feed.events,
        name=host_of(absolute_url(client, url)) or None,
        abort=None if is_async(client) else abort,
        mid_stream=BY_EVENT_ID,
        reset_on_progress=True,
        switch_on=is_final,
        wait=Wait(backoff()),
    )


def id_of(_: str, event: ServerSentEvent) -> str:
    """The last event id, once this event is delivered."""
    return event.id


#: The strategy of a feed: its position is the id of the last event.
BY_EVENT_ID = Resume(start="", advance=id_of)


@dataclass(frozen=True, slots=True)
class _Feed:
    """Where the events come from, and with which client."""

    client: Any
    url: str
    request: dict[str, Any]
    open: Callable[..., Any]

    def events(self, progress: Progress[Any]) -> Generator[Any]:
        """Yield events, and a bookmark for each sign of life, with a sync client."""
        decoder = EventDecoder(progress.cursor)
        with closing(self._chunks(progress)) as chunks:
            for chunk in chunks:
                yield from _entries(decoder, chunk, progress.memo)

    async def aevents(self, progress: Progress[Any]) -> AsyncGenerator[Any]:
        """Yield events, and a bookmark for each sign of life, with an async client."""
        decoder = EventDecoder(progress.cursor)
        async with aclosing(self._achunks(progress)) as chunks:
            async for chunk in chunks:
                for entry in _entries(decoder, chunk, progress.memo):
                    yield entry

    # What these two raise says how long to wait; what the consumer throws in never gets here.

    def _chunks(self, progress: Progress[Any]) -> Generator[bytes]:
        response: Response
        try:
            with self._opened(progress) as response, abortable(response, progress.memo):
                if _goes_on(response):
                    yield from response.chunks
                    _fail(response)
        except Exception as error:
            _ask_to_wait(error, progress.memo)
            raise

    async def _achunks(self, progress: Progress[Any]) -> AsyncGenerator[bytes]:
        response: Response
        try:
            async with self._opened(progress) as response:
                if _goes_on(response):
                    async for chunk in response.chunks:
                        yield chunk
                    _fail(response)
        except Exception as error:
            _ask_to_wait(error, progress.memo)
            raise

    def _opened(self, progress: Progress[Any]) -> Any:
        own: dict[str, Any] = {"accept": "text/event-stream", "accept-encoding": "identity"}
        if last_id := progress.cursor:
            # aiohttp takes text, and sends it as UTF-8; the others take bytes.
            is_text = last_id.isascii() or hasattr(self.client, "ws_connect")
            own["last-event-id"] = last_id if is_text else last_id.encode()
        return self.open(self.client, self.url, with_headers(self.request, own))


def _goes_on(response: Response) -> bool:
    """Whether events follow: a 204 ends the feed."""
    check_status(response, 200, 204)
    if response.status == 204:
        return False
    content = response.headers.get("Content-Type") or "nothing"
    if content.partition(";")[0].strip().lower() != "text/event-stream":
        raise SourceError(f"{response.url}: expected text/event-stream, got {content}")
    check_encoding(response)
    return True


def _fail(response: Response) -> NoReturn:
    raise TruncatedStream(f"{response.url}: the feed ended without a 204")


def _ask_to_wait(error: Any, memo: Mapping[str, Any]) -> None:
    """Put the pause of the last `retry:` on an error, where `wait` finds it."""
    if getattr(error, "retry_after", None) is None and MEMO in memo:
        with suppress(AttributeError, TypeError):  # an error that takes no attributes
            error.retry_after = memo[MEMO]


def _entries(decoder: EventDecoder, chunk: bytes, memo: dict[str, Any]) -> Generator[Any]:
    """The events that are complete with this chunk, and bookmarks."""
    from httpx_sse import ServerSentEvent as Event

    last_id = decoder.last_id
    for entry in decoder.decode(chunk):
        if entry.retry is not None:
            memo[MEMO] = entry.retry / 1000
        if entry.data is not None:
            yield Event(event=entry.event, data=entry.data, id=entry.id, retry=entry.retry)
        elif entry.is_comment:
            yield Bookmark()
        elif entry.id != last_id:  # not for a mere `retry:`, with which a broken feed may begin
            yield Bookmark(entry.id)
        last_id = entry.id
