"""A server that speaks enough of Redis' protocol for redis-py, and knows what our scripts do.

It runs the rules of `failover_iter.health` in place of the Lua scripts; `test_redis_server.py`
compares those with a real server.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import redis
import redis.asyncio

from failover_iter.health import Rules
from failover_iter.health._cells import UNKNOWN, Cell, Report
from failover_iter.redis import _scripts

PREFIX = "failover_iter:health:"
FIELDS = ("failures", "generation", "level", "is_out", "until", "lease")


class FakeRedis:
    """The state of the server, the questions it got, and how it behaves."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.cells: dict[str, Cell] = {}
        self.rules: dict[str, str] = {}
        self.scripts: set[str] = set()
        self.asked: list[str] = []
        self.mode = "well"
        self.woken = threading.Event()
        self.told = threading.Condition()
        self.port = 0

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.port, protocol=2, **options)

    def aclient(self, **options: Any) -> redis.asyncio.Redis:
        return redis.asyncio.Redis(port=self.port, protocol=2, **options)

    def wait_until(self, word: str) -> None:
        """Wait until the server has seen this."""
        with self.told:
            assert self.told.wait_for(lambda: word in self.asked, timeout=10)

    def answer(self, command: list[str]) -> Any:
        name, *rest = command
        if name == "EVALSHA" and rest[0] not in self.scripts:
            return KeyError("NOSCRIPT No matching script.")
        if name in ("EVAL", "EVALSHA"):
            self.scripts.add(_scripts.DIGEST)
            key, what, _, _, rules, *numbers = rest[2:]
            self.asked.append(f"{what} {key.removeprefix(PREFIX)}")
            call = self.admit if what == "admit" else partial(self.report, what)
            return call(key, rules, *map(int, numbers))
        match name:
            case "TIME":
                return [str(self.now // 1000), str(self.now % 1000 * 1000)]
            case "SCAN":
                return ["0", list(self.cells)]
            case "HGETALL":
                cell = self.cells.get(rest[0])
                pairs = [(each, int(getattr(cell, each))) for each in FIELDS if cell is not None]
                return [str(word) for pair in pairs for word in pair]
            case _:
                return "OK"

    def admit(self, key: str, rules: str, generation: int, lease: int) -> list[Any]:
        cell = self.cells.get(key, UNKNOWN)
        admission = cell.admit(key, self.now, Rules(1, 1, 1, lease))
        if admission.lease:
            self.cells[key] = replace(cell, lease=admission.lease)
        others = self.rules.get(key, rules)
        return [
            admission.verdict, admission.generation, admission.lease,
            round(admission.seconds * 1000), int(cell.is_clean), others if others != rules else "",
        ]  # fmt: skip

    def report(self, what: Any, key: str, rules: str, *numbers: int) -> int:
        generation, lease, after, failures, cooldown, maximum = numbers
        told = Report(key, what, generation, lease, after, self.now)
        cell = self.cells.get(key, UNKNOWN)
        self.cells[key] = cell.after(told, Rules(failures, cooldown, maximum, 60_000))
        self.rules[key] = rules
        return 1


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    server: Any

    def handle(self) -> None:
        fake: FakeRedis = self.server.fake
        while line := self.rfile.readline():
            command = [self._read_word() for _ in range(int(line[1:]))]
            with fake.told:
                mode = fake.mode
                reply = fake.answer(command) if mode == "well" else OSError("ERR out of order")
                fake.told.notify_all()
            if mode == "silent":
                fake.woken.wait(timeout=10)
                return
            self.wfile.write(encoded(reply))

    def _read_word(self) -> str:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2].decode()


def encoded(reply: Any) -> bytes:
    """A reply in RESP2."""
    match reply:
        case int():
            return b":%d\r\n" % reply
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(encoded, reply))
        case Exception():
            return b"-" + str(reply.args[0]).encode() + b"\r\n"
        case _:
            data = str(reply).encode()
            return b"$%d\r\n" % len(data) + data + b"\r\n"


@contextmanager
def fake_redis() -> Iterator[FakeRedis]:
    """Run the server."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    fake = FakeRedis()
    with Server(("127.0.0.1", 0), Handler) as server:
        server.fake = fake  # type: ignore[attr-defined]
        fake.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            fake.woken.set()
            server.shutdown()
            thread.join()
