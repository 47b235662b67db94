"""A model of a Redis stream, on which something happens before each command, and its clients."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from failover_iter import afailover_stream, failover_stream
from failover_iter.sources import redis_stream
from sources.readers import Result, aread_all, read_all
from support.runners import quiet

LAST = "last"


class Cut(ConnectionError):
    """The connection broke."""


class NoSuchKey(Exception):
    """The answer of a server to XINFO STREAM for a key that does not exist."""


@dataclass
class Model:
    """A server with one stream, on which something happens before each command."""

    script: list[tuple[str, int]]
    version: int = 7
    entries: dict[int, Any] = field(default_factory=dict)
    added: int = 0
    exists: bool = False
    lost: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    delivered: list[int] = field(default_factory=list)

    def happen(self) -> None:
        """Carry out the next step of the script, and break the connection if it says so."""
        kind, number = self.script.pop(0) if self.script else ("end", 0)
        if kind in {"add", "end"}:
            for _ in range(number if kind == "add" else self.added < 1000):
                self.added += 1
                self.exists = True
                text = LAST if kind == "end" else self.added
                self.entries[self.added] = {"n": text}
        elif kind == "trim":
            for each in [*self.entries][: max(0, len(self.entries) - number)]:
                del self.entries[each]
                self.lost.add(each)
        elif kind == "delete" and number in self.entries:
            del self.entries[number]
            self.deleted.add(number)
        elif kind == "break":
            raise Cut("reset")

    def execute(self, after: str, count: int) -> list[Any]:
        self.happen()
        if not self.exists:
            return [NoSuchKey("no such key"), []]
        first = next(iter(self.entries), None)
        info = {
            "length": len(self.entries),
            "last-generated-id": f"{self.added}-0".encode(),
            "first-entry": None if first is None else (f"{first}-0".encode(), {}),
        }
        if self.version >= 7:
            info["entries-added"] = self.added
            info["max-deleted-entry-id"] = f"{max(self.deleted, default=0)}-0".encode()
        found = [
            (f"{each}-0".encode(), fields)
            for each, fields in self.entries.items()
            if each >= int(after.partition("-")[0])
        ]
        return [info, found[:count]]


class Client:
    """A client of the model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.connection_pool = SimpleNamespace(connection_kwargs={"socket_timeout": 0.5})

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to do."""

    def pipeline(self, *, transaction: bool) -> Any:
        assert transaction
        return self

    def xinfo_stream(self, key: str) -> None:
        assert key == "s"

    def xrange(self, key: str, *, min: str, count: int) -> None:  # noqa: A002 (its name)
        self.asked = min, count

    def execute(self, *, raise_on_error: bool) -> Any:
        assert not raise_on_error
        return self.model.execute(*self.asked)

    def xread(self, streams: Any, *, count: int, block: int) -> Any:
        assert block == 250
        self.model.happen()


class AClient(Client):
    """The same, async."""

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to do."""

    async def execute(self, *, raise_on_error: bool) -> Any:  # type: ignore[override]
        return super().execute(raise_on_error=raise_on_error)

    async def xread(self, streams: Any, *, count: int, block: int) -> Any:  # type: ignore[override]
        return super().xread(streams, count=count, block=block)


def is_last(entry: Any) -> bool:
    return bool(entry[1]["n"] == LAST)


def read(model: Model, **options: Any) -> Result:
    source = redis_stream(Client(model), "s", until=is_last, start=options.pop("start", "0"))
    stream = failover_stream([source], retry_on=Cut, attempts=20, **options)
    with quiet():
        return read_all(map(counted(model), stream), stream)


def aread(model: Model, **options: Any) -> Result:
    source = redis_stream(AClient(model), "s", until=is_last, start=options.pop("start", "0"))

    async def main() -> Result:
        stream = afailover_stream([source], retry_on=Cut, attempts=20, **options)
        count = counted(model)

        async def items() -> Any:
            async for entry in stream:
                yield count(entry)

        with quiet():
            return await aread_all(items(), stream)

    return asyncio.run(main())


def counted(model: Model) -> Any:
    """A function that remembers an entry when it is delivered."""

    def count(entry: Any) -> Any:
        number = int(entry[0].partition(b"-")[0])
        model.delivered.append(number)
        return entry

    return count


READS: dict[str, Any] = {"sync": read, "async": aread}
STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 6)),
    st.tuples(st.just("add"), st.integers(1, 3)),
    st.tuples(st.just("trim"), st.integers(0, 5)),
    st.tuples(st.just("delete"), st.integers(1, 12)),
    st.tuples(st.just("break"), st.just(0)),
)
CASES = st.fixed_dictionaries(
    {
        "script": st.lists(STEPS, max_size=14),
        "version": st.sampled_from([6, 7, 7]),
        "commit_when": st.integers(1, 3),
        "count": st.integers(1, 4),
    }
)
