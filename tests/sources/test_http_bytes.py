"""`http_bytes` over real sockets: the exact file, or an error that names the mirror and why."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import DivergedStream, Source, failover_stream
from failover_iter.sources import BadResponse, http_bytes
from failover_iter.sources import _remote_file as rules
from failover_iter.sources._remote_file import Ask
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
