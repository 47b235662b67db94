"""Listings whose requests and pages break off, and the law of `pages` over them."""

from __future__ import annotations

import asyncio
import email.message
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from failover_iter import Source, afailover_stream, failover_stream
from failover_iter.sources import pages


@dataclass(frozen=True)
class Listing:
    """The sizes of the pages, and after how many items of a page each opening breaks off."""

    sizes: tuple[int, ...] = (2, 3, 1)
    #: (page, items before the failure) for one failure each; -1: the request itself fails.
    failures: tuple[tuple[int, int], ...] = ()
    commit_when: int = 1

    @property
    def items(self) -> list[int]:
        return [*range(sum(self.sizes))]


@dataclass
class Server:
    """Serves a listing. The token of the second page is 0, which is falsy."""

    listing: Listing
    left: list[tuple[int, int]] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)

    def fetch(self, token: int | None) -> tuple[Any, int | None]:
        page = 0 if token is None else token + 1
        first = sum(self.listing.sizes[:page])
        if not self.listing.commit_when > 1:
            assert len(self.delivered) >= first, "requested before it was needed"
        breaks = next((after for number, after in self.left if number == page), None)
        if breaks is not None:
            self.left.remove((page, breaks))
        if breaks == -1:
            raise ConnectionError("refused")
        items = range(first, first + self.listing.sizes[page])
        following = page if page + 1 < len(self.listing.sizes) else None
        return items if breaks is None else broken(items, breaks), following

    async def afetch(self, token: int | None) -> tuple[Any, int | None]:
        return self.fetch(token)


def broken(items: range, after: int) -> Iterator[int]:
    yield from items[:after]
    raise ConnectionError("reset by peer")


async def aread(server: Server, source: Source[Any], options: Any) -> None:
    async with aclosing(afailover_stream([source], **options)) as stream:
        async for item in stream:
            server.delivered.append(item)


def check_pages(listing: Listing, flavour: str, make: Callable[[Any], Source[Any]] = pages) -> None:
    """Each item of the listing is delivered once, in order, and each page requested when needed."""
    server = Server(listing, [*listing.failures])
    source = replace(make(server.fetch if flavour == "sync" else server.afetch), wait=0)
    options: dict[str, Any] = {
        "retry_on": ConnectionError,
        "attempts": len(listing.failures) + 1,
        "commit_when": listing.commit_when,
    }
    if flavour == "sync":
        for item in failover_stream([source], **options):
            server.delivered.append(item)
    else:
        run: Any = asyncio.run if flavour == "asyncio" else lambda main: trio.run(lambda: main)
        run(aread(server, source, options))
    assert server.delivered == listing.items


CASES = {
    "no failure": Listing(),
    "no item": Listing(sizes=(0, 0)),
    "the first request fails": Listing(failures=((0, -1),)),
    "a later request fails": Listing(failures=((1, -1), (2, -1), (2, -1))),
    "broken in a page": Listing(failures=((1, 2), (1, 1), (2, 0))),
    "held and discarded": Listing(failures=((1, -1), (1, 1)), commit_when=3),
    "empty pages": Listing(sizes=(0, 1, 0, 0, 1), failures=((3, -1), (2, 0))),
}
FLAVOURS = ["sync", "asyncio", "trio"]


def stream_of(fetch: Any, **options: Any) -> Any:
    return failover_stream([pages(fetch)], **{"retry_on": ConnectionError, **options})


class ClientError(Exception):
    """An error with the attributes that a client sets."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def message(**headers: str) -> email.message.Message:
    made = email.message.Message()
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    return made
