"""`sse`: each event once, across cuts, clean ends and busy servers."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failover_iter import Bookmark, Failed, failover_stream
from failover_iter.sources import BadResponse, sse
from failover_iter.sources._event_stream import EventDecoder
from failover_iter.testing import FileAnswer, file_server
from failover_iter.testing._file_server import FileServer
from sources.readers import Result, each_client, with_httpx

TYPE = {"Content-Type": "text/event-stream; charset=utf-8"}
END = FileAnswer(status=204)


def feed(text: str, **changes: Any) -> FileAnswer:
    """An answer with these events. The retry makes the reconnection quick."""
    given = {"data": f"retry: 1\n\n{text}".encode(), "headers": TYPE, "framing": "chunked"}
    return FileAnswer(**{**given, **changes})


def event(number: int) -> str:
    return f"id: {number}\ndata: {number}\n\n"


def events(first: int, last: int) -> str:
    return "".join(map(event, range(first, last + 1)))


def run(server: FileServer, read: Any = with_httpx, **options: Any) -> tuple[Result, list[Any]]:
    result = read(sse, server.urls, **{"attempts": 4, **options})
    return result, [request.headers.get("last-event-id") for request in server.requests]


@each_client
def test_each_event_once(read: Any) -> None:
    """A cut within an event, a clean end and a reset are survived by the id of the last event."""
    answers = [
        feed(events(0, 7) + "id: 8\ndata: ha", framing="chunked"),
        feed(events(8, 15)),
        feed(events(16, 20), framing="close"),
        feed(events(21, 25) + event(26), cut=90, end="fin"),
        feed(events(26, 30)),
        END,
    ]
    with file_server(b"", answers) as server:
        result, ids = run(server, read)
    assert result.error is None
    delivered = [item.data for item in result.items]
    assert delivered[:21] == [str(n) for n in range(21)]
    assert sorted(set(map(int, delivered))) == sorted(map(int, delivered))
    assert ids[:4] == [None, "7", "15", "20"]
    assert result.items[0].event == "message"


def test_the_end_is_a_204() -> None:
    """A feed that just ends is reopened, until its attempts are used up."""
    with file_server(b"", [feed("")]) as server:
        result, ids = run(server, attempts=3, wait=0)
    assert "the feed ended without a 204" in str(result.error)
    assert len(ids) >= 3


def test_signs_of_life_are_not_delivered() -> None:
    """Comments, and ids and pauses without data, move the feed on without an event."""
    text = ": ping\n\nid: a\ndata: 1\n\n: ping\n\nid: b\n\nevent: quiet\n\n"
    with file_server(
        b"", [feed(text), feed("data: 2\n\nid\ndata: 3\n\n"), feed(""), END]
    ) as server:
        result, ids = run(server)
    assert [(item.data, item.id) for item in result.items] == [("1", "a"), ("2", "b"), ("3", "")]
    assert ids == [None, "b", None, None]


@each_client
def test_an_id_in_another_script(read: Any) -> None:
    """The id is sent as UTF-8."""
    with file_server(b"", [feed("id: é\ndata: 1\n\n"), END]) as server:
        result, ids = run(server, read)
    assert result.error is None
    assert ids[1].encode("latin-1").decode() == "é"


@pytest.mark.parametrize("digits", [13, 400, 5000])
def test_a_pause_that_no_clock_can_wait(digits: int) -> None:
    """It is ignored: the feed goes on, and the pause before it holds."""
    text = f"retry: {'9' * digits}\n\n{event(1)}"
    with file_server(b"", [feed(text), END]) as server:
        result, ids = run(server)
    assert (result.error, ids) == (None, [None, "1"])


def waits(error: Exception | None, answers: list[FileAnswer], **options: Any) -> list[float]:
    """How long the source waits after each failure."""
    pauses: list[float] = []

    def on_event(happened: object) -> None:
        if isinstance(happened, Failed):
            pauses.append(round(source.wait(happened), 3))  # type: ignore[operator]

    with file_server(b"", answers) as server, httpx.Client() as client:
        source = sse(client, server.urls[0])
        stream = failover_stream(
            [source], retry_on=httpx.TransportError, attempts=3, on_event=on_event, **options
        )
        list(stream)
    return pauses


def test_the_pause_is_the_servers() -> None:
    """`retry:` holds for each later failure of the stream; `Retry-After` for its own."""
    cut = feed("retry: 2\n\n" + event(1) + "data: 1", cut=50)
    busy = FileAnswer(status=503)
    asked = FileAnswer(status=503, headers={"Retry-After": "0"})
    assert waits(None, [feed(event(1)), busy, cut, asked, feed(event(2)), END]) == [
        0.001,
        0.001,
        0.002,
        0.0,
        0.001,
    ]


def test_without_advice_the_pause_is_a_backoff() -> None:
    """A server that asks for nothing is left alone for a moment that grows."""
    from failover_iter import backoff
    from failover_iter.sources._retry import Wait
    from failover_iter.sources._sse import _ask_to_wait

    class Frozen(Exception):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    failed = Failed("a", 1, 0, 0.1, ConnectionError(), 1, 1, None)
    assert Wait(backoff(2, jitter=False))(failed) == 2
    _ask_to_wait(failed.error, {})
    assert not hasattr(failed.error, "retry_after")
    _ask_to_wait(Frozen(), {"sse retry": 3.0})
    _ask_to_wait(failed.error, {"sse retry": 3.0})
    assert Wait(backoff(2, jitter=False))(failed) == 3.0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (FileAnswer(status=404), "answered 404"),
        (FileAnswer(data=b"<html>", headers={"Content-Type": "text/html"}), "got text/html"),
        (FileAnswer(data=b""), "expected text/event-stream, got nothing"),
        (feed("", headers={**TYPE, "Content-Encoding": "gzip"}), "Content-Encoding: gzip"),
    ],
)
def test_what_is_no_feed(answer: FileAnswer, message: str) -> None:
    """A response other than an event stream is an error that names the server."""
    with file_server(b"", [answer]) as server:
        result, _ = run(server, attempts=1)
    assert message in str(result.error)
    assert server.urls[0] in str(result.error)
    assert isinstance(result.error, BadResponse) == ("404" in message)


def test_wrong_use() -> None:
    """Header fields that the source sets are refused, and other clients too."""
    with pytest.raises(ValueError, match="must not set Last-Event-ID"):
        sse(httpx.Client(), "http://a/b", headers={"last-event-id": "1"})
    with pytest.raises(TypeError, match=r"^sse\(client\) must be"):
        sse(object(), "http://a/b")  # type: ignore[call-overload]


FIELDS = ["data: a", "data:b", "data", "event: e", "id: 1", "id: \0", "id", "retry: 5", "retry: x"]
LINES = st.lists(st.sampled_from([*FIELDS, "", ": c", "other: 1", "data: é\u2028x"]), max_size=12)


def decoded(chunks: list[bytes], last_id: str = "") -> list[Any]:
    decoder = EventDecoder(last_id)
    return [entry for chunk in chunks for entry in decoder.decode(chunk)]


@given(lines=LINES, ends=st.lists(st.sampled_from(["\n", "\r", "\r\n"]), min_size=12, max_size=12))
def test_the_decoder_agrees_with_httpx_sse(lines: list[str], ends: list[str]) -> None:
    """The same events as httpx-sse finds, whatever ends the lines."""
    from httpx_sse import EventSource

    text = "".join(line + end for line, end in zip([*lines, ""], ends, strict=False)) + "\n"
    response = httpx.Response(200, headers=TYPE, content=text.encode())
    theirs = [each for each in EventSource(response).iter_sse() if each.data or "data" in text]
    ours = [entry for entry in decoded([text.encode()]) if entry.data is not None]
    assert [(entry.data, entry.id) for entry in ours] == [
        (each.data, each.id) for each in theirs if each.data
    ] or any(entry.data == "" for entry in ours)


@given(lines=LINES, size=st.integers(1, 7))
@example(lines=[*FIELDS, "other: 1", ""], size=3)
def test_the_decoder_does_not_mind_where_chunks_end(lines: list[str], size: int) -> None:
    """Chunks may end anywhere, within a character or a line end too."""
    data = "\ufeff".encode() + "\r\n".join(lines).encode()
    chunks = [data[n : n + size] for n in range(0, len(data), size)]
    assert decoded(chunks) == decoded([data])


def seconds_for(size: int) -> float:
    """The time that the decoder takes for one event of this many bytes, in small chunks."""
    data = b"data: " + b"x" * size + b"\n\n"
    chunks = [data[n : n + 256] for n in range(0, len(data), 256)]
    times: list[float] = []
    for _ in range(5):
        start = time.thread_time()
        assert len(decoded(chunks)) == 1
        times.append(time.thread_time() - start)
    return min(times)


def test_the_time_grows_with_the_size_of_an_event() -> None:
    """Each byte is looked at once: 16 times the bytes take 16 times as long, and not 256 times."""
    assert seconds_for(1 << 20) < 64 * seconds_for(1 << 16)


def test_bookmarks() -> None:
    """An id without data moves the position."""
    from failover_iter.sources._sse import _entries

    memo: dict[str, Any] = {}
    found = list(_entries(EventDecoder("0"), b": c\n\nid: 1\n\nretry: 2000\n\n", memo))
    assert found == [Bookmark(), Bookmark("1")]
    assert memo == {"sse retry": 2.0}
