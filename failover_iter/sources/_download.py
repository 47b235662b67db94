"""A download that resumes: one response after another, sync and async, as `RemoteFile` says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass, replace
from inspect import isasyncgenfunction
from typing import Any

from failover_iter import Progress, Source
from failover_iter.sources._http_get import (
    abort,
    abortable,
    absolute_url,
    async_opener_of,
    is_async,
    opener_of,
    request_headers,
    with_headers,
)
from failover_iter.sources._remote_file import (
    BY_BYTES,
    Ask,
    Body,
    FileMemo,
    KnownFile,
    RemoteFile,
    SameFile,
    parse_range,
)
from failover_iter.sources._response import (
    Response,
    host_of,
    is_final,
    mirror_of,
    shown_url,
)


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
    if headers.pop("range", None) is not None:
        request = {**request, "headers": headers}  # each request has its own range, or none
    opener = (async_opener_of if is_async(client) else opener_of)(function, client)
    address = mirror_of(absolute_url(client, url), request.get("params"))
    file = RemoteFile(address, same_file, first, last)
    return Download(client, url, request, file, opener)


def resumed_downloads(
    client: Any,
    urls: Sequence[str],
    same_file: SameFile,
    *,
    first: int,
    known: KnownFile | None,
    on_known: Callable[[KnownFile], None],
) -> list[Source[Generator[bytes]]]:
    """The rest of a file of which an earlier process has written the first bytes."""
    shown = [shown_url(url) for url in urls]
    sources = list[Source[Generator[bytes]]]()
    for url, place in zip(urls, shown, strict=True):
        download = new_download("get", client, url, same_file, {})
        # The query may be signed anew for each process: it counts only where nothing else differs.
        address = place if shown.count(place) == 1 else download.file.address
        file = replace(download.file, address=address, first=first, known=known)
        download = replace(download, file=file, on_known=on_known)
        sources.append(as_source(download, download.chunks))
    return sources


def as_source(download: Download, factory: Callable[[Progress[Any]], Any]) -> Source[Any]:
    """Return the source of a download, with its cursor and its name."""
    return Source(
        factory,
        name=host_of(download.file.address) or None,
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
        on_known: called with what is known of the file, before bytes of it are delivered.
    """

    client: Any
    url: str
    request: dict[str, Any]
    file: RemoteFile
    open: Callable[..., Any]
    on_known: Callable[[KnownFile], None] | None = None

    def chunks(self, progress: Progress[Any]) -> Generator[bytes]:
        """Yield the missing bytes, with a sync client."""
        memo = FileMemo(progress.memo)
        ask = self.file.ask(progress.cursor, memo.known)
        if ask is None:
            return
        response: Response
        with self._opened(ask) as response, abortable(response, progress.memo):
            body = self._judged(ask, response, memo)
            if body is None:
                return
            for chunk in response.chunks:
                if part := body.take(chunk):
                    yield part
                if body.is_full:
                    break
            body.check_end()

    async def achunks(self, progress: Progress[Any]) -> AsyncGenerator[bytes]:
        """Yield the missing bytes, with an async client."""
        memo = FileMemo(progress.memo)
        ask = self.file.ask(progress.cursor, memo.known)
        if ask is None:
            return
        response: Response
        async with self._opened(ask) as response:
            body = self._judged(ask, response, memo)
            if body is None:
                return
            async for chunk in response.chunks:
                if part := body.take(chunk):
                    yield part
                if body.is_full:
                    break
            body.check_end()

    def _opened(self, ask: Ask) -> Any:
        return self.open(self.client, self.url, with_headers(self.request, ask.headers))

    def _judged(self, ask: Ask, response: Response, memo: FileMemo) -> Body | None:
        """The body to read, after its file is remembered."""
        body = ask.judge(response)
        if body is not None:
            memo.remember(body.known)
            if self.on_known is not None:
                self.on_known(body.known)
        return body
