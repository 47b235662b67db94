"""Answers of object stores that break off, and consumers that read them through `ranged`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from failover_iter import afailover_stream, failover_stream
from failover_iter.sources import ranged
from sources.readers import Result, aread_all, read_all
from support.runners import quiet

DATA = bytes(range(256)) * 2


class Cut(ConnectionError):
    """The connection broke."""


class Body:
    """A file in a store, which breaks before a byte, and counts how often it is open."""

    open = 0

    def __init__(self, data: bytes, cut: int | None, piece: int) -> None:
        self.data, self.cut, self.piece = data, cut, piece
        Body.open += 1

    def read(self, size: int) -> bytes:
        if self.cut is not None and self.cut <= 0:
            raise Cut("reset")
        size = min(size, self.piece, len(self.data) if self.cut is None else self.cut)
        chunk, self.data = self.data[:size], self.data[size:]
        if self.cut is not None:
            self.cut -= size
        return chunk

    def close(self) -> None:
        Body.open -= 1


class ABody:
    """The same, async."""

    def __init__(self, body: Body) -> None:
        self.body = body

    async def read(self, size: int) -> bytes:
        return self.body.read(size)

    async def close(self) -> None:
        self.body.close()


async def achunks_of(body: Body) -> Any:
    try:
        while chunk := body.read(100):
            yield chunk
    finally:
        body.close()


def s3(body: Any, start: int, etag: str | None) -> Any:
    """A response of boto3."""
    return {
        "Body": body,
        "ContentRange": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}",
        "ETag": etag,
    }


def obstore(body: Any, start: int, etag: str | None) -> Any:
    """A result of obstore."""
    meta = {"size": len(DATA), "e_tag": etag}
    return SimpleNamespace(stream=lambda: body, meta=meta, range=(start, len(DATA)))


SHAPES: dict[str, Callable[[Any, int, str | None], Any]] = {
    "file": lambda body, start, etag: body,
    "s3": s3,
    "obstore": obstore,
}


def read(opens: list[Any], **options: Any) -> Result:
    sources = [ranged(each, len(DATA)) for each in opens]
    with quiet():
        return read_all(failover_stream(sources, retry_on=Cut, attempts=8, **options))


def aread(opens: list[Any], **options: Any) -> Result:
    async def main() -> Result:
        sources = [ranged(partial(_aopen, each), len(DATA)) for each in opens]
        stream = afailover_stream(sources, retry_on=Cut, attempts=8, **options)
        with quiet():
            return await aread_all(stream)

    return asyncio.run(main())


async def _aopen(open_range: Any, start: int) -> Any:
    opened = open_range(start)
    if isinstance(opened, Body):
        return ABody(opened)
    if isinstance(opened, dict):
        return {**opened, "Body": achunks_of(opened["Body"])}
    return opened


READS: dict[str, Any] = {"sync": read, "async": aread}
