"""`pages`: each item once, whichever request fails, with the pagers of real clients too."""

from __future__ import annotations

import asyncio
import email.message
import pickle
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from failover_iter import (
    Bookmark,
    DivergedStream,
    Failed,
    Resume,
    Source,
    afailover_stream,
    failover_stream,
)
from failover_iter.sources import boto3_fetch, google_fetch, pages, stripe_fetch
from failover_iter.sources._retry import leaves_source, retry_after_of, status_of
from failover_iter.testing import FileAnswer, file_server
from support.needs import unless_installed


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
listings = st.builds(
    Listing,
    sizes=st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple),
    failures=st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), max_size=4).map(tuple),
    commit_when=st.integers(1, 3),
)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", CASES)
def test_cases(name: str, flavour: str) -> None:
    """Each case has each item once."""
    check_pages(CASES[name], flavour)


@pytest.mark.parametrize("flavour", FLAVOURS)
@given(listing=listings)
def test_each_item_once(flavour: str, listing: Listing) -> None:
    """Never an item twice, never one lost, wherever requests and pages break."""
    check_pages(listing, flavour)


# Mutants.

MUTANT = {"mid_stream": Resume(start=[None, 0], advance=lambda at, _: [at[0], at[1] + 1])}


def follows_early(fetch: Any) -> Source[Any]:
    """Moves on to the next page before the items of this one are delivered."""

    def items(progress: Any) -> Any:
        token, _ = progress.cursor
        while True:
            page, token = fetch(token)
            if token is not None:
                yield Bookmark([token, 0])
            yield from page
            if token is None:
                return

    return Source(items, **MUTANT)  # type: ignore[arg-type]


def starts_over(fetch: Any) -> Source[Any]:
    """Delivers a page again from its first item."""

    def items(progress: Any) -> Any:
        token, _ = progress.cursor
        while True:
            page, token = fetch(token)
            yield from page
            if token is None:
                return
            yield Bookmark([token, 0])

    return Source(items, **MUTANT)  # type: ignore[arg-type]


def stops_at_falsy(fetch: Any) -> Source[Any]:
    """Takes the token 0 for the end."""

    def without_zero(token: Any) -> Any:
        page, following = fetch(token)
        return page, following or None

    return pages(without_zero)


def fetches_ahead(fetch: Any) -> Source[Any]:
    """Requests the next page before it is needed."""

    def ahead(token: Any) -> Any:
        page, following = fetch(token)
        if following is not None:
            fetch(following)
        return page, following

    return pages(ahead)


class CountsYielded:
    """Counts the items that it yields, whether or not they are delivered."""

    def __init__(self, fetch: Any) -> None:
        self.fetch, self.token, self.done, self.over = fetch, None, 0, False

    def items(self, progress: Any) -> Any:
        while not self.over:
            page, following = self.fetch(self.token)
            for number, item in enumerate(page):
                if number >= self.done:
                    self.done += 1
                    yield item
            self.token, self.done, self.over = following, 0, following is None


def counts_yielded(fetch: Any) -> Source[Any]:
    return Source(CountsYielded(fetch).items, mid_stream="resume")


@pytest.mark.parametrize(
    ("mutant", "killer"),
    [
        (follows_early, "broken in a page"),
        (starts_over, "broken in a page"),
        (stops_at_falsy, "no failure"),
        (fetches_ahead, "no failure"),
        (counts_yielded, "held and discarded"),
    ],
)
def test_mutants_are_killed(mutant: Any, killer: str) -> None:
    """Each naive source is found by the case that is there for it."""
    with pytest.raises((AssertionError, ConnectionError, DivergedStream)):
        check_pages(CASES[killer], "sync", mutant)


# Refusals.


def stream_of(fetch: Any, **options: Any) -> Any:
    return failover_stream([pages(fetch)], **{"retry_on": ConnectionError, **options})


@pytest.mark.parametrize("end", [None, False, ""])
def test_the_end(end: object) -> None:
    """APIs say in three ways that no page follows."""
    assert list(stream_of(lambda token: ([1], end))) == [1]


def test_a_start() -> None:
    """A listing can start at a page, and its name is that of the function."""

    def fetch(token: int) -> Any:
        return [token], token + 1 if token < 3 else None

    source = pages(fetch, start=2)
    assert list(failover_stream([source], retry_on=ConnectionError)) == [2, 3]
    assert source.name == "fetch"
    assert pages(partial(fetch)).name == "partial"
    assert pages(fetch, name="list").name == "list"


def test_a_page_that_has_shrunk() -> None:
    """If a page has fewer items than were delivered from it, nothing can be joined."""
    answers = iter([broken(range(3), 2), [0]])
    with pytest.raises(DivergedStream, match="2 items were delivered from it, and it has only 1"):
        list(stream_of(lambda token: (next(answers), None), attempts=2))


def test_a_page_that_follows_itself() -> None:
    """A listing that would never end is refused."""
    stream = stream_of(lambda token: ([1], "p2"), attempts=5)
    assert next(stream) == 1
    with pytest.raises(DivergedStream, match="is that of this page"):
        next(stream)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ([1, 2], r"must return \(items, next token\), got a list"),
        ((1, 2, 3), r"must return \(items, next token\), got a tuple"),
        (({"items": []}, None), "got a dict for the items"),
        (("items", None), "got a str for the items"),
        ((None, None), "got a NoneType for the items"),
    ],
)
def test_what_is_no_page(page: object, message: str) -> None:
    """The message says what the function should return, and shows no data."""
    with pytest.raises(TypeError, match=message):
        list(stream_of(lambda token: page))


def test_wrong_use() -> None:
    """A function is needed."""
    with pytest.raises(TypeError, match=r"pages\(fetch\) must be a function"):
        pages([1, 2])  # type: ignore[call-overload]


def test_a_page_is_closed() -> None:
    """Items that are a generator are closed when the consumer leaves."""
    closed: list[int] = []

    def items() -> Iterator[int]:
        try:
            yield from (1, 2)
        finally:
            closed.append(1)

    stream = stream_of(lambda token: (items(), None))
    next(stream)
    stream.close()
    assert closed == [1]


# Retry-After.


def test_retry_after() -> None:
    """A 429 is waited for as long as the server asks for; a 404 leaves the source at once."""
    answers = [
        FileAnswer(status=429, headers={"Retry-After": "0"}),
        FileAnswer(data=b"ab"),
        FileAnswer(status=404),
    ]
    pauses: list[float] = []

    def on_event(event: object) -> None:
        if isinstance(event, Failed):
            pauses.append(source.wait(event))  # type: ignore[operator]

    with file_server(b"", answers) as server, httpx.Client() as client:

        def fetch(token: str | None) -> Any:
            response = client.get(server.urls[0]).raise_for_status()
            return [response.text], "more"

        source = pages(fetch)
        stream = failover_stream(
            [source], retry_on=httpx.HTTPStatusError, attempts=5, on_event=on_event
        )
        assert next(stream) == "ab"
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            next(stream)
    assert pauses[0] == 0.0
    assert len(server.requests) == 3


class ClientError(Exception):
    """An error with the attributes that a client sets."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def message(**headers: str) -> email.message.Message:
    made = email.message.Message()
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    return made


AWS = {"ResponseMetadata": {"HTTPStatusCode": 503, "HTTPHeaders": {"retry-after": "3"}}}


@pytest.mark.parametrize(
    ("error", "status", "pause"),
    [
        (ClientError(response=httpx.Response(429, headers={"retry-after": "2"})), 429, 2.0),
        (ClientError(response=AWS), 503, 3.0),
        (ClientError(response={}), None, None),
        (ClientError(code=503, headers=message(Retry_After="4")), 503, 4.0),
        (ClientError(status=404), 404, None),
        (ClientError(code="40P01", status=1006), None, None),
        (ClientError(retry_after=1), None, 1.0),
        (ClientError(retry_after=float("nan")), None, None),
        (ClientError(retry_after=float("inf")), None, None),
        (ClientError(retry_after=-1), None, None),
        (ConnectionError(), None, None),
    ],
)
def test_what_errors_say(error: Exception, status: int | None, pause: float | None) -> None:
    """The status and the pause are found wherever a client keeps them."""
    assert (status_of(error), retry_after_of(error)) == (status, pause)
    assert leaves_source(error) == (status == 404)


# The clients.


def s3() -> Any:
    import boto3

    return boto3.client(
        "s3", region_name="eu-north-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


@pytest.mark.parametrize("items", ["Contents", "[Contents, CommonPrefixes][]"])
@pytest.mark.parametrize("boto3", [pytest.param(None, marks=unless_installed("boto3"))])
def test_boto3(items: str, boto3: None) -> None:
    """The pages of an operation are those of its paginator, and a failed one is asked again."""
    from botocore.exceptions import ClientError
    from botocore.stub import Stubber

    client = s3()
    stub = Stubber(client)
    first = {"IsTruncated": True, "NextContinuationToken": "t", "Contents": [{"Key": "a"}]}
    last = {"IsTruncated": False, "NextContinuationToken": "x", "CommonPrefixes": [{"Prefix": "b"}]}
    again = {"Bucket": "b", "ContinuationToken": "t"}
    stub.add_response("list_objects_v2", first, {"Bucket": "b"})
    stub.add_client_error("list_objects_v2", "SlowDown", http_status_code=503)
    stub.add_response("list_objects_v2", last, again)
    with stub:
        source = pages(boto3_fetch(client.list_objects_v2, items, Bucket="b"))
        stream = failover_stream([replace(source, wait=0)], retry_on=ClientError, attempts=2)
        found = list(stream)
    assert found == [{"Key": "a"}] + ([] if items == "Contents" else [{"Prefix": "b"}])
    assert source.name == "list_objects_v2"
    stub.assert_no_pending_responses()


@pytest.mark.parametrize("boto3", [pytest.param(None, marks=unless_installed("boto3"))])
def test_boto3_refusals(boto3: None) -> None:
    """What boto3 cannot paginate, and a page with several lists."""
    client = s3()
    with pytest.raises(ValueError, match="boto3 cannot paginate get_object"):
        boto3_fetch(client.get_object)
    with pytest.raises(ValueError, match="list_objects_v2 has Contents, CommonPrefixes"):
        boto3_fetch(client.list_objects_v2, Bucket="b")
    for wrong in (client.get_paginator("list_objects_v2"), print, client.get_paginator):
        with pytest.raises(TypeError, match="must be a method of a boto3 client"):
            boto3_fetch(wrong)


class Response:
    """A page of a Google API."""

    def __init__(self, secrets: list[str], next_page_token: str) -> None:
        self.secrets = secrets
        self.next_page_token = next_page_token


class Pager:
    """A pager as Google's generated clients return it: it holds its first page."""

    def __init__(self, response: Response) -> None:
        self.next_page_token = response.next_page_token
        self.response = response

    @property
    def pages(self) -> Iterator[Response]:
        yield self.response
        raise AssertionError("the next page is requested by its token")


class AsyncPager(Pager):
    @property
    async def pages(self) -> Any:
        yield self.response


def answer_secrets(request: dict[str, str], failures: list[Exception]) -> Response:
    assert request["parent"] == "p"
    if failures and request["page_token"]:
        raise failures.pop()
    return Response(["c"], "") if request["page_token"] else Response(["a", "b"], "t")


def test_google() -> None:
    """The methods of generated clients take a request, sync and async."""
    failures: list[Exception] = [ConnectionError("reset"), ConnectionError("reset")]

    def list_secrets(request: dict[str, str]) -> Pager:
        return Pager(answer_secrets(request, failures[1:]))

    async def alist_secrets(request: dict[str, str]) -> Pager:
        return AsyncPager(answer_secrets(request, failures))

    options: Any = {"retry_on": ConnectionError, "attempts": 3}
    given: Any = {"items": "secrets", "request": {"parent": "p"}}
    source = pages(google_fetch(alist_secrets, **given))

    async def main() -> list[str]:
        stream = afailover_stream([replace(source, wait=0)], **options)
        return [item async for item in stream]

    assert asyncio.run(main()) == ["a", "b", "c"]
    assert failures == []
    assert list(stream_of(google_fetch(list_secrets, **given))) == ["a", "b", "c"]
    assert source.name == "alist_secrets"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"max_results": 5}, ValueError, "use itertools.islice"),
        ({"page_token": "t"}, ValueError, "use pages"),
        ({"request": {}}, TypeError, "items="),
        ({"request": object(), "items": "secrets"}, TypeError, "must be a dict"),
    ],
)
def test_google_refusals(given: Any, error: type[Exception], message: str) -> None:
    """What would be wrong for each single page is refused."""
    with pytest.raises(error, match=message):
        google_fetch(print, **given)


def list_ids(**params: Any) -> dict[str, Any]:
    return {"data": [{"id": 1}], "has_more": False}


def list_names(page_token: str | None) -> Any:
    return SimpleNamespace(pages=[["a"]], next_page_token=None)


async def alist_names(page_token: str | None) -> Any:
    """The same, async."""
    raise NotImplementedError


@pytest.mark.parametrize("fetch", [stripe_fetch(list_ids), google_fetch(list_names), list_ids])
def test_a_listing_is_sent_to_another_process(fetch: Any) -> None:
    """A source can be pickled if the function of the client can."""
    source = pages(fetch)
    copy = pickle.loads(pickle.dumps(source))
    assert copy.name == source.name
    if fetch is not list_ids:
        assert [*stream_of(copy.factory.__self__.fetch)] == [*stream_of(fetch)]


def test_an_async_listing_is_sent_to_another_process() -> None:
    """It stays async."""
    source = pages(google_fetch(alist_names))
    factory = pickle.loads(pickle.dumps(source)).factory
    assert factory.__func__ is source.factory.__func__  # type: ignore[union-attr]


def test_stripe() -> None:
    """Pages may be objects; one without items, though more follow, is refused."""

    @dataclass
    class Page:
        data: list[Any]
        has_more: bool

    @dataclass
    class Item:
        id: str

    class Charges:
        async def __call__(self, after: str = "") -> Page:
            return Page([Item("1")], True) if not after else Page([], True)

    source = pages(stripe_fetch(Charges().__call__, cursor="after"))

    async def main() -> list[Any]:
        stream = afailover_stream([source], retry_on=ConnectionError, attempts=1)
        items: list[Any] = []
        with pytest.raises(DivergedStream, match="has no items, although its has_more"):
            async for item in stream:
                items.append(item)
        return items

    assert asyncio.run(main()) == [Item("1")]


def test_an_async_callable_object() -> None:
    """An object with an async `__call__` makes an async source."""

    class Fetch:
        async def __call__(self, token: None) -> Any:
            return [1], None

    async def main() -> list[Any]:
        return [item async for item in afailover_stream([pages(Fetch())], retry_on=OSError)]

    assert asyncio.run(main()) == [1]
