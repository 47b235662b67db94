"""`http_bytes` over real sockets: the exact file, or an error that names the mirror and why."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import DivergedStream, Source, TruncatedStream, failover_stream
from failover_iter import sources as sources_package
from failover_iter.sources import BadResponse, http_bytes
from failover_iter.sources import _remote_file as rules
from failover_iter.sources._remote_file import Ask
from failover_iter.sources._response import Response, check_status, is_final, shown_url
from failover_iter.testing import FileAnswer, file_server
from sources.readers import (
    Result,
    each_client,
    with_httpx,
    with_httpx_on_asyncio,
    with_httpx_on_trio,
)

DATA = bytes(n * 7 % 251 for n in range(300_000))
OTHER = DATA[::-1]
DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
LATER = "Tue, 02 Jan 2024 00:00:00 GMT"


def whole(**changes: Any) -> FileAnswer:
    return FileAnswer(**changes)


def cut(**changes: Any) -> FileAnswer:
    return FileAnswer(**{"cut": 100_000, **changes})


GONE = FileAnswer(status=404)


class Case(NamedTuple):
    """The answers of the mirrors, and the result: a whole file, or this error."""

    mirrors: tuple[list[FileAnswer], ...]
    error: str = ""
    same_file: Any = "etag"


ENCODED = {"Content-Encoding": "gzip"}
CASES = {
    "whole": Case(([whole()],)),
    "empty": Case(([whole(data=b"")],)),
    "closed": Case(([cut(), whole()],)),
    "reset": Case(([cut(end="reset"), whole()],)),
    "cut before the first byte": Case(([cut(cut=0), whole()],)),
    "cut three times": Case(([cut(), cut(cut=1), cut(cut=199_998), whole()],)),
    "chunked": Case(([cut(framing="chunked"), whole(framing="chunked")],)),
    "chunked, then sized": Case(([cut(framing="chunked"), whole()],)),
    "cut after the last byte": Case(([cut(), cut(cut=200_000, framing="chunked"), whole()],)),
    "busy": Case(([cut(), FileAnswer(status=503), FileAnswer(status=429), whole()],)),
    "redirected": Case(([whole(status=302, headers={"Location": "/1/elsewhere"}), whole()],)),
    "no ranges": Case(([cut(), cut(cut=200_000, ranges="ignored"), whole(ranges="ignored")],)),
    "no ranges, chunked": Case(([cut(), whole(ranges="ignored", framing="chunked")],)),
    "parts": Case(([cut(), whole(ranges="part"), whole(ranges="part"), whole()],)),
    "no size": Case(([cut(framing="chunked"), whole(ranges="unsized"), whole()],)),
    "a date": Case(([cut(etag=None, modified=DATE), whole(etag=None, modified=DATE)],)),
    "a 206 without the date": Case(
        ([cut(etag=None, modified=DATE), whole(etag=None, if_range=False)],)
    ),
    "two mirrors": Case(([cut(), GONE], [whole()])),
    "a mirror without a length": Case(([cut(), GONE], [whole(ranges="ignored", framing="close")])),
    "mirrors of one size": Case(
        ([cut(), GONE], [cut(etag='"v2"'), whole(etag='"v2"')]), same_file="size"
    ),
    "mirrors, trusted": Case(
        ([cut(etag=None), GONE], [whole(etag='"v2"', framing="chunked")]), same_file=None
    ),
    "changed": Case(([cut(), whole(etag='"v2"', data=OTHER)],), 'version of the file: "v2"'),
    "changed, ignoring If-Range": Case(
        ([cut(), whole(etag='"v2"', data=OTHER, if_range=False)],), 'version of the file: "v2"'
    ),
    "changed, and sized alike": Case(
        ([cut(), whole(etag='"v2"', data=OTHER)],), "the file has changed", "size"
    ),
    "changed, by its date": Case(
        ([cut(etag=None, modified=DATE), whole(etag=None, modified=LATER, data=OTHER)],),
        f"version of the file: {LATER}",
    ),
    "changed, with an ETag instead of a date": Case(
        ([cut(etag=None, modified=DATE), whole(etag='"v2"', data=OTHER, if_range=False)],),
        f'version of the file: "v2" instead of {DATE}',
    ),
    "changed, by its date, and sized alike": Case(
        ([cut(etag=None, modified=DATE), whole(etag=None, modified=LATER, data=OTHER)],),
        "the file has changed",
        None,
    ),
    "no longer tagged": Case(([cut(), whole(etag=None, data=OTHER)],), "file: no ETag instead"),
    "shrunk": Case(([cut(), whole(data=DATA[:-1])],), "299999 bytes instead of 300000"),
    "shrunk, unsized": Case(
        ([cut(framing="chunked"), whole(data=DATA[:9], ranges="ignored", framing="chunked")],),
        "another file: it ends ",
    ),
    "grown": Case(([cut(), whole(data=DATA + b"x")],), "300001 bytes instead of 300000", "size"),
    "shrunk to what was delivered": Case(
        ([cut(), whole(data=DATA[:100_000])],), "100000 bytes instead of 300000"
    ),
    "shifted": Case(([cut(), whole(ranges="shifted")],), "asked for bytes="),
    "200 with a range": Case(([cut(), whole(ranges="as 200")],), "(the whole file) with a"),
    "not satisfiable": Case(([cut(), whole(ranges="refused")],), "delivered, and it has 300000"),
    "weak": Case(([cut(etag='W/"v1"'), whole(etag='W/"v1"')],), "no strong ETag"),
    "untagged": Case(([cut(etag=None), whole(etag=None)],), "no strong ETag"),
    "a fresh date": Case(
        (
            [
                cut(etag=None, modified=DATE, headers={"Date": DATE}),
                whole(etag=None, modified=DATE, headers={"Date": DATE}),
            ],
        ),
        "no strong ETag",
    ),
    "a broken date": Case(([cut(etag=None, modified="yesterday")],), "no strong ETag"),
    "unsized, compared by size": Case(
        ([cut(framing="chunked"), whole(ranges="ignored", framing="chunked")],),
        "sends no size",
        "size",
    ),
    "encoded": Case(([whole(headers=ENCODED)],), "sends Content-Encoding: gzip"),
    "encoded later": Case(([cut(), whole(headers=ENCODED)],), "sends Content-Encoding: gzip"),
    "unframed": Case(([whole(framing="close")],), "sends no length"),
    "gone": Case(([cut(), GONE],), "answered 404 Not Found"),
    "other mirror": Case(([cut(), GONE], [whole(etag='"v2"')]), '"v2" instead of "v1"'),
}


def read_case(read: Any, case: Case, **options: Any) -> tuple[Result, list[str | None]]:
    """Read the file as the case says; the result, and the ranges that were asked for."""

    def make(client: Any, url: str) -> Source[Any]:
        follow = {"follow_redirects": True} if isinstance(client, HTTPX) else {}
        return http_bytes(client, url, same_file=case.same_file, **follow)

    with file_server(DATA, *case.mirrors) as server:
        result = read(make, server.urls, **{"attempts": 4, **options})
        return result, [request.range for request in server.requests]


HTTPX = (httpx.Client, httpx.AsyncClient)


def check(case: Case, result: Result) -> None:
    """Raise unless the result is what the case says."""
    if case.error:
        is_start = DATA.startswith(result.data)
        assert is_start  # pytest would compare the bytes one by one to show how they differ
        assert isinstance(result.error, DivergedStream | BadResponse)
        assert "http://127.0.0.1" in str(result.error)
        assert "/file" in str(result.error)
        assert case.error in str(result.error)
    else:
        assert result.error is None
        is_whole = result.data == (DATA if case is not CASES["empty"] else b"")
        assert is_whole


@each_client
@pytest.mark.parametrize("name", CASES)
def test_the_exact_file_or_an_error(read: Any, name: str) -> None:
    """Whatever a server does, no client delivers a wrong byte."""
    result, _ = read_case(read, CASES[name])
    check(CASES[name], result)


@pytest.mark.parametrize("commit_when", [2, 5])
@pytest.mark.parametrize("name", ["reset", "cut three times", "two mirrors", "no ranges"])
def test_held_chunks_do_not_count(name: str, commit_when: int) -> None:
    """Chunks that were held and discarded are asked for again."""
    result, _ = read_case(with_httpx, CASES[name], commit_when=commit_when)
    check(CASES[name], result)


@each_client
def test_only_the_missing_bytes_are_requested(read: Any) -> None:
    """After a cut the next request asks for what was not delivered, by its validator."""
    _, ranges = read_case(read, CASES["two mirrors"])
    assert ranges[0] is None
    assert set(ranges[1:]) in ({"bytes=100000-"}, {"bytes=65536-"})


@pytest.mark.parametrize("name", ["gone", "changed", "shifted", "encoded later"])
def test_a_mirror_that_cannot_help_is_left_at_once(name: str) -> None:
    """Such a failure uses up no further attempt."""
    _, ranges = read_case(with_httpx, CASES[name])
    assert len(ranges) == 2


def test_the_validator_is_sent() -> None:
    """If-Range has the strong ETag, else the date if it is strong, else nothing."""
    sent = {}
    for name in ("closed", "a date", "weak", "mirrors of one size"):
        with file_server(DATA, *CASES[name].mirrors) as server, httpx.Client() as client:
            files = [
                http_bytes(client, url, same_file=CASES[name].same_file) for url in server.urls
            ]
            stream = failover_stream(files, retry_on=httpx.TransportError, attempts=2)
            with suppress(DivergedStream):
                list(stream)
            sent[name] = [request.headers.get("if-range") for request in server.requests]
    assert sent["closed"] == [None, '"v1"']
    assert sent["a date"] == [None, DATE]
    assert set(sent["weak"]) == {None}
    # Each mirror is asked by its own ETag: the second has none yet at its first request.
    assert sent["mirrors of one size"][-2:] == [None, '"v2"']
    assert set(sent["mirrors of one size"][1:-2]) == {'"v1"'}


@pytest.mark.parametrize("end", ["stall", "reset", "fin"])
def test_a_stall_is_a_failure_of_the_client(end: Any) -> None:
    """The read timeout of the client ends a stall, and the stream resumes."""
    with (
        file_server(DATA, [cut(end=end), whole()]) as server,
        httpx.Client(timeout=0.2) as client,
    ):
        stream = failover_stream(
            [http_bytes(client, server.urls[0])], retry_on=httpx.TransportError, attempts=2
        )
        assert b"".join(stream) == DATA


def test_a_stall_under_idle_timeout() -> None:
    """An abandoned attempt does not disturb the next one."""
    with file_server(DATA, [cut(end="stall"), whole()]) as server, httpx.Client() as client:
        files = [http_bytes(client, server.urls[0])]
        stream = failover_stream(files, retry_on=httpx.TransportError, attempts=2, idle_timeout=0.2)
        assert b"".join(stream) == DATA


# httpx does not close the generators inside its own when a response is left early.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("read", [with_httpx, with_httpx_on_asyncio, with_httpx_on_trio])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=1000-200999", DATA[1000:201_000]),
        ("bytes=1000-", DATA[1000:]),
        ("bytes=0-0", DATA[:1]),
        ("bytes=0-", DATA),
        ("bytes=200000-999999", DATA[200_000:]),
    ],
)
@pytest.mark.parametrize(
    ("ranges", "framing"),
    [("right", "length"), ("ignored", "chunked"), ("part", "length"), ("unsized", "chunked")],
)
def test_a_part_of_the_file(
    read: Any, wanted: str, expected: bytes, ranges: Any, framing: Any
) -> None:
    """A Range of the user is that part of the file, whatever the server makes of it."""
    answers = [
        cut(cut=5000, ranges=ranges, framing=framing),
        *[whole(ranges=ranges, framing=framing)] * 18,
        whole(),
    ]

    def make(client: Any, url: str) -> Source[Any]:
        return http_bytes(client, url, headers={"Range": wanted, "X-Mine": "1"})

    with file_server(DATA, answers) as server:
        result = read(make, server.urls, attempts=20)
        assert (result.data == expected, result.error) == (True, None)
        assert {request.headers["x-mine"] for request in server.requests} == {"1"}
        assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}


ANSWERS = st.builds(
    FileAnswer,
    cut=st.none() | st.integers(0, 400),
    end=st.sampled_from(["fin", "reset"]),
    ranges=st.sampled_from(["right"] * 6 + ["ignored", "shifted", "part", "as 200", "unsized"]),
    if_range=st.booleans(),
    framing=st.sampled_from(["length", "length", "chunked"]),
    etag=st.sampled_from(['"v1"'] * 4 + ['W/"v1"', None]),
)
#: Other files, each with its own ETag: nobody could tell two files with one strong ETag apart.
CHANGES = [OTHER[:400], DATA[1:401], DATA[:399], DATA[:401]]


def changed(number: int, *, is_tagged: bool, **how: Any) -> FileAnswer:
    return FileAnswer(
        data=CHANGES[number], etag=f'"changed {number}"' if is_tagged else None, **how
    )


CHANGED = st.builds(
    changed,
    st.integers(0, len(CHANGES) - 1),
    is_tagged=st.booleans(),
    if_range=st.booleans(),
    ranges=st.sampled_from(["right", "ignored", "unsized", "part"]),
    cut=st.none() | st.integers(0, 400),
)


@settings(deadline=None)
@given(
    mirrors=st.lists(st.lists(ANSWERS | CHANGED, min_size=1, max_size=4), min_size=1, max_size=2),
    commit_when=st.integers(1, 3),
)
def test_never_a_wrong_byte(mirrors: list[list[FileAnswer]], commit_when: int) -> None:
    """Any mix of liars yields one of the files unchanged, or the start of one and an error."""
    files = {answer.data or DATA[:400] for answers in mirrors for answer in answers}
    with file_server(DATA[:400], *mirrors) as server:
        result = with_httpx(http_bytes, server.urls, attempts=3, commit_when=commit_when)
    if result.error is None:
        assert result.data in files
    else:
        assert any(file.startswith(result.data) for file in files)


#: One rule left out, and a case that then goes wrong.
MUTANTS: dict[str, tuple[str, object, str]] = {
    "the version": ("_check_validator", lambda *_: None, "changed, ignoring If-Range"),
    "the encoding": ("check_encoding", lambda _: None, "encoded"),
    "one second": ("_is_strong_date", lambda *_: True, "a fresh date"),
    "the same file": ("Ask._check_same", lambda *_: None, "shrunk"),
    "the end": ("Body.check_end", lambda _: None, "parts"),
    "dropping": ("Body.take", lambda _, chunk: chunk, "no ranges"),
    "the range": ("Ask._partial", lambda ask, answer, _: Ask._whole(ask, answer, None), "shifted"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_each_rule_is_needed(monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    """Without any one of the rules, a case goes wrong."""
    name, replacement, case = MUTANTS[mutant]
    result, _ = read_case(with_httpx, CASES[case])
    check(CASES[case], result)
    monkeypatch.setattr(f"{rules.__name__}.{name}", replacement)
    result, _ = read_case(with_httpx, CASES[case])
    with pytest.raises(AssertionError):
        check(CASES[case], result)


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
