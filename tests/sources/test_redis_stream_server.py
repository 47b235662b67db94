"""`redis_stream` on a real redis-server, which these tests start, kill and restart."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

from failover_iter import DivergedStream, afailover_stream, backoff, failover_stream
from failover_iter.sources import redis_stream
from support import redis_server
from support.needs import needs
from support.redis_server import needs_server
from support.runners import quiet

redis = needs("redis")

pytestmark = [
    needs_server,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

SIZE = 400
OPTIONS: dict[str, Any] = {
    "retry_on": redis.ConnectionError,
    "attempts": None,
    "wait": backoff(0.02, maximum=0.1),
    "give_up_after": 60,
}


class Server(redis_server.Server):
    """A redis-server that writes each entry to disk before it answers."""

    def __init__(self, folder: Path) -> None:
        super().__init__("--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder))

    def restart(self) -> None:
        """Restart it after a moment in which nothing listens."""
        self.stop()
        threading.Timer(0.1, self.start).start()

    def client(self, **options: Any) -> Any:
        retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
        return redis.Redis(port=self.port, retry=retry, **options)

    def aclient(self) -> Any:
        retry = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
        return redis.asyncio.Redis(port=self.port, retry=retry)

    def add(self, first: int, last: int) -> None:
        with self.client() as client, client.pipeline(transaction=True) as pipe:
            for number in range(first, last):
                pipe.xadd("s", {"n": number})
            pipe.execute()

    def cut(self) -> None:
        """Cut the connections of all other clients."""
        with self.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _entries(server: Server) -> None:
    with server.client() as client:
        client.flushall()
    server.add(0, SIZE)


def is_last(entry: Any) -> bool:
    return int(entry[1].get(b"n") or entry[1]["n"]) == SIZE + 9


def on_entry(server: Server, count: int) -> None:
    """The fate of the server after this many entries."""
    if count == 50:
        server.cut()
    elif count == 150:
        server.restart()
    elif count == SIZE:  # the reader waits for more
        threading.Timer(0.1, server.add, (SIZE, SIZE + 10)).start()


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 3}])
def test_each_entry_once(server: Server, options: dict[str, Any]) -> None:
    """Connections cut, and the server killed and restarted: each entry once."""
    numbers: list[int] = []
    with server.client(**options) as client:
        stream = failover_stream([redis_stream(client, "s", until=is_last)], **OPTIONS)
        with quiet(), closing(stream):
            for _, fields in stream:
                numbers.append(int(fields.get(b"n") or fields["n"]))
                on_entry(server, len(numbers))
    assert numbers == [*range(SIZE + 10)]


def test_each_entry_once_async(server: Server) -> None:
    """The same with the async client."""
    numbers: list[int] = []

    async def main() -> None:
        async with server.aclient() as client:
            stream = afailover_stream([redis_stream(client, "s", until=is_last)], **OPTIONS)
            with quiet():
                async with aclosing(stream):
                    async for _, fields in stream:
                        numbers.append(int(fields[b"n"]))
                        on_entry(server, len(numbers))

    asyncio.run(main())
    assert numbers == [*range(SIZE + 10)]


def test_trimmed_entries(server: Server) -> None:
    """A slow reader of a stream with a MAXLEN gets an error; what was read may be trimmed."""
    with server.client() as client:
        stream = failover_stream([redis_stream(client, "s")], **OPTIONS)
        with quiet(), closing(stream):
            for number in range(100):  # the first batch has 101
                assert int(next(stream)[1][b"n"]) == number
            client.xtrim("s", maxlen=SIZE - 100, approximate=False)
            assert int(next(stream)[1][b"n"]) == 100
            client.xtrim("s", maxlen=10, approximate=False)
            with pytest.raises(DivergedStream, match=r"unread entries were trimmed \(289\)"):
                for _ in range(100):
                    next(stream)


def test_a_wrong_password_is_final(server: Server) -> None:
    """Asking the same server again does not help, though redis-py calls it a ConnectionError."""
    client = server.client(password="wrong", username="nobody")
    stream = failover_stream([redis_stream(client, "s")], **OPTIONS)
    with quiet(), pytest.raises(redis.AuthenticationError):
        next(stream)
    client.close()
