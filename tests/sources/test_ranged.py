"""`ranged`: an object of any store, byte for byte, or an error."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import DivergedStream, afailover_stream, failover_stream
from failover_iter.sources import _ranged, ranged
from sources.readers import Result, aread_all, read_all
from sources.stores import DATA, READS, SHAPES, Body, Cut, s3
from support.laws import SEARCH, each_mutant
from support.runners import quiet

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


@each_mutant(MUTANTS)
def test_the_law_kills_the_mutant(mutated: None) -> None:
    """Each wrong source breaks it."""

    @settings(max_examples=500, derandomize=True, **SEARCH)
    @given(case=CASES)
    def law(case: dict[str, Any]) -> None:
        check(case, "sync")

    with pytest.raises((AssertionError, ExceptionGroup)):
        law()


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
