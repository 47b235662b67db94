"""Files from HTTP on a worker: what they learn is on the driver with the item that it is about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest

from checkpoint.memory import Disk
from cluster.faked import FLAVOURS, MAKERS, deliver, ray
from failover_iter import Checkpoint, DivergedStream, Progress, Resume, Source
from failover_iter.sources import http_bytes
from failover_iter.testing import FileAnswer, file_server
from sources.readers import NO_TLS

__all__ = ["ray"]  # a fixture

DATA = bytes(range(256)) * 1000


def chunks_of(url: str, progress: Progress[bytes]) -> Iterator[bytes]:
    with httpx.Client(verify=NO_TLS) as client:
        source: Any = http_bytes(client, url)
        yield from source.factory(progress)


def on_a_worker(flavour: str, url: str) -> Any:
    """The file, read on a worker."""
    with httpx.Client(verify=NO_TLS) as client:
        here: Any = http_bytes(client, url)
        return replace(here, factory=MAKERS[flavour](partial(chunks_of, url)), abort=None)


@FLAVOURS
def test_a_download_on_a_worker(flavour: str) -> None:
    """After a cut, the next worker asks for the missing bytes by the version of the file."""
    with file_server(DATA, [FileAnswer(cut=100_000), FileAnswer()]) as server:
        source = on_a_worker(flavour, server.urls[0])
        chunks = deliver(flavour, source, retry_on=httpx.TransportError, attempts=2)
    assert b"".join(chunks) == DATA
    assert [request.headers.get("if-range") for request in server.requests] == [None, '"v1"']


@FLAVOURS
def test_a_checkpoint_of_a_download_on_a_worker(flavour: str) -> None:
    """The version is saved from the first chunk on, though it arrives in a batch."""
    disk = Disk()
    changed = FileAnswer(data=DATA[::-1], etag='"v2"')
    with file_server(DATA, [FileAnswer(), changed]) as server:
        source = on_a_worker(flavour, server.urls[0])
        options: Any = {"retry_on": httpx.TransportError}
        first = deliver(
            flavour, source, 2, checkpoint=Checkpoint(store=disk.store(), every=0), **options
        )
        assert json.loads(disk.text or "")["cursor"] == str(len(first[0]))
        with pytest.raises(DivergedStream, match="another version"):
            deliver(flavour, source, checkpoint=Checkpoint(store=disk.store()), **options)


@FLAVOURS
def test_each_item_has_what_its_source_kept(flavour: str) -> None:
    """An entry that changes within a batch is not saved with the items before it."""
    disk = Disk()

    def numbers(progress: Progress[int]) -> Iterator[int]:
        for number in range(4):
            progress.memo["checkpoint"] = number // 2
            yield number

    source: Any = Source(
        MAKERS[flavour](numbers), mid_stream=Resume(start=0, advance=lambda at, _: at + 1)
    )
    deliver(flavour, source, checkpoint=Checkpoint(store=disk.store(), every=0))
    saved = [json.loads(each) for each in disk.saves]
    assert [(each["cursor"], each["memo"]) for each in saved] == [
        ("1", 0),
        ("2", 0),
        ("3", 1),
        ("4", 1),
    ]
