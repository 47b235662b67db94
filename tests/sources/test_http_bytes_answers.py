"""`http_bytes` without sockets: its arguments, its errors, and answers that make no sense."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from failover_iter import DivergedStream, TruncatedStream
from failover_iter import sources as sources_package
from failover_iter.sources import BadResponse, http_bytes
from failover_iter.sources import _remote_file as rules
from failover_iter.sources._response import Response, check_status, is_final, shown_url

DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
LATER = "Tue, 02 Jan 2024 00:00:00 GMT"

WRONG: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: http_bytes(httpx.Client(), "http://a/b", same_file="md5"), ValueError, "same_file"),  # type: ignore[call-overload]
    (lambda: http_bytes(object(), "http://a/b"), TypeError, "must be an httpx.Client"),  # type: ignore[call-overload]
    (lambda: http_bytes(HalfAsync(), "http://a/b"), TypeError, "must be an httpx.Client"),  # type: ignore[call-overload]
    (lambda: _with_header("Range", "bytes=-500"), ValueError, "'bytes=FIRST-LAST'"),
    (lambda: _with_header("range", "bytes=5-4"), ValueError, "'bytes=FIRST-LAST'"),
    (lambda: _with_header("If-Range", '"v1"'), ValueError, "must not set If-Range"),
    (lambda: _with_header("accept-encoding", "gzip"), ValueError, "must not set Accept-Encoding"),
]


class HalfAsync:
    """An async context manager other than an HTTP client."""

    async def __aenter__(self) -> None: ...


def _with_header(name: str, value: str) -> object:
    return http_bytes(httpx.Client(), "http://a/b", headers={name: value})


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_use(call: Callable[[], object], error: type[Exception], message: str) -> None:
    """Wrong arguments are refused at the call, by name."""
    with pytest.raises(error, match=message):
        call()


def test_the_source() -> None:
    """It is named after the host, and its messages show nothing secret."""
    url = "https://me:secret@a.example:8443/file?key=secret#part"
    source = http_bytes(httpx.Client(), url)
    assert source.name == "a.example:8443"
    assert source.reset_on_progress is True
    assert shown_url(url) == "https://a.example:8443/file"


#: Nine seconds after DATE, in each way that servers write it.
DATES = [
    "Mon Jan  1 00:00:09 2024",
    "Monday, 01-Jan-24 00:00:09 -0000",
    "1 Jan 2024 01:00:09 +0100",
]

#: What Python does not take for a date.
NO_DATES = ["", "x", "Mon, 01 Jan 2024 00:00:61 GMT", f"Mon, 01 Jan {'9' * 30} 00:00:00 GMT"]


@pytest.mark.parametrize("date", [*DATES, *NO_DATES])
def test_dates_of_a_file(date: str) -> None:
    """A date without a zone is UTC; an invalid date proves nothing, and raises nothing."""
    later = {"Last-Modified": DATE, "Date": date}
    assert rules.Version.of(later).validator == (DATE if date in DATES else None)
    earlier = {"Last-Modified": date, "Date": LATER}
    assert rules.Version.of(earlier).validator == (date if date in DATES else None)


def test_bad_responses() -> None:
    """A `BadResponse` shows the status, and how long the server asks to wait."""
    dates = {"Date": DATE, "Retry-After": "Mon, 01 Jan 2024 00:00:07 GMT"}
    cases: list[tuple[dict[str, str], float | None]] = [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        (dates, 7.0),
        ({**dates, "Date": LATER}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 400}, None),
        *(({**dates, "Retry-After": date}, 9.0) for date in DATES),
        *(({**dates, "Retry-After": date}, None) for date in NO_DATES),
    ]
    for headers, expected in cases:
        answer = Response("http://a/b", 503, headers, marks_end=True, chunks=())
        with pytest.raises(BadResponse) as caught:
            check_status(answer, 200)
        assert caught.value.retry_after == expected
    assert str(BadResponse("http://a/b", 599)) == "http://a/b answered 599"
    assert str(BadResponse("http://a/b", 302)).endswith(
        "302 Found; let the client follow redirects"
    )
    assert pickle.loads(pickle.dumps(caught.value)).status == 503


def test_which_errors_are_final() -> None:
    """A source is left at once if asking it again cannot help."""
    final = [
        status
        for status in (302, 404, 408, 421, 425, 429, 500, 503)
        if is_final(BadResponse("", status))
    ]
    assert final == [302, 404]
    assert is_final(DivergedStream())
    assert not is_final(ConnectionError())


def judged(delivered: int = 0, known: rules.KnownFile | None = None, **headers: str) -> Any:
    """What becomes of a response with these headers."""
    ask = rules.RemoteFile("http://a/b").ask(delivered, known)
    assert ask is not None
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    status = int(fields.pop("status", "200"))
    return ask.judge(Response("http://a/b", status, fields, marks_end=False, chunks=()))


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Content_Length": "5, 5"}, "sends Content-Length: 5, 5"),
        ({"Transfer_Encoding": "gzip, chunked"}, "sends Transfer-Encoding: gzip, chunked"),
        ({"status": "206", "Content_Range": "bytes 0-4/5"}, "asked for the whole file"),
        ({"status": "416"}, "answered 416"),
        ({"status": "204"}, "answered 204"),
    ],
)
def test_odd_responses(headers: dict[str, str], message: str) -> None:
    """A response that makes no sense is refused."""
    with pytest.raises((DivergedStream, BadResponse), match=message):
        judged(**headers)


TAGGED = rules.Version('"v1"', None, '"v1"')
KNOWN = rules.KnownFile(None, TAGGED, {"http://a/b": TAGGED})


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Content_Range": "bytes 5-4/9"}, "Content-Range is impossible"),
        ({"Content_Range": "bytes 5-9/9"}, "Content-Range is impossible"),
        ({"Content_Range": "bytes 5-8/9", "Content_Length": "9"}, "Content-Length 9 contradicts"),
        ({"Content_Type": "multipart/byteranges"}, "the answer is Content-Range: None"),
        ({"status": "416", "Content_Range": "bytes */4"}, "5 bytes were delivered, and it has 4"),
        ({"status": "416"}, "it does not say how many"),
        ({"status": "416", "Content_Range": "bytes */5", "ETag": '"v2"'}, "another version"),
    ],
)
def test_odd_ranges(headers: dict[str, str], message: str) -> None:
    """A range that makes no sense is refused."""
    with pytest.raises(DivergedStream, match=message):
        judged(5, KNOWN, **{"status": "206", "ETag": '"v1"', **headers})


def test_the_end_is_known_by_a_416() -> None:
    """A server that has no more bytes than were delivered says so with a 416."""
    assert judged(5, KNOWN, status="416", Content_Range="bytes */5") is None


def test_nothing_is_requested_after_the_last_byte() -> None:
    """A failure after the last byte needs no further request."""
    known = rules.KnownFile(5, TAGGED)
    assert rules.RemoteFile("http://a/b").ask(5, known) is None
    assert rules.RemoteFile("http://a/b", last=4).ask(5, None) is None


def test_what_was_not_remembered_is_not_joined() -> None:
    """Bytes of an unknown file are not joined with anything."""
    with pytest.raises(DivergedStream, match="version of the file the 5 bytes before are from"):
        judged(5, None, status="206", Content_Range="bytes 5-8/9", ETag='"v1"')


def test_more_than_announced() -> None:
    """Surplus bytes are an error, and are not delivered."""
    body = rules.Body("http://a/b", KNOWN, want=3)
    assert body.take(b"ab") == b"ab"
    with pytest.raises(DivergedStream, match="more than the 3 bytes"):
        body.take(b"cd")


def test_fewer_than_announced() -> None:
    """An end that the client did not notice is a truncated stream."""
    with pytest.raises(TruncatedStream, match="ended after 0 of 3 bytes"):
        rules.Body("http://a/b", KNOWN, want=3).check_end()


def test_an_unknown_name() -> None:
    """The package has its public names, and no others."""
    assert {"http_bytes", "sse"} <= set(dir(sources_package))
    with pytest.raises(AttributeError, match="has no attribute 'ftp'"):
        _ = sources_package.ftp  # type: ignore[attr-defined]
