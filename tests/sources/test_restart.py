"""A download that goes on in the next process: the exact file, or an error that says why not."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint.memory import Disk
from failover_iter import (
    Checkpoint,
    DivergedStream,
    Policy,
    afailover_stream,
    failover_stream,
)
from failover_iter.sources import BadResponse, http_bytes, http_lines, ranged
from failover_iter.sources._http_get import abort
from failover_iter.sources._remote_file import FileMemo, KnownFile, Version
from failover_iter.testing import FileAnswer, file_server
from sources.readers import NO_TLS
from support.runners import quiet

DATA = b"".join(b"line %d %s\n" % (n, b"." * 700) for n in range(200))
OTHER = DATA[::-1]
DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
V1 = FileAnswer()
#: The file has changed, and its size has not.
V2 = FileAnswer(data=OTHER, etag='"v2"')


class Part(NamedTuple):
    """What one process received, and the error that ended it."""

    data: bytes
    error: Exception | None


def taken(items: Iterator[bytes], count: int | None) -> Part:
    """Receive this many items and ask for one more, as if the process was killed then."""
    received: list[bytes] = []
    try:
        for item in items:
            if len(received) == count:
                break
            received.append(item)
    except Exception as error:
        return Part(b"".join(received), error)
    return Part(b"".join(received), None)


def run(make: Any, urls: list[str], checkpoint: Checkpoint, count: int | None) -> Part:
    """One process, with a sync client."""
    with httpx.Client(timeout=5, verify=NO_TLS) as client, quiet():
        sources = [make(client, url) for url in urls]
        stream = failover_stream(
            sources, retry_on=httpx.TransportError, attempts=3, checkpoint=checkpoint
        )
        with closing(stream):
            return taken(stream, count)


def arun(make: Any, urls: list[str], checkpoint: Checkpoint, count: int | None) -> Part:
    """One process, with an async client."""

    async def main() -> Part:
        async with httpx.AsyncClient(timeout=5, verify=NO_TLS) as client:
            sources = [make(client, url) for url in urls]
            stream = afailover_stream(
                sources, retry_on=httpx.TransportError, attempts=3, checkpoint=checkpoint
            )
            received: list[bytes] = []
            async with aclosing(stream):
                try:
                    async for item in stream:
                        if len(received) == count:
                            break
                        received.append(item)
                except Exception as error:
                    return Part(b"".join(received), error)
            return Part(b"".join(received), None)

    with quiet():
        return asyncio.run(main())


RUNS = pytest.mark.parametrize("one_run", [run, arun])


def restarted(
    make: Any,
    mirrors: list[list[FileAnswer]],
    counts: list[int | None],
    one_run: Any = run,
    lost: int = 0,
) -> Part:
    """A process for each count of items; what they received in all, and the last error.

    The last saves of each process may be lost, and with them what it received after that.
    """
    disk, data = Disk(), b""
    with file_server(DATA, *mirrors) as server:
        for count in counts:
            disk.saves = [] if disk.text is None else [disk.text]
            checkpoint = Checkpoint(store=disk.store(), every=0)
            part = one_run(make, server.urls, checkpoint, count)
            data += part.data
            if part.error is not None:
                break
            if count is not None and disk.saves:
                disk.text = disk.saves[max(0, len(disk.saves) - 1 - lost)]
                data = data[: json.loads(json.loads(disk.text)["cursor"])]
    return Part(data, part.error)


@RUNS
@pytest.mark.parametrize("function", [http_bytes, http_lines])
@pytest.mark.parametrize("same_file", ["etag", "size", None])
def test_the_next_process_goes_on(function: Any, same_file: Any, one_run: Any) -> None:
    """It asks for the missing bytes, and knows by what to recognise the file."""
    make = partial(function, same_file=same_file)
    for count in (1, 3):
        assert restarted(make, [[V1]], [count, count, None], one_run) == Part(DATA, None)


@RUNS
@pytest.mark.parametrize("function", [http_bytes, http_lines])
@pytest.mark.parametrize("same_file", ["etag", "size", None])
def test_a_file_that_changes_between_processes(function: Any, same_file: Any, one_run: Any) -> None:
    """No byte of the new version is joined to those of the old one."""
    make = partial(function, same_file=same_file)
    part = restarted(make, [[V1, V2]], [1, None], one_run)
    assert DATA.startswith(part.data)
    assert isinstance(part.error, DivergedStream)
    assert "http://127.0.0.1" in str(part.error)


def test_another_mirror_after_the_restart() -> None:
    """The ETag is compared across mirrors; with "size", each mirror has its own."""
    gone, tagged = FileAnswer(status=404), FileAnswer(etag='"b"')
    for same_file, error in (("etag", DivergedStream), ("size", type(None))):
        make = partial(http_bytes, same_file=same_file)
        part = restarted(make, [[V1, gone], [tagged]], [1, None])
        assert isinstance(part.error, error)


def test_a_complete_file_is_not_requested_again() -> None:
    """The next process has nothing to do."""
    disk = Disk()
    for expected in (DATA, b""):
        with file_server(DATA, [V1]) as server:
            part = run(http_bytes, server.urls, Checkpoint(store=disk.store()), None)
            assert part == Part(expected, None)
    assert server.requests == []


def test_a_date_goes_with_the_cursor() -> None:
    """A file without an ETag is recognised by its date."""
    dated = FileAnswer(etag=None, modified=DATE)
    later = replace(dated, modified="Tue, 02 Jan 2024 00:00:00 GMT", data=OTHER)
    assert restarted(http_bytes, [[dated]], [1, None]) == Part(DATA, None)
    assert isinstance(restarted(http_bytes, [[dated, later]], [1, None]).error, DivergedStream)


def test_a_consumer_that_says_what_is_done() -> None:
    """With `auto=False` the version is saved with the cursor too, from the first chunk on."""
    for answers, error in (([V1, V1], type(None)), ([V1, V2], DivergedStream)):
        disk = Disk()
        with file_server(DATA, answers) as server:
            checkpoint = Checkpoint(store=disk.store(), auto=False)
            with httpx.Client(verify=NO_TLS) as client:
                source = http_bytes(client, server.urls[0])
                stream = failover_stream(
                    [source], retry_on=httpx.TransportError, checkpoint=checkpoint
                )
                first = next(stream)
                stream.close()
            checkpoint.done(len(first))
            checkpoint.close()
            part = run(http_bytes, server.urls, Checkpoint(store=disk.store(), auto=False), None)
        assert isinstance(part.error, error)
        assert DATA.startswith(first + part.data)


@pytest.mark.parametrize("etag", ['"v1"', '"v2"'])
def test_the_winner_of_a_hedge_is_known(etag: str) -> None:
    """The version of the winner is saved, not that of the loser."""
    disk = Disk()
    slow = FileAnswer(cut=0, end="stall", etag='"v2"', data=OTHER)
    again = FileAnswer(etag=etag, data=DATA if etag == '"v1"' else OTHER)
    received = b""
    with file_server(DATA, [slow, again], [V1, again]) as server:
        for count in (1, None):
            with httpx.Client(timeout=5, verify=NO_TLS) as client, quiet():
                mirrors = [http_bytes(client, url) for url in server.urls]
                race = Policy(retry_on=httpx.TransportError).hedge(mirrors, after=0.2)
                stream = failover_stream(
                    [race],
                    retry_on=httpx.TransportError,
                    checkpoint=Checkpoint(store=disk.store(), every=0),
                )
                with closing(stream):
                    part = taken(stream, count)
            received += part.data
    assert DATA.startswith(received)
    assert isinstance(part.error, type(None) if etag == '"v1"' else DivergedStream)


def test_an_attempt_that_was_abandoned_remembers_nothing() -> None:
    """Its response arrives when the next attempt has begun, perhaps with another file."""
    memo: dict[str, Any] = {}
    first = FileMemo(memo)
    first.remember(KnownFile(1, Version.of({"ETag": '"a"'})))
    second = FileMemo(memo)
    assert second.known == KnownFile(1, Version.of({"ETag": '"a"'}))
    first.remember(KnownFile(2, Version.of({})))
    assert FileMemo(memo).known == second.known


def test_a_memo_of_another_kind_of_source() -> None:
    """What another source keeps is not a file."""
    for kept in ("a", {"a": 1}, None):
        assert FileMemo({"checkpoint": kept}).known is None


def test_the_memo_goes_to_another_machine() -> None:
    """In the middle of a response too: the connection stays here."""
    memos: list[dict[str, Any]] = []

    def chunks(progress: Any) -> Iterator[bytes]:
        for chunk in source.factory(progress):
            memos.append(pickle.loads(pickle.dumps(progress.memo)))
            yield chunk

    with file_server(DATA, [V1]) as server, httpx.Client(verify=NO_TLS) as client:
        source: Any = http_bytes(client, server.urls[0])
        stream = failover_stream([replace(source, factory=chunks)], retry_on=OSError)
        assert b"".join(stream) == DATA
        abort(None, memos[0])
    known = FileMemo(memos[0]).known
    assert known is not None
    assert (known.size, str(known.version)) == (len(DATA), '"v1"')


def object_of(data: bytes, etag: str | None, start: int) -> Any:
    """A response of boto3, in pieces."""
    body = (data[at : at + 50_000] for at in range(start, len(data), 50_000))
    return {
        "Body": body,
        "ContentRange": f"bytes {start}-{len(data) - 1}/{len(data)}",
        "ETag": etag,
    }


def test_ranged_goes_on() -> None:
    """The ETag of a store travels with the cursor, too."""
    for etag, error in (('"v1"', type(None)), ('"v2"', DivergedStream)):
        disk, data = Disk(), b""
        for tag, count in (('"v1"', 1), (etag, None)):
            source = ranged(partial(object_of, DATA, tag), len(DATA))
            checkpoint = Checkpoint(store=disk.store(), every=0)
            stream = failover_stream([source], retry_on=OSError, checkpoint=checkpoint)
            with quiet(), closing(stream):
                part = taken(stream, count)
            data += part.data
        assert isinstance(part.error, error)
        assert data == (DATA if part.error is None else DATA[:50_000])


ANSWERS = st.builds(
    FileAnswer,
    cut=st.none() | st.integers(0, len(DATA)),
    end=st.sampled_from(["fin", "reset"]),
    ranges=st.sampled_from(["right"] * 6 + ["ignored", "shifted", "part", "as 200", "unsized"]),
    if_range=st.booleans(),
    framing=st.sampled_from(["length", "length", "chunked"]),
    etag=st.sampled_from(['"v1"'] * 4 + ['W/"v1"', None]),
    modified=st.sampled_from([None, DATE]),
)
#: Other files, each with its own ETag.
CHANGES = [OTHER, DATA[1:] + b"x", DATA[:-1], DATA + b"x"]


def changed(number: int, **how: Any) -> FileAnswer:
    return FileAnswer(data=CHANGES[number], etag=f'"changed {number}"', **how)


CHANGED = st.builds(
    changed,
    st.integers(0, len(CHANGES) - 1),
    if_range=st.booleans(),
    ranges=st.sampled_from(["right", "ignored", "unsized", "part"]),
    cut=st.none() | st.integers(0, len(DATA)),
)
BUSY = st.builds(FileAnswer, status=st.sampled_from([503, 404]))


@settings(deadline=None)
@given(
    function=st.sampled_from([http_bytes, http_lines]),
    mirrors=st.lists(
        st.lists(ANSWERS | CHANGED | BUSY, min_size=1, max_size=5), min_size=1, max_size=2
    ),
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    one_run=st.sampled_from([run, arun]),
    lost=st.integers(0, 3),
)
def test_never_a_wrong_byte(
    function: Any,
    mirrors: list[list[FileAnswer]],
    counts: list[int],
    one_run: Callable[..., Part],
    lost: int,
) -> None:
    """Any mix of liars over any restarts yields one of the files, or a start of it and an error."""
    files = {answer.data or DATA for answers in mirrors for answer in answers}
    data, error = restarted(function, mirrors, [*counts, None], one_run, lost)
    if error is None:
        assert data in files
    else:
        assert any(file.startswith(data) for file in files)
        assert isinstance(error, BadResponse | httpx.TransportError) or "/file" in str(error)
