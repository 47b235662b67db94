"""A server cannot make a stream wait for longer than a minute."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from failover_iter import Failed, Source
from failover_iter.sources import BadResponse, kube_watch, pages, sse


class Busy(Exception):
    """The error of a client."""

    def __init__(self, **headers: str) -> None:
        self.response = httpx.Response(503, headers=headers)


DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
YEARS = [
    BadResponse("http://a.example", 503, retry_after=1e9),
    Busy(**{"retry-after": "99999999999"}),
    Busy(**{"retry-after": "Mon, 01 Jan 2999 00:00:00 GMT", "date": DATE}),
]


@pytest.mark.parametrize("error", YEARS, ids=["attribute", "seconds", "date"])
@pytest.mark.parametrize("make", [pages, kube_watch, lambda _: sse(httpx.Client(), "http://a.b")])
def test_a_server_that_asks_for_years(make: Any, error: Exception) -> None:
    """The source is tried again after a minute."""
    source: Source[Any] = make(lambda _: ([], None))
    wait: Any = source.wait
    assert wait(Failed("a", 1, 0, 0.1, error, 1, 1, None)) == 60
