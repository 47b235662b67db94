"""`pages` with the pagers of real clients: boto3, Google's, Stripe's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from failover_iter import DivergedStream, afailover_stream, failover_stream
from failover_iter.sources import boto3_fetch, google_fetch, pages, stripe_fetch
from sources.listings import stream_of
from support.needs import unless_installed


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
