"""`ranged`: what the user's function may return, and what is refused."""

from __future__ import annotations

import asyncio
import io
from functools import partial
from typing import Any

import pytest

from failover_iter import DivergedStream, TruncatedStream, afailover_stream, failover_stream
from failover_iter.sources import ranged
from sources.readers import Result, aread_all
from sources.stores import DATA, READS, SHAPES, Body, Cut, _aopen, read, s3


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
