"""`in_thread` with real blocking clients in an async service: boto3 and psycopg."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trio

from drivers.threads import wait_until
from failover_iter import Progress, Resume, Source, afailover_stream, in_thread
from support.needs import needs, unless_installed

STALL = 0.2  # seconds: a real server stalls in real time

RUNS = [asyncio.run, lambda coroutine: trio.run(lambda: coroutine)]
each_loop = pytest.mark.parametrize("run", RUNS, ids=["asyncio", "trio"])


def our_threads() -> list[str]:
    """The names of the threads of sources."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("failover_iter: ")]


class TestBoto3:
    """The body of an S3 object, read in blocks, from where the last source stopped."""

    pytestmark = unless_installed("boto3")
    CONTENT = bytes(range(256)) * 64

    @contextmanager
    def bucket(self, ends_at: int | None = None) -> Iterator[Any]:
        """A client of a server that stops sending at some byte of an object, and stalls."""
        content, let_go = self.CONTENT, threading.Event()

        class Bucket(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
                self.send_response(206)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start:ends_at])
                if ends_at is not None:
                    let_go.wait(10)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        boto3 = needs("boto3")
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            region_name="eu-north-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        try:
            yield client
        finally:
            let_go.set()
            client.close()
            server.shutdown()
            server.server_close()

    @each_loop
    def test_a_stall_in_the_middle(self, run: Any) -> None:
        """The next client goes on at the next byte; each byte arrives once."""

        def body_of(client: Any) -> Any:
            def body(progress: Progress[bytes]) -> Iterator[bytes]:
                start = sum(map(len, progress.items))
                answer = client.get_object(Bucket="b", Key="k", Range=f"bytes={start}-")
                yield from answer["Body"].iter_chunks(1000)

            return body

        async def main(stalls: Any, works: Any) -> bytes:
            stream = afailover_stream(
                [in_thread(body_of(stalls)), in_thread(body_of(works))],
                retry_on=OSError,
                mid_stream=Resume(keep=None),
                idle_timeout=STALL,
            )
            async with aclosing(stream):
                return b"".join([chunk async for chunk in stream])

        with self.bucket(ends_at=5000) as stalls, self.bucket() as works:
            assert run(main(stalls, works)) == self.CONTENT
        wait_until(lambda: not our_threads())


class TestPsycopg:
    """Rows of a server-side cursor, and a query that is cancelled."""

    pytestmark = unless_installed("psycopg")

    @pytest.fixture
    def where(self) -> str:
        """The connection string of a PostgreSQL server."""
        psycopg = needs("psycopg")
        where = os.environ.get("PGSTRING", "host=127.0.0.1 user=postgres connect_timeout=2")
        try:
            psycopg.connect(where).close()
        except psycopg.OperationalError:
            pytest.skip("no PostgreSQL on 127.0.0.1:5432")
        return where

    @each_loop
    def test_rows(self, run: Any, where: str) -> None:
        """They arrive one by one, and the connection is closed in its thread."""
        psycopg, connections = needs("psycopg"), list[Any]()

        def rows() -> Iterator[int]:
            with psycopg.connect(where) as connection, connection.cursor("rows") as cursor:
                connections.append(connection)
                for (number,) in cursor.execute("select generate_series(1, 5000)"):
                    yield number

        async def main() -> None:
            stream = afailover_stream([in_thread(rows)], retry_on=psycopg.OperationalError)
            async with aclosing(stream):
                assert [item async for item in stream] == list(range(1, 5001))

        run(main())
        assert connections[0].closed

    @each_loop
    def test_a_query_that_stalls(self, run: Any, where: str) -> None:
        """`abort` cancels it in the server, so the thread returns and closes the connection."""
        psycopg, connections = needs("psycopg"), list[Any]()

        def stalls() -> Iterator[int]:
            with psycopg.connect(where) as connection:
                connections.append(connection)
                yield 1
                connection.execute("select pg_sleep(60)")

        async def replica() -> Any:
            for number in (1, 2):
                yield number

        def abort(opened: object, memo: object) -> None:
            connections[0].cancel()

        async def main() -> None:
            stream = afailover_stream(
                [Source(in_thread(stalls), abort=abort), replica],
                retry_on=psycopg.OperationalError,
                mid_stream="skip",
                idle_timeout=STALL,
            )
            async with aclosing(stream):
                assert [item async for item in stream] == [1, 2]

        run(main())
        wait_until(lambda: not our_threads())
        assert connections[0].closed
