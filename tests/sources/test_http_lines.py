"""`http_lines`: each line once and whole, wherever the connection breaks."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter.sources import http_bytes, http_lines
from failover_iter.testing import FileAnswer, file_server
from sources.readers import each_client, with_httpx

LINES = [b"line %d%s\n" % (n, b"x" * (n % 37)) for n in range(3000)]
LONG = b"y" * 150_000 + b"\n"
DATA = b"".join([*LINES, LONG, b"\r\n", b"\n", b"a\rb\xe2\x80\xa8c\n", b"no end"])
EXPECTED = [*LINES, LONG, b"\r\n", b"\n", b"a\rb\xe2\x80\xa8c\n", b"no end"]


@each_client
def test_each_line_once(read: Any) -> None:
    """Cuts in the middle of lines, of a long one too, repeat no line and lose none."""
    answers = [FileAnswer(cut=cut) for cut in (5, 30_000, 60_000, 100_001, 150_004)]
    with file_server(DATA, [*answers, FileAnswer()]) as server:
        result = read(http_lines, server.urls, attempts=6)
    assert result.error is None
    assert result.items == EXPECTED


def test_the_next_request_starts_after_the_last_whole_line() -> None:
    """The position is the size of the delivered lines, not of what has arrived."""
    with file_server(b"1\n22\n333\n", [FileAnswer(cut=4), FileAnswer()]) as server:
        assert with_httpx(http_lines, server.urls, attempts=2).items == [b"1\n", b"22\n", b"333\n"]
        assert [request.range for request in server.requests] == [None, "bytes=2-"]


def test_lines_end_with_the_file() -> None:
    """A last line without a line end is delivered only when the file is complete."""
    with file_server(b"1\n22", [FileAnswer(cut=3), FileAnswer()]) as server:
        result = with_httpx(http_lines, server.urls, attempts=2)
    assert (result.items, result.error) == ([b"1\n", b"22"], None)


@settings(deadline=None)
@given(
    data=st.lists(st.sampled_from([b"\n", b"\r", b"ab", b"\xff"]), max_size=60).map(b"".join),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    chunked=st.booleans(),
)
def test_the_lines_are_those_of_a_file(data: bytes, cuts: list[int], chunked: bool) -> None:
    """Lines end where those of a binary file end."""
    framing: Any = "chunked" if chunked else "length"
    answers = [FileAnswer(cut=cut, framing=framing) for cut in cuts]
    with file_server(data, [*answers, FileAnswer()]) as server:
        result = with_httpx(http_lines, server.urls, attempts=6)
    assert result.error is None
    assert result.items == list(BytesIO(data))


def test_wrong_use() -> None:
    """The message names the function."""
    with pytest.raises(TypeError, match=r"^http_lines\(client\) must be"):
        http_lines(object(), "http://a/b")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"^http_lines\(same_file=\.\.\.\) must be"):
        http_lines(httpx.Client(), "http://a/b", same_file="no")  # type: ignore[call-overload]


def test_lines_and_bytes_share_a_position() -> None:
    """Both count bytes, so a stream may have both as sources."""
    with httpx.Client() as client:
        lines, chunks = http_lines(client, "http://a/b"), http_bytes(client, "http://a/b")
    assert lines.mid_stream == chunks.mid_stream
