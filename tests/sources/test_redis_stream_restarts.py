"""`redis_stream` on a real redis-server: a server before Redis 7, and a new process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from failover_iter import Bookmark, Checkpoint, DivergedStream, Progress, failover_stream
from failover_iter.sources import redis_stream
from sources.test_redis_stream_server import Server
from support.needs import needs
from support.redis_server import needs_server
from support.runners import quiet

redis = needs("redis")

pytestmark = needs_server

HIDDEN = {"entries-added", "max-deleted-entry-id", "recorded-first-entry-id"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with server.client() as client:
        client.flushall()
        yield client


def before_redis_7(client: Any) -> Any:
    """The client, as if its server did not count entries."""

    def parse(answer: Any, **options: Any) -> Any:
        info = redis._parsers.helpers.parse_xinfo_stream(answer, **options)
        return {name: info[name] for name in info if name not in HIDDEN}

    client.set_response_callback("XINFO STREAM", parse)
    return client


SERVERS: dict[str, Callable[[Any], Any]] = {"7": lambda client: client, "6": before_redis_7}


@pytest.mark.parametrize("version", SERVERS)
@pytest.mark.parametrize("is_there", [True, False])
def test_trimmed_while_the_first_entry_is_awaited(
    client: Any, version: str, is_there: bool
) -> None:
    """The error comes with the next read."""
    if is_there:
        client.xgroup_create("s", "group", mkstream=True)
    source: Any = redis_stream(SERVERS[version](client), "s")
    entries = source.factory(Progress(cursor="0"))
    with closing(entries):
        assert next(entries) == Bookmark("0")
        for number in range(5):
            client.xadd("s", {"n": number}, id=f"{number + 1}-0")
        client.xtrim("s", maxlen=2, approximate=False)
        with pytest.raises(DivergedStream, match=r"\(3\)" if version == "7" else "before Redis 7"):
            next(entries)


def is_end(entry: Any) -> bool:
    return b"end" in entry[1]


def read(client: Any, checkpoint: Checkpoint) -> list[Any]:
    source = redis_stream(client, "s", until=is_end)
    options: dict[str, Any] = {"retry_on": redis.ConnectionError, "checkpoint": checkpoint}
    items: list[Any] = []
    with quiet(), closing(failover_stream([source], **options)) as stream:
        for entry in stream:
            items.append(entry[0])
            if not checkpoint.auto:
                checkpoint.done(entry[0].decode())
    checkpoint.close()
    return items


@pytest.mark.parametrize("auto", [True, False])
def test_until_after_a_restart(client: Any, tmp_path: Path, auto: bool) -> None:
    """A stream that has ended has ended for the next process too."""
    path = tmp_path / "place.json"
    for number in (1, 2):
        client.xadd("s", {"n": number}, id=f"{number}-0")
    client.xadd("s", {"end": 1}, id="3-0")
    assert read(client, Checkpoint(path, auto=auto)) == [b"1-0", b"2-0", b"3-0"]
    client.xadd("s", {"end": 1}, id="4-0")
    assert read(client, Checkpoint(path, auto=auto)) == []
