"""A blocked read of a response returns when its source is abandoned, so that its thread ends."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import httpx
import pytest

from drivers.threads import wait_until
from failover_iter import FailoverError, failover_stream
from failover_iter.sources import http_bytes, http_lines, sse
from failover_iter.sources._http_get import MEMO, abort, opener_of
from failover_iter.testing import FileAnswer, file_server
from support.needs import needs, unless_installed

DATA = b"0123456789\n" * 1000
EVENTS = {"headers": {"Content-Type": "text/event-stream"}}
STALL: dict[Any, FileAnswer] = {
    http_bytes: FileAnswer(cut=500, end="stall"),
    http_lines: FileAnswer(cut=500, end="stall"),
    sse: FileAnswer(data=b"data: 1\n\ndata: 2\n", cut=15, end="stall", **EVENTS),
}


def new_client(name: str) -> Any:
    if name == "requests":
        return needs("requests").Session()
    return httpx.Client(timeout=None)  # nothing but `abort` ends a read


@pytest.mark.parametrize("source", [http_bytes, http_lines, sse])
@pytest.mark.parametrize(
    "client", ["httpx", pytest.param("requests", marks=unless_installed("requests"))]
)
def test_a_blocked_read_returns(source: Any, client: str, caplog: pytest.LogCaptureFixture) -> None:
    """The thread of an abandoned source ends, although its client never gives up."""
    answers = [STALL[source], FileAnswer(status=404)]
    with new_client(client) as session, file_server(DATA, answers) as server:
        stream = failover_stream(
            [source(session, server.urls[0])], retry_on=OSError, idle_timeout=0.3
        )
        with closing(stream), pytest.raises(FailoverError):
            list(stream)
        wait_until(lambda: "failover_iter: 127" not in str(threading.enumerate()))
    assert "after it was abandoned" not in caplog.text


def test_nothing_to_shut() -> None:
    """Without a connection, and before there is a response, `abort` does nothing."""
    abort(None, {})
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=b"ab"))
    with (
        httpx.Client(transport=transport) as client,
        opener_of("http_bytes", client)(client, "http://a/b", {}) as response,
    ):
        assert response.shut is None
        abort(None, {MEMO: response})


def test_a_later_attempt_keeps_its_response() -> None:
    """A thread that was abandoned does not take away what a later attempt has opened."""
    from failover_iter.sources._http_get import abortable

    first: Any = object()
    memo: dict[str, Any] = {}
    with abortable(first, memo):
        memo[MEMO] = later = object()
    assert memo == {MEMO: later}
    with abortable(first, memo):
        assert memo == {MEMO: first}
    assert memo == {}
