"""`pages`: a listing that arrives page by page, item by item."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import closing
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, TypeAlias, TypeVar, overload

from failover_iter import Bookmark, DivergedStream, Progress, Resume, Source, backoff
from failover_iter.sources._page_trail import Trail
from failover_iter.sources._retry import Wait, leaves_source

ItemT = TypeVar("ItemT")
#: Key of `Progress.memo`: the tokens of the pages so far.
MEMO = "pages trail"

#: The items of a page, and the token of the next one.
Page: TypeAlias = tuple[Iterable[ItemT], Any]


@overload
def pages(
    fetch: Callable[[Any], Page[ItemT]], *, start: Any = None, name: str | None = None
) -> Source[Generator[ItemT]]: ...
@overload
def pages(
    fetch: Callable[[Any], Awaitable[Page[ItemT]]], *, start: Any = None, name: str | None = None
) -> Source[AsyncGenerator[ItemT]]: ...
def pages(
    fetch: Callable[[Any], Any], *, start: Any = None, name: str | None = None
) -> Source[Any]:
    """A listing that arrives page by page: each item once, whichever request fails.

    `fetch(token)` requests one page, and returns its items and the token of the next page: a page
    token, a page number, the id of the last item. After a failure, the same page is requested
    again, and the items of it that were delivered are dropped. No page is requested before its
    first item is needed.

    The listing ends at the page whose next token is `None`, `False` or `""`. Other falsy tokens,
    such as 0, are tokens.

    Before it retries, the source waits as long as the server asks for (`Retry-After`, in the errors
    of httpx, requests, aiohttp, boto3 and Google), up to 60 seconds, or else as `backoff()` says.
    An error with an HTTP status such as 401 or 404 leaves the source at once.

    Set `attempts` in the stream: the failures in a row after which the source is given up.

    Args:
        fetch: `token -> (items, next token)`. An `async def` function makes an async source.
            `boto3_fetch`, `google_fetch` and `stripe_fetch` make such functions.
        start: the token of the first page.
        name: the name of the source. Default: the name of the function.

    Returns:
        A source that brings its own `mid_stream`, `reset_on_progress`, `wait` and `switch_on`. Its
        cursor is `[token, items delivered from that page]`. The sources of one stream share it, so
        a token of one must be valid for the others.

    Raises:
        TypeError: `fetch` is not callable. While the stream runs: it returned something else than
            items and a token.
        DivergedStream: while the stream runs: a page has fewer items than were delivered from it,
            or names itself or an earlier page as the next one.

    Example:
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import pages
        >>> LISTING = {None: ("ab", 2), 2: ("cd", 0), 0: ("e", None)}
        >>> failures = [ConnectionError("reset by peer")]
        >>> def fetch(token):
        ...     if token == 2 and failures:
        ...         raise failures.pop()
        ...     letters, following = LISTING[token]
        ...     return list(letters), following
        >>> stream = failover_stream([pages(fetch)], retry_on=ConnectionError, attempts=2)
        >>> "".join(stream)
        'abcde'
    """
    if not callable(fetch):
        raise TypeError(f"pages(fetch) must be a function token -> (items, token), got {fetch!r}")
    shown = str(name or getattr(fetch, "__name__", type(fetch).__name__))
    listing = _Listing(fetch, shown)
    return Source(
        listing.aitems if _is_async(fetch) else listing.items,
        name=shown,
        mid_stream=Resume(start=[start, 0], advance=count_item),
        reset_on_progress=True,
        switch_on=leaves_source,
        wait=Wait(backoff()),
    )


def count_item(cursor: list[Any], _: object) -> list[Any]:
    """The position after one more item of the same page."""
    token, delivered = cursor
    return [token, delivered + 1]


def _is_async(fetch: Any) -> bool:
    return iscoroutinefunction(fetch) or iscoroutinefunction(getattr(fetch, "__call__", None))  # noqa: B004 (whether it is a coroutine function)


@dataclass(frozen=True, slots=True)
class _Listing:
    """The function that fetches a page, and what messages call it."""

    fetch: Callable[[Any], Any]
    name: str

    def items(self, progress: Progress[Any]) -> Generator[Any]:
        """Yield the missing items with a blocking function, and a bookmark after each page."""
        token, delivered = self._begin(progress)
        while token is not END:
            items, following = self._checked(self.fetch(token), token, progress.memo)
            with closing(_rest(items, delivered, self.name)) as rest:
                yield from rest
            yield from _bookmarks(following)
            token, delivered = following, 0

    async def aitems(self, progress: Progress[Any]) -> AsyncGenerator[Any]:
        """Yield the missing items with an async function, and a bookmark after each page."""
        token, delivered = self._begin(progress)
        while token is not END:
            items, following = self._checked(await self.fetch(token), token, progress.memo)
            with closing(_rest(items, delivered, self.name)) as rest:
                for item in rest:
                    yield item
            for bookmark in _bookmarks(following):
                yield bookmark
            token, delivered = following, 0

    @staticmethod
    def _begin(progress: Progress[Any]) -> Any:
        token, delivered = progress.cursor
        progress.memo[MEMO] = progress.memo.get(MEMO, Trail()).back_to(token)
        return token, delivered

    def _checked(self, page: Any, token: Any, memo: dict[str, Any]) -> tuple[Iterable[Any], Any]:
        """The items, and the token of the next page, or `END`."""
        kind = _type_of(page)
        if not issubclass(kind, tuple) or len(page) != 2:
            raise TypeError(f"{self.name} must return (items, next token), got a {kind.__name__}")
        items, following = page
        kind = _type_of(items)
        if issubclass(kind, str | bytes | Mapping) or not hasattr(kind, "__iter__"):
            raise TypeError(
                f"{self.name} must return a list of items and a token, got a "
                f"{kind.__name__} for the items"
            )
        if following is None or following is False or following == "":
            return items, END
        trail: Trail = memo[MEMO]
        if following in trail:
            which = "this" if following == token else "an earlier"
            raise DivergedStream(
                f"{self.name}: the token of the next page is that of {which} page, so the listing "
                "would never end"
            )
        memo[MEMO] = trail.to(following)
        return items, following


def _type_of(value: object) -> type[Any]:
    return type(value)


class _End:
    """The token after the last page. No token of a server is equal to it."""


END = _End()


def _bookmarks(following: Any) -> Iterator[Bookmark]:
    """The position at the start of the next page, once all items before it are delivered."""
    return iter(() if following is END else (Bookmark([following, 0]),))


def _rest(items: Iterable[Any], delivered: int, name: str) -> Generator[Any]:
    """The items of a page that were not delivered yet."""
    number = 0
    iterator: Any = iter(items)
    try:
        for number, item in enumerate(iterator, 1):
            if number > delivered:
                yield item
    finally:
        if hasattr(iterator, "close"):
            iterator.close()
    if number < delivered:
        raise DivergedStream(
            f"{name}: the page has changed: {delivered} items were delivered from it, and it has "
            f"only {number}"
        )
