"""A download that resumes: one response after another, sync and async, as `RemoteFile` says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, MutableMapping
from dataclasses import dataclass, replace
from inspect import isasyncgenfunction
from typing import Any

from failover_iter import Progress, Source
from failover_iter.sources._http_get import (
    abort,
    abortable,
    async_opener_of,
    is_async,
    opener_of,
    request_headers,
    with_headers,
)
from failover_iter.sources._remote_file import (
    BY_BYTES,
    MEMO,
    Ask,
    KnownFile,
    RemoteFile,
    SameFile,
    parse_range,
)
from failover_iter.sources._response import Response, host_of, is_final, shown_url


def new_download(
    function: str, client: Any, url: Any, same_file: SameFile, request: dict[str, Any]
) -> Download:
    """Check the arguments of `http_bytes` or `http_lines`."""
    if same_file not in {"etag", "size", None}:
        raise ValueError(
            f"{function}(same_file=...) must be 'etag', 'size' or None, got {same_file!r}"
        )
    headers = request_headers(function, request, reserved=("Accept-Encoding", "If-Range"))
    first, last = parse_range(function, headers.get("range"))
    opener = (async_opener_of if is_async(client) else opener_of)(function, client)
    file = RemoteFile(str(url), same_file, first, last)
    return Download(client, url, request, file, opener)


def resumed_download(
    client: Any,
    url: str,
    same_file: SameFile,
    *,
    first: int,
    known: KnownFile | None,
    on_known: Callable[[KnownFile], None],
) -> Source[Generator[bytes]]:
    """The rest of a file of which an earlier process has written the first bytes."""
    download = new_download("get", client, url, same_file, {})
    # Not the whole address: it may be written to a file, and be signed anew for each process.
    file = replace(download.file, address=shown_url(url), first=first, known=known)
    return as_source(url, replace(download, file=file, on_known=on_known).chunks)


def as_source(url: object, factory: Callable[[Progress[Any]], Any]) -> Source[Any]:
    """Return the source of a download, with its cursor and its name."""
    return Source(
        factory,
        name=host_of(url),
        abort=None if isasyncgenfunction(factory) else abort,
        mid_stream=BY_BYTES,
        reset_on_progress=True,
        switch_on=is_final,
    )


@dataclass(frozen=True, slots=True)
class Download:
    """What to download, and with which client.

    Attributes:
        client: the user's client.
        url: where the file is.
        request: further arguments for the client's request.
        file: which bytes of the file, and how it is recognised.
        open: the function that opens a response with the client.
        on_known: called with what is known of the file, once something was delivered from it.
    """

    client: Any
    url: str
    request: dict[str, Any]
    file: RemoteFile
    open: Callable[..., Any]
    on_known: Callable[[KnownFile], None] | None = None

    def chunks(self, progress: Progress[Any]) -> Generator[bytes]:
        """Yield the missing bytes, with a sync client."""
        ask = self.file.ask(progress.cursor, progress.memo)
        if ask is None:
            return
        response: Response
        with self._opened(ask) as response, abortable(response, progress.memo):
            body = ask.judge(response)
            if body is None:
                return
            for chunk in response.chunks:
                if part := body.take(chunk):
                    yield part
                    self._remember(body.known, progress.memo)
                if body.is_full:
                    break
            body.check_end()

    async def achunks(self, progress: Progress[Any]) -> AsyncGenerator[bytes]:
        """Yield the missing bytes, with an async client."""
        ask = self.file.ask(progress.cursor, progress.memo)
        if ask is None:
            return
        response: Response
        async with self._opened(ask) as response:
            body = ask.judge(response)
            if body is None:
                return
            async for chunk in response.chunks:
                if part := body.take(chunk):
                    yield part
                    self._remember(body.known, progress.memo)
                if body.is_full:
                    break
            body.check_end()

    def _opened(self, ask: Ask) -> Any:
        return self.open(self.client, self.url, with_headers(self.request, ask.headers))

    def _remember(self, known: KnownFile, memo: MutableMapping[str, Any]) -> None:
        """Remember the file: now that more is asked for, a chunk of it was delivered.

        Not before the first chunk: an attempt that was abandoned after a timeout could still
        receive its response, and describe a file of which nothing was delivered.
        """
        if memo.get(MEMO) is not known:
            memo[MEMO] = known
            if self.on_known is not None:
                self.on_known(known)
