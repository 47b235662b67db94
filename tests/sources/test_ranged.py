"""`ranged`: an object of any store, byte for byte, or an error."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from failover_iter import (
    DivergedStream,
    TruncatedStream,
    afailover_stream,
    failover_stream,
)
from failover_iter.sources import _ranged, http_bytes, ranged
from failover_iter.testing import FileAnswer, file_server
from sources.readers import Result, aread_all, read_all
from support.needs import needs, unless_installed
from support.runners import quiet

DATA = bytes(range(256)) * 2


class Cut(ConnectionError):
    """The connection broke."""


class Body:
    """A file in a store, which breaks before a byte, and counts how often it is open."""

    open = 0

    def __init__(self, data: bytes, cut: int | None, piece: int) -> None:
        self.data, self.cut, self.piece = data, cut, piece
        Body.open += 1

    def read(self, size: int) -> bytes:
        if self.cut is not None and self.cut <= 0:
            raise Cut("reset")
        size = min(size, self.piece, len(self.data) if self.cut is None else self.cut)
        chunk, self.data = self.data[:size], self.data[size:]
        if self.cut is not None:
            self.cut -= size
        return chunk

    def close(self) -> None:
        Body.open -= 1


class ABody:
    """The same, async."""

    def __init__(self, body: Body) -> None:
        self.body = body

    async def read(self, size: int) -> bytes:
        return self.body.read(size)

    async def close(self) -> None:
        self.body.close()


async def achunks_of(body: Body) -> Any:
    try:
        while chunk := body.read(100):
            yield chunk
    finally:
        body.close()


def s3(body: Any, start: int, etag: str | None) -> Any:
    """A response of boto3."""
    return {
        "Body": body,
        "ContentRange": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}",
        "ETag": etag,
    }


def obstore(body: Any, start: int, etag: str | None) -> Any:
    """A result of obstore."""
    meta = {"size": len(DATA), "e_tag": etag}
    return SimpleNamespace(stream=lambda: body, meta=meta, range=(start, len(DATA)))


SHAPES: dict[str, Callable[[Any, int, str | None], Any]] = {
    "file": lambda body, start, etag: body,
    "s3": s3,
    "obstore": obstore,
}


def read(opens: list[Any], **options: Any) -> Result:
    sources = [ranged(each, len(DATA)) for each in opens]
    with quiet():
        return read_all(failover_stream(sources, retry_on=Cut, attempts=8, **options))


def aread(opens: list[Any], **options: Any) -> Result:
    async def main() -> Result:
        sources = [ranged(partial(_aopen, each), len(DATA)) for each in opens]
        stream = afailover_stream(sources, retry_on=Cut, attempts=8, **options)
        with quiet():
            return await aread_all(stream)

    return asyncio.run(main())


async def _aopen(open_range: Any, start: int) -> Any:
    opened = open_range(start)
    if isinstance(opened, Body):
        return ABody(opened)
    if isinstance(opened, dict):
        return {**opened, "Body": achunks_of(opened["Body"])}
    return opened


READS: dict[str, Any] = {"sync": read, "async": aread}
CASES = st.fixed_dictionaries(
    {
        "cuts": st.lists(st.integers(0, 300), max_size=5),
        "piece": st.sampled_from([1, 7, 100, 1000]),
        "shape": st.sampled_from([*SHAPES]),
        "commit_when": st.integers(1, 3),
        "stores": st.integers(1, 2),
    }
)


def check(case: dict[str, Any], flavour: str) -> None:
    """Exactly the bytes of the object, and nothing is left open."""
    cuts = [*case["cuts"]]
    Body.open = 0

    def opened(start: int) -> Any:
        body = Body(DATA[start:], cuts.pop(0) if cuts else None, case["piece"])
        return SHAPES[case["shape"]](body, start, '"v1"')

    result = READS[flavour]([opened] * case["stores"], commit_when=case["commit_when"])
    assert result.error is None
    assert result.data == DATA, "a wrong byte"
    assert Body.open == 0, "something is open"


@pytest.mark.parametrize("flavour", READS)
@given(case=CASES)
def test_never_a_wrong_byte(flavour: str, case: dict[str, Any]) -> None:
    """Whatever breaks, and whatever the store returns."""
    check(case, flavour)


def starts_over(self: Any, progress: Any) -> Any:
    """Begins at the first byte again."""
    yield from CHUNKS(self, replace(progress, cursor=0))


def counts_what_it_yields(self: Any, progress: Any) -> Any:
    """Remembers where it is by what it has yielded."""
    for chunk in CHUNKS(self, replace(progress, cursor=progress.memo.get("at", 0))):
        progress.memo["at"] = progress.memo.get("at", 0) + len(chunk)
        yield chunk


def leaves_it_open(body: Any) -> Any:
    """Closes nothing."""
    return nullcontext(body)


CHUNKS = _ranged._Stored.chunks
MUTANTS: list[Any] = [
    (_ranged._Stored, "chunks", starts_over),
    (_ranged._Stored, "chunks", counts_what_it_yields),
    (_ranged, "closed_after", leaves_it_open),
]


@pytest.mark.parametrize(
    ("owner", "method", "mutant"), MUTANTS, ids=[each[2].__name__ for each in MUTANTS]
)
def test_the_law_kills_the_mutant(
    owner: Any, method: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wrong source breaks it."""
    monkeypatch.setattr(owner, method, mutant)

    @settings(max_examples=500, phases=[Phase.generate], database=None, derandomize=True)
    @given(case=CASES)
    def law(case: dict[str, Any]) -> None:
        check(case, "sync")

    with pytest.raises((AssertionError, ExceptionGroup)):
        law()


def answer(start: int, data: bytes = DATA, **changes: Any) -> Any:
    return {**s3(io.BytesIO(data[start:]), start, '"v1"'), **changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ContentRange": "bytes 0-511/512"}, "the bytes from 100 on, got those from 0 on"),
        ({"ContentRange": None}, "the bytes from 100 on, got ContentRange: None"),
        ({"ContentRange": "bytes 100-200/*"}, "got ContentRange: bytes 100-200/*"),
        ({"ContentRange": "bytes 100-510/511"}, "another object: 511 bytes instead of 512"),
        ({"ETag": '"v2"'}, 'another version of the object: "v2" instead of "v1"'),
    ],
)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_another_object(read: Any, change: dict[str, Any], message: str) -> None:
    """Nothing of an answer that does not fit is delivered."""

    def opened(start: int) -> Any:
        if start == 0:
            return s3(Body(DATA, 100, 100), 0, '"v1"')
        return answer(start, **change)

    def opened_once(start: int) -> Any:
        return opened(start)

    result = read([opened_once])
    assert result.data == DATA[:100]
    assert isinstance(result.error, DivergedStream)
    assert message in str(result.error)


def test_a_whole_answer_at_the_start() -> None:
    """The first request may be without a range; its length is checked."""

    def whole(start: int) -> Any:
        return answer(0, ContentRange=None, ContentLength=len(DATA))

    assert read([whole]) == Result([DATA], None)

    def short(start: int) -> Any:
        return answer(0, ContentRange=None, ContentLength=511)

    assert "511 bytes instead of 512" in str(read([short]).error)


def test_stores_with_different_etags() -> None:
    """With same_file="size", only the size counts."""

    def one(start: int) -> Any:
        if start:
            raise Cut("refused")
        return s3(Body(DATA[start:], 100, 100), start, '"a"')

    def two(start: int) -> Any:
        return s3(io.BytesIO(DATA[start:]), start, '"b"')

    def stream(**options: Any) -> Result:
        sources = [ranged(each, len(DATA), **options) for each in (one, two)]
        with quiet():
            return read_all(failover_stream(sources, retry_on=Cut))

    assert isinstance(stream().error, DivergedStream)
    assert stream(same_file="size").data == DATA


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_too_few_and_too_many(read: Any) -> None:
    """The size decides."""
    few = read([lambda start: DATA[start:500]], commit_when=1)
    assert isinstance(few.error, TruncatedStream)
    assert str(few.error).endswith(": ended after 500 of 512 bytes")
    many = read([lambda start: [DATA[start:], b"x"]])
    assert many == Result([DATA], None)  # what is behind the end is not read
    more = read([lambda start: [DATA[start:] + b"x"]])
    assert "sends more than the 512 bytes" in str(more.error)


@pytest.mark.parametrize(
    "opened",
    [bytearray(DATA), memoryview(DATA), [memoryview(DATA)[:9], DATA[9:]], io.BytesIO(DATA)],
)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_a_store_may_return(read: Any, opened: Any) -> None:
    """Whatever holds bytes."""
    if isinstance(opened, io.BytesIO):
        opened = io.BytesIO(DATA)
    assert read([lambda start: opened]).data == DATA


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_each_shape_breaks_once(read: Any, shape: Any) -> None:
    """The answers of each client, cut in the middle."""
    cuts: list[int | None] = [200, None]
    assert read(
        [lambda start: shape(Body(DATA[start:], cuts.pop(0), 100), start, '"v1"')]
    ) == Result(
        [DATA[:100], DATA[100:200], *(DATA[n : n + 100] for n in (200, 300, 400, 500))], None
    )


def test_an_async_generator() -> None:
    """An async generator function is async too."""

    async def opened(start: int) -> Any:
        yield DATA[start:]

    async def main() -> Result:
        return await aread_all(afailover_stream([ranged(opened, len(DATA))], retry_on=Cut))

    assert asyncio.run(main()).data == DATA


def test_nothing_is_missing() -> None:
    """An empty object is not opened, nor one that broke after its last byte."""
    assert read_all(failover_stream([ranged(DATA.find, 0)], retry_on=Cut)) == Result([], None)

    async def opened(start: int) -> Any:
        raise AssertionError

    async def main() -> Result:
        return await aread_all(afailover_stream([ranged(opened, 0)], retry_on=Cut))

    assert asyncio.run(main()) == Result([], None)


class Refused(Exception):
    """An error of botocore."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


@pytest.mark.parametrize(
    ("error", "count"),
    [(Refused(404), 1), (Refused(503), 3), (Refused(429), 3), (FileNotFoundError(), 1), (Cut(), 3)],
)
def test_a_store_without_the_object_is_left(error: Exception, count: int) -> None:
    """Asking again does not help where the object is not found."""
    asked: list[int] = []

    def opened(start: int) -> Any:
        asked.append(start)
        raise error

    sources = [ranged(opened, 1), ranged(lambda start: b"x", 1)]
    stream = failover_stream(sources, retry_on=(Cut, Refused), attempts=3)
    with quiet():
        assert [*stream] == [b"x"]
    assert len(asked) == count


def test_names() -> None:
    """A source is named after its function."""
    assert ranged(test_names, 1).name == "test_names"
    assert ranged(partial(test_names), 1).name == "test_names"
    assert ranged(lambda start: b"", 1).name == "ranged"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"open_range": b""}, TypeError, "a function of the first byte, got bytes"),
        ({"size": "1"}, TypeError, "must be an int, got str"),
        ({"size": True}, TypeError, "must be an int, got bool"),
        ({"size": -1}, ValueError, "must not be negative, got -1"),
        ({"same_file": None}, ValueError, "must be 'etag' or 'size', got None"),
    ],
)
def test_wrong_use(change: dict[str, Any], error: type[Exception], message: str) -> None:
    """Wrong arguments are refused at the call."""
    with pytest.raises(error) as caught:
        ranged(**{"open_range": len, "size": 1, **change})
    assert str(caught.value).startswith("ranged(")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("opened", "message"),
    [
        (None, "must return a response of get_object, a result of obstore, a file, an iterable"),
        (5, "or bytes, got int$"),
        ({"Body": None}, "or bytes, got NoneType$"),
        ({}, "or bytes, got dict$"),
        ("text", "ranged needs chunks of bytes, got str$"),
        ([None], "ranged needs chunks of bytes, got NoneType$"),
    ],
)
def test_what_is_no_object(opened: Any, message: str) -> None:
    """A function that returns something else, such as None, is told at once what it may return."""
    if isinstance(opened, dict):
        opened["ContentLength"] = 1
    sources = [ranged(lambda start: opened, 1), ranged(partial(_answer, opened), 1)]
    with pytest.raises(TypeError, match=message):
        list(failover_stream(sources[:1], retry_on=Cut))
    with pytest.raises(TypeError, match=message):
        asyncio.run(aread_errors(afailover_stream(sources[1:], retry_on=Cut)))


async def _answer(opened: Any, start: int) -> Any:
    return opened


async def aread_errors(stream: Any) -> None:
    async for _ in stream:
        pass


def test_a_file_that_hides_a_coroutine() -> None:
    """An async file in a sync function is refused by name, and its coroutine is closed."""

    class Async:
        async def read(self, size: int) -> bytes: ...

    with pytest.raises(TypeError, match="ranged needs chunks of bytes, got coroutine"):
        list(failover_stream([ranged(lambda start: Async(), 1)], retry_on=Cut))


def test_an_async_function_that_hides() -> None:
    """The error for a lambda that returns something async says what to do."""

    async def opened(start: int) -> Any:
        yield b"x"

    for hidden in (lambda start: _aopen(None, start), lambda start: opened(start)):
        with pytest.raises(TypeError, match="for an async stream, pass the coroutine function"):
            next(failover_stream([ranged(hidden, 1)], retry_on=Cut))


def test_with_http_bytes() -> None:
    """A mirror over HTTP takes over from a store."""

    def store(start: int) -> Any:
        yield DATA[start : start + 100]
        raise Cut("reset")

    with file_server(DATA, [FileAnswer()]) as server, httpx.Client() as client:
        mirror = http_bytes(client, server.urls[0], same_file=None)
        stream = failover_stream([ranged(store, len(DATA)), mirror], retry_on=Cut)
        with quiet():
            assert b"".join(stream) == DATA


@pytest.mark.parametrize("module", [pytest.param("boto3", marks=unless_installed("boto3"))])
def test_boto3(module: str) -> None:
    """A real client: cut, reset, busy, and not found in the first bucket."""
    boto3 = needs(module)
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    data = DATA * 400
    first = [FileAnswer(cut=90_000), FileAnswer(cut=50_000, end="reset"), FileAnswer(status=503)]
    first += [FileAnswer(cut=1000), FileAnswer(status=404)]
    with file_server(data, first, [FileAnswer()]) as server:
        client = boto3.client(
            "s3",
            endpoint_url=server.urls[0].rpartition("/1/")[0],
            region_name="eu-north-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

        def bucket(name: str, start: int) -> Any:
            return client.get_object(Bucket=name, Key="file", Range=f"bytes={start}-")

        buckets = [ranged(partial(bucket, name), len(data)) for name in "12"]
        stream = failover_stream(buckets, retry_on=(BotoCoreError, ClientError), attempts=3)
        with quiet():
            assert b"".join(stream) == data
        client.close()
    assert [request.mirror for request in server.requests] == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("module", [pytest.param("fsspec", marks=unless_installed("fsspec"))])
def test_fsspec(module: str) -> None:
    """A file of fsspec, at a position."""
    files = needs(module).filesystem("memory")
    files.pipe("/bucket/file", DATA)

    def opened(start: int) -> Any:
        file = files.open("/bucket/file", "rb")
        file.seek(start)
        return file

    def breaks(start: int) -> Any:
        yield opened(start).read(200)
        raise Cut("reset")

    assert read([breaks, opened]).data == DATA


def reply(data: bytes, start: int, etag: str, *chunks: bytes, breaks: bool = False) -> Any:
    """The response of boto3 with these chunks."""

    def body() -> Iterator[bytes]:
        yield from chunks or [data[start:]]
        if breaks:
            raise Cut("reset")

    last = f"{len(data) - 1}/{len(data)}"
    return {"Body": body(), "ContentRange": f"bytes {start}-{last}", "ETag": etag}


def test_the_etag_of_discarded_bytes_is_forgotten() -> None:
    """The delivered object has nothing that `commit_when` discarded."""
    a, b = b"a" * 30, b"b" * 30
    sources = [
        ranged(lambda start: reply(a, start, "a", a[:5], breaks=True), 30),
        ranged(lambda start: reply(b, start, "b", b[start : start + 10], breaks=start == 0), 30),
        ranged(lambda start: reply(a, start, "a"), 30),
    ]
    stream = failover_stream(sources, retry_on=Cut, commit_when=lambda chunk: len(chunk) >= 10)
    assert b"".join(stream) == b


def test_the_bytes_of_an_unknown_stream() -> None:
    """Nothing says which version they are of, so they are not joined to those of this one."""
    data = b"ab" * 5
    for same_file, error in (("etag", DivergedStream), ("size", None)):
        source: Any = ranged(  # type: ignore[call-overload]
            lambda start: reply(data, start, "a"), 10, same_file=same_file
        )
        later = replace(source, mid_stream=replace(source.mid_stream, start=5))
        stream = failover_stream([later], retry_on=Cut)
        with (
            nullcontext()
            if error is None
            else pytest.raises(error, match="nothing says whether the 5 bytes before")
        ):
            assert b"".join(stream) == data[5:]
