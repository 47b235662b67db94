"""`as_file`: a stream of bytes as a binary file, for what reads files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failover_iter import Skip, failover_stream
from failover_iter.sources import as_file, http_bytes
from failover_iter.testing import FileAnswer, file_server
from support.needs import needs, unless_installed

ROWS = [{"id": str(n), "name": f"name {n}"} for n in range(20_000)]
TEXT = "id,name\n" + "".join(f"{row['id']},{row['name']}\n" for row in ROWS)
CSV = TEXT.encode()


def tar_of(data: bytes) -> bytes:
    """An archive with two files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name in ("a", "b"):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()


def with_csv(file: io.BufferedReader) -> object:
    return list(csv.DictReader(io.TextIOWrapper(file)))


def with_json(file: io.BufferedReader) -> object:
    return json.load(file)


def with_gzip(file: io.BufferedReader) -> object:
    return list(csv.DictReader(gzip.open(file, "rt")))


def with_tar(file: io.BufferedReader) -> object:
    with tarfile.open(fileobj=file, mode="r|gz") as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def with_pandas(file: io.BufferedReader) -> object:
    frame = needs("pandas").read_csv(file, dtype=str)
    return frame.to_dict("records")


LIBRARIES: list[Any] = [
    (with_csv, CSV, ROWS),
    (with_json, json.dumps(ROWS).encode(), ROWS),
    (with_gzip, gzip.compress(CSV), ROWS),
    (with_tar, tar_of(CSV), [("a", CSV), ("b", CSV)]),
    pytest.param(with_pandas, CSV, ROWS, marks=unless_installed("pandas")),
]


@pytest.mark.parametrize(("parse", "data", "expected"), LIBRARIES)
def test_a_library_reads_a_mirror_that_dies(parse: Any, data: bytes, expected: object) -> None:
    """What reads a file survives the source of the file."""
    first = [FileAnswer(cut=len(data) // 3), FileAnswer(status=404)]
    with file_server(data, first, [FileAnswer()]) as server, httpx.Client() as client:
        files = [http_bytes(client, url) for url in server.urls]
        with as_file(failover_stream(files, retry_on=httpx.TransportError)) as file:
            assert parse(file) == expected


SIZES = st.integers(-1, 30)
CHUNKS = st.lists(st.binary(max_size=12), max_size=12)


@given(chunks=CHUNKS, sizes=st.lists(SIZES, max_size=12), buffer_size=st.integers(1, 16))
def test_reads_are_those_of_a_file(chunks: list[bytes], sizes: list[int], buffer_size: int) -> None:
    """Any reads return what they return for a real file."""
    reference = io.BytesIO(b"".join(chunks))
    with as_file(iter(chunks), buffer_size=buffer_size) as file:
        for size in sizes:
            assert file.read(size) == reference.read(size)
            assert file.tell() == reference.tell()
            assert file.readline() == reference.readline()
        assert file.read() == reference.read()
        assert file.read() == b""


@given(chunks=CHUNKS, steps=st.lists(st.integers(0, 20), max_size=8))
@example(chunks=[b"abcdef", b"gh"], steps=[5, 20])
@example(chunks=[b"abcdef", b"gh"], steps=[5, 0, 20])
def test_seek_goes_forward(chunks: list[bytes], steps: list[int]) -> None:
    """A seek forward skips, and stops at the end of the stream."""
    data = b"".join(chunks)
    file = as_file(chunks, buffer_size=4)
    position = 0
    for step in steps:
        position = min(len(data), position + step)
        absolute = len(steps) % 2 == 0
        assert file.seek(position if absolute else step, 0 if absolute else 1) == position
        assert file.read(1) == data[position : position + 1]
        position = min(len(data), position + 1)


def test_seek_never_goes_back() -> None:
    """Bytes that were read are gone."""
    file = as_file([b"abcdef"])
    assert not file.seekable()
    assert file.readable()
    assert file.read(3) == b"abc"
    for target, whence in ((0, 0), (-1, 1), (0, 2)):
        with pytest.raises(io.UnsupportedOperation, match="forward only"):
            file.seek(target, whence)
    assert (file.tell(), file.peek()[:1], file.read1(2)) == (3, b"d", b"de")


@pytest.mark.parametrize("kind", [ConnectionError, KeyboardInterrupt])
def test_a_failed_file_never_looks_like_one_that_ended(kind: type[BaseException]) -> None:
    """The error of the stream is raised, and each later read fails as well."""

    def broken() -> Iterator[bytes]:
        yield b"abc"
        raise kind("it broke")

    file = as_file(failover_stream([broken], retry_on=ConnectionError))
    assert file.read(3) == b"abc"
    with pytest.raises(kind, match="^it broke$"):
        file.read(3)
    for _ in range(2):
        with pytest.raises(OSError, match=f"has failed: {kind.__name__}: it broke"):
            file.read(3)


def test_closing_the_file_closes_the_stream() -> None:
    """Once, with the iterator or the iterable, whichever has a `close`."""
    closed: list[str] = []

    def source() -> Iterator[bytes]:
        try:
            yield b"abc"
            yield b"def"
        finally:
            closed.append("generator")

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"abc"])

        def close(self) -> None:
            closed.append("body")

    for stream in (source(), Body(), [b"abc"]):
        file = as_file(stream)
        assert file.read(3) == b"abc"
        file.close()
        file.close()
        with pytest.raises(ValueError, match="closed file"):
            file.read()
    assert closed == ["generator", "body"]


def test_the_file_is_closed_though_the_stream_fails_to() -> None:
    """An error of `close` reaches the caller, and the file is closed."""

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"abc"])

        def close(self) -> None:
            raise ConnectionError("reset by peer")

    file = as_file(Body())
    with pytest.raises(ConnectionError):
        file.close()
    assert file.closed


def test_other_bytes() -> None:
    """Anything with a buffer is read as its bytes."""
    assert as_file([bytearray(b"ab"), memoryview(b"cd")]).read() == b"abcd"


async def achunks() -> AsyncIterator[bytes]:
    yield b"abc"


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"abc", "must be an iterable of bytes, got bytes$"),
        ("abc", "got str$"),
        (3, "got int$"),
        (achunks(), "got async_generator; an async stream cannot be a file$"),
    ],
)
def test_wrong_use(stream: Any, message: str) -> None:
    """A file is made of a sync stream of bytes."""
    with pytest.raises(TypeError, match=message):
        as_file(stream)


def test_text_is_no_file_of_bytes() -> None:
    """A stream of text is refused where it is read."""
    text: Any = ["abc"]
    with pytest.raises(TypeError, match="as_file needs chunks of bytes, got str"):
        as_file(text).read()
    with pytest.raises(ValueError, match="buffer size"):
        as_file([b"abc"], buffer_size=0)


def test_a_takeover_is_no_chunk() -> None:
    """A stream that marks its takeovers is told to leave that out."""

    def primary() -> Iterator[bytes]:
        yield b"ab"
        raise ConnectionError("reset by peer")

    stream: Any = failover_stream(
        [primary, lambda: [b"abcd"]],
        retry_on=ConnectionError,
        mid_stream=Skip(size=len),
        mark_takeovers=True,
    )
    with as_file(stream) as file:
        assert file.read(2) == b"ab"
        with pytest.raises(TypeError, match=r"got Takeover: leave out mark_takeovers$"):
            file.read(2)
        with pytest.raises(OSError, match="has failed: TypeError"):
            file.read(2)


def test_with_skip() -> None:
    """Any stream of bytes will do, such as one that skips by size."""

    def primary() -> Iterator[bytes]:
        yield CSV[:1000]
        raise ConnectionError("reset by peer")

    def replica() -> Iterator[bytes]:
        yield CSV

    stream = failover_stream(
        [primary, replica], retry_on=ConnectionError, mid_stream=Skip(size=len)
    )
    with as_file(stream) as file:
        assert with_csv(file) == ROWS
