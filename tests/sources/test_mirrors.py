"""What tells mirrors apart, and mirrors of two kinds in one stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import DivergedStream, afailover_stream, failover_stream
from failover_iter.__main__ import main
from failover_iter.sources import http_bytes, http_lines, ranged, sse
from failover_iter.sources._http_get import absolute_url
from failover_iter.sources._response import mirror_of
from failover_iter.testing import FileAnswer, file_server
from failover_iter.testing._file_server import FileServer
from sources.readers import NO_TLS, Result, aread_all, read_all
from support.needs import needs, unless_installed
from support.runners import quiet

DATA = bytes(range(256)) * 2000
OTHER = DATA[::-1]
#: The first mirror breaks, then has no file; the second one has the file with another ETag.
BREAKS = [FileAnswer(cut=100_000, etag='"a"'), FileAnswer(status=404)]
GOES_ON = [FileAnswer(etag='"b"')]


def new_httpx(base: str, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=base, verify=NO_TLS, **options)


def read_mirrors(files: list[Any]) -> Result:
    with quiet():
        return read_all(failover_stream(files, retry_on=(OSError, httpx.TransportError)))


def test_clients_with_a_base_url() -> None:
    """The same path over two clients is two mirrors, named after their hosts."""
    with file_server(DATA, BREAKS, GOES_ON) as server:
        bases = [url.removesuffix("file") for url in server.urls]
        with new_httpx(bases[0]) as first, new_httpx(bases[1]) as second:
            files = [http_bytes(client, "/file", same_file="size") for client in (first, second)]
            assert read_mirrors(files).data == DATA
    host = httpx.URL(server.urls[0]).netloc.decode()
    assert [file.name for file in files] == [host, host]


@pytest.mark.parametrize("function", [http_bytes, http_lines, sse])
def test_the_name_is_the_host(function: Any) -> None:
    """Also that of a base URL; without any host it is the name of the function."""
    with new_httpx("https://me:secret@a.example:8443/files") as client:
        assert function(client, "/file?key=secret").name == "a.example:8443"
        assert function(client, "http://b.example/file").name == "b.example"
    with httpx.Client(verify=NO_TLS) as client:
        source = function(client, "/file")
        assert source.name is None


def test_the_address_of_each_client() -> None:
    """Each client joins its base URL and a path in its way."""
    with new_httpx("http://a/b", params={"x": "1"}) as client:
        assert absolute_url(client, "/c") == "http://a/b/c?x=1"
        assert absolute_url(client, 5) == "5"  # the client says so later


@pytest.mark.parametrize("package", [pytest.param("aiohttp", marks=unless_installed("aiohttp"))])
def test_the_address_of_aiohttp(package: str) -> None:
    aiohttp = needs(package)

    async def main() -> Result:
        with file_server(DATA, BREAKS, GOES_ON) as server:
            base = server.urls[0].removesuffix("1/file")
            async with aiohttp.ClientSession(base) as client:
                files = [
                    http_bytes(client, f"/{number}/file", same_file="size") for number in (1, 2)
                ]
                assert {file.name for file in files} == {httpx.URL(base).netloc.decode()}
                with quiet():
                    return await aread_all(afailover_stream(files, retry_on=aiohttp.ClientError))

    assert asyncio.run(main()).data == DATA


@pytest.mark.parametrize(
    "package", [pytest.param("requests_toolbelt", marks=unless_installed("requests_toolbelt"))]
)
def test_the_address_of_requests(package: str) -> None:
    sessions = needs(f"{package}.sessions")
    with sessions.BaseUrlSession("http://a.example/b/") as client:
        assert absolute_url(client, "c") == "http://a.example/b/c"
    with needs("requests").Session() as client:
        assert absolute_url(client, "http://a.example/c") == "http://a.example/c"


def test_mirrors_that_differ_in_the_query() -> None:
    """The query tells mirrors apart, and nothing of it is in what is kept."""
    for url, params in (("http://a/b?key=secret", None), ("http://a/b", {"key": "secret"})):
        mirror = mirror_of(url, params)
        assert mirror.startswith("http://a/b?")
        assert "secret" not in mirror
        assert mirror == mirror_of(url, params)
        assert mirror not in {mirror_of("http://a/b?key=other"), mirror_of("http://a/b")}


def test_queries_over_http() -> None:
    """With "size", each mirror has its own ETag."""
    answers = [BREAKS[0], FileAnswer(status=404), *GOES_ON]
    with file_server(DATA, answers) as server, httpx.Client(verify=NO_TLS) as client:
        files = [
            http_bytes(client, server.urls[0], params={"mirror": n}, same_file="size")
            for n in (1, 2)
        ]
        assert read_mirrors(files).data == DATA


@pytest.mark.parametrize("is_signed_anew", [False, True])
def test_get_from_mirrors_that_differ_in_the_query(tmp_path: Path, is_signed_anew: bool) -> None:
    """They are two mirrors; one whose query is signed anew for each run is the same mirror."""
    target = tmp_path / "file"
    arguments = ["get", "--quiet", "--attempts", "1", "--same-file", "size", "-o", str(target)]
    answers = [*BREAKS[:1], *GOES_ON]
    with file_server(DATA, answers) as server:
        urls = [f"{server.urls[0]}?mirror={number}" for number in (1, 2)]
        if not is_signed_anew:
            assert main([*arguments, *urls]) == 0
            assert target.read_bytes() == DATA
            return
        assert main([*arguments, urls[0]]) == 1
        known = json.loads((tmp_path / "file.part.json").read_text("utf-8"))
        assert list(known["versions"]) == [server.urls[0]]
        # The file has changed there: the part is thrown away.
        assert main([*arguments, urls[1]]) == 0
    assert target.read_bytes() == DATA
    ranges = [request.range for request in server.requests]
    assert ranges == [None, "bytes=100000-", "bytes=100000-", None]


class Cut(OSError):
    """The store broke off."""


class Store:
    """What opens an object, as boto3 does; the second time it is down, if it breaks off."""

    def __init__(
        self,
        data: bytes = DATA,
        etag: str | None = '"a"',
        cut: int | None = None,
        size: int = 50_000,
    ) -> None:
        self.data, self.etag, self.cut, self.size = data, etag, cut, size
        self.is_down = False

    def __call__(self, start: int) -> dict[str, Any]:
        if self.is_down:
            raise Cut("down")
        rest = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        return {"Body": self.body(start), "ContentRange": rest, "ETag": self.etag}

    def body(self, start: int) -> Iterator[bytes]:
        end = len(self.data) if self.cut is None else min(len(self.data), start + self.cut)
        for at in range(start, end, self.size):
            yield self.data[at : min(end, at + self.size)]
        if self.cut is not None:
            self.is_down = True
            raise Cut("reset")


def read_both(server: FileServer, opens: Any, same_file: Any, *, is_store_first: bool) -> Result:
    """Read from a store and then over HTTP, or the other way round."""
    with httpx.Client(verify=NO_TLS) as client:
        mirror = http_bytes(client, server.urls[0], same_file=same_file)
        sources = [ranged(opens, len(DATA), same_file=same_file), mirror]
        if not is_store_first:
            sources.reverse()
        return read_mirrors(sources)


CUT = FileAnswer(cut=100_000, etag='"a"')


@pytest.mark.parametrize(
    ("same_file", "etag", "other_etag", "is_right"),
    [
        ("etag", '"a"', '"a"', True),
        ("etag", '"a"', '"b"', False),
        ("etag", None, '"a"', False),
        ("size", None, '"a"', True),
        ("size", '"a"', '"b"', True),
    ],
)
def test_http_goes_on_after_a_store(
    same_file: Any, etag: str | None, other_etag: str, is_right: bool
) -> None:
    """The mirror has the same ETag, or with "size" the same size."""
    with file_server(DATA, [FileAnswer(etag=other_etag)]) as server:
        result = read_both(server, Store(DATA, etag, 100_000), same_file, is_store_first=True)
    assert (result.data == DATA) is is_right
    assert isinstance(result.error, type(None) if is_right else DivergedStream)
    assert server.requests[0].headers.get("if-range") == (etag if same_file == "etag" else None)


@pytest.mark.parametrize(
    ("same_file", "etag", "is_right"),
    [
        ("etag", '"a"', True),
        ("etag", '"b"', False),
        ("etag", None, True),  # a store that says no version is trusted
        ("size", '"b"', True),
    ],
)
def test_a_store_goes_on_after_http(same_file: Any, etag: str | None, is_right: bool) -> None:
    """The store has the same ETag, or with "size" the same size."""
    with file_server(DATA, [CUT, FileAnswer(status=404)]) as server:
        result = read_both(server, Store(DATA, etag), same_file, is_store_first=False)
    assert (result.data == DATA) is is_right
    assert isinstance(result.error, type(None) if is_right else DivergedStream)


def test_a_store_goes_on_after_an_untagged_file() -> None:
    """The mirror said no ETag, so the store has nothing to compare; with "size" it need not."""
    untagged = FileAnswer(cut=100_000, etag=None)
    for same_file, is_right in (("etag", False), ("size", True)):
        with file_server(DATA, [untagged, FileAnswer(status=404)]) as server:
            result = read_both(server, Store(), same_file, is_store_first=False)
        assert (result.data == DATA) is is_right
        assert is_right or "nothing says whether the 100000 bytes before" in str(result.error)


def test_a_store_with_another_size_after_http() -> None:
    """The size that the mirror said is compared, also with a store that says nothing."""
    with file_server(DATA + b"x", [CUT, FileAnswer(status=404)]) as server:
        result = read_both(server, lambda start: [DATA[start:]], "size", is_store_first=False)
    assert "another object: 512000 bytes instead of 512001" in str(result.error)


def test_the_size_is_known_by_the_store() -> None:
    """A mirror that sent no size at first is compared by the size that a store has said."""
    unsized = [FileAnswer(cut=100_000, framing="chunked"), FileAnswer(status=404)]
    with file_server(DATA, unsized, GOES_ON) as server, httpx.Client(verify=NO_TLS) as client:
        mirrors = [http_bytes(client, url, same_file="size") for url in server.urls]
        store = ranged(Store(DATA, None, 100_000), len(DATA))
        assert read_mirrors([mirrors[0], store, mirrors[1]]).data == DATA


VERSIONS = st.sampled_from([(DATA[:600], '"a"'), (OTHER[:600], '"b"')])
CUTS = st.none() | st.integers(0, 400)


@settings(deadline=None)
@given(
    mirrors=st.lists(st.tuples(st.booleans(), VERSIONS, CUTS), min_size=1, max_size=5),
    commit_when=st.integers(1, 3),
)
def test_never_a_wrong_byte(mirrors: list[Any], commit_when: int) -> None:
    """Stores and mirrors in any order, of two versions: one of them, or its start and an error."""
    answers = [
        [FileAnswer(data=data, etag=etag, cut=cut), FileAnswer(status=404)]
        for _, (data, etag), cut in mirrors
    ]
    with file_server(b"", *answers) as server, httpx.Client(verify=NO_TLS) as client:
        sources = [
            ranged(Store(data, etag, cut, 50), len(data)) if is_store else http_bytes(client, url)
            for url, (is_store, (data, etag), cut) in zip(server.urls, mirrors, strict=True)
        ]
        with quiet():
            retry_on = (Cut, httpx.TransportError)
            stream = failover_stream(sources, retry_on=retry_on, commit_when=commit_when)
            result = read_all(stream)
    files = [data for _, (data, _), _ in mirrors]
    if result.error is None:
        assert result.data in files
    else:
        assert any(file.startswith(result.data) for file in files)
