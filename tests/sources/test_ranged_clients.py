"""`ranged` over real clients: boto3, fsspec, and a mirror over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import pytest

from failover_iter import failover_stream
from failover_iter.sources import http_bytes, ranged
from failover_iter.testing import FileAnswer, file_server
from sources.stores import DATA, Cut, read
from support.needs import needs, unless_installed
from support.runners import quiet


def test_with_http_bytes() -> None:
    """A mirror over HTTP takes over from a store."""

    def store(start: int) -> Any:
        yield DATA[start : start + 100]
        raise Cut("reset")

    with file_server(DATA, [FileAnswer()]) as server, httpx.Client() as client:
        mirror = http_bytes(client, server.urls[0], same_file=None)
        stream = failover_stream([ranged(store, len(DATA)), mirror], retry_on=Cut)
        with quiet():
            assert b"".join(stream) == DATA


@pytest.mark.parametrize("module", [pytest.param("boto3", marks=unless_installed("boto3"))])
def test_boto3(module: str) -> None:
    """A real client: cut, reset, busy, and not found in the first bucket."""
    boto3 = needs(module)
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    data = DATA * 400
    first = [FileAnswer(cut=90_000), FileAnswer(cut=50_000, end="reset"), FileAnswer(status=503)]
    first += [FileAnswer(cut=1000), FileAnswer(status=404)]
    with file_server(data, first, [FileAnswer()]) as server:
        client = boto3.client(
            "s3",
            endpoint_url=server.urls[0].rpartition("/1/")[0],
            region_name="eu-north-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

        def bucket(name: str, start: int) -> Any:
            return client.get_object(Bucket=name, Key="file", Range=f"bytes={start}-")

        buckets = [ranged(partial(bucket, name), len(data)) for name in "12"]
        stream = failover_stream(buckets, retry_on=(BotoCoreError, ClientError), attempts=3)
        with quiet():
            assert b"".join(stream) == data
        client.close()
    assert [request.mirror for request in server.requests] == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("module", [pytest.param("fsspec", marks=unless_installed("fsspec"))])
def test_fsspec(module: str) -> None:
    """A file of fsspec, at a position."""
    files = needs(module).filesystem("memory")
    files.pipe("/bucket/file", DATA)

    def opened(start: int) -> Any:
        file = files.open("/bucket/file", "rb")
        file.seek(start)
        return file

    def breaks(start: int) -> Any:
        yield opened(start).read(200)
        raise Cut("reset")

    assert read([breaks, opened]).data == DATA
