"""The status and the pause in the errors of clients."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from failover_iter import Failed, failover_stream
from failover_iter.sources import pages
from failover_iter.sources._retry import leaves_source, retry_after_of, status_of
from failover_iter.testing import FileAnswer, file_server
from sources.listings import ClientError, message


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
