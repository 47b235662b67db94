"""`redis_stream`: the entries of a Redis stream, which go on after the last delivered one."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

import inspect
import re
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, overload

from failover_iter import Bookmark, Progress, Resume, Source
from failover_iter.sources._stream_position import Position, as_text

#: How many entries are read at once.
COUNT = 100
#: How long the server is asked to wait for an entry, in milliseconds; less with a short timeout.
BLOCK = 1000
#: Where a stream may start.
START = re.compile(r"\d+(-\d+)?|\$")

#: The id, and the fields, as redis-py returns them.
Entry: TypeAlias = tuple[Any, dict[Any, Any]]


class SyncRedis(Protocol):
    """A `redis.Redis` or `redis.RedisCluster`."""

    def __enter__(self) -> Any:
        """Use the client in a `with` block."""

    @property
    def xread(self) -> Any:
        """Read from streams."""


class AsyncRedis(Protocol):
    """A `redis.asyncio.Redis` or `redis.asyncio.RedisCluster`."""

    async def __aenter__(self) -> Any:
        """Use the client in an `async with` block."""

    @property
    def xread(self) -> Any:
        """Read from streams."""


@overload
def redis_stream(
    client: AsyncRedis,
    key: str | bytes,
    *,
    start: str = "0",
    until: Callable[[Entry], bool] | None = None,
) -> Source[AsyncGenerator[Entry]]: ...
@overload
def redis_stream(
    client: SyncRedis,
    key: str | bytes,
    *,
    start: str = "0",
    until: Callable[[Entry], bool] | None = None,
) -> Source[Generator[Entry]]: ...
def redis_stream(
    client: Any,
    key: str | bytes,
    *,
    start: str = "0",
    until: Callable[[Entry], bool] | None = None,
) -> Source[Any]:
    """The entries of a Redis stream: each once, in order, across restarts of the server.

    The items are pairs `(id, fields)`, as redis-py returns them. After a failure the source goes on
    after the id of the last delivered entry. It waits for new entries, and ends only where `until`
    says so; each second without an entry is a sign of life (`idle_timeout`).

    If entries were trimmed (MAXLEN, MINID) before they were read, that is a `DivergedStream`, even
    if the connection never broke; so is a stream that was deleted or has lost its last entries.
    Before Redis 7, a stream is refused as well when it cannot be told whether that happened: if the
    last delivered entry is gone, or if the first entries arrive in a stream that was empty.
    Entries that somebody deletes (XDEL) are left out.

    Args:
        client: a `redis.Redis` or `redis.asyncio.Redis`. It remains yours: configure it, and close
            it. redis-py retries by itself; with `Retry(NoBackoff(), 0)` the stream does that alone.
        key: the name of the stream.
        start: the id of the entry after which to start, such as "1700000000000-0"; or a time in
            milliseconds; "0": with the first entry; "$": only entries that are added from now on.
        until: predicate on an entry. The source ends after the first entry that meets it. After a
            restart over a `Checkpoint` it is asked about the last entry again, if that exists.

    Returns:
        A source that brings its own `mid_stream`, `reset_on_progress` and name (the key).

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: `start` is not the id of an entry.

    Example:
        >>> import redis
        >>> from failover_iter import Source
        >>> from failover_iter.sources import redis_stream
        >>> with redis.Redis() as client:
        ...     orders = redis_stream(client, "orders", until=lambda entry: b"last" in entry[1])
        >>> orders.name
        'orders'
    """
    given: object = client
    if not hasattr(given, "xread"):
        raise TypeError(
            f"redis_stream(client) must be a redis.Redis or redis.asyncio.Redis, got "
            f"{type(given).__name__}"
        )
    _check_arguments(key, start, until)
    reader = _Reader(client, key, until, _block(client))
    return Source(
        reader.aentries if hasattr(given, "__aenter__") else reader.entries,
        name=as_text(key),
        mid_stream=Resume(start=start, advance=id_of),
        reset_on_progress=True,
        switch_on=_is_final,
    )


def id_of(_: str, entry: Entry) -> str:
    """The position once this entry is delivered."""
    return as_text(entry[0])


def _check_arguments(key: object, start: object, until: object) -> None:
    if not isinstance(key, str | bytes):
        raise TypeError(f"redis_stream(key) must be a str or bytes, got {type(key).__name__}")
    if not isinstance(start, str):
        raise TypeError(f"redis_stream(start=...) must be a str, got {type(start).__name__}")
    if not START.fullmatch(start):
        raise ValueError(f"redis_stream(start=...) must be an id, '0' or '$', got {start!r}")
    if until is not None and (not callable(until) or inspect.iscoroutinefunction(until)):
        raise TypeError(
            f"redis_stream(until=...) must be a plain function entry -> bool, or None, got "
            f"{type(until).__name__}"
        )


def _block(client: Any) -> int:
    """How long to wait for an entry: shorter than the client waits for an answer."""
    pool = getattr(client, "connection_pool", None)
    timeout = getattr(pool, "connection_kwargs", {}).get("socket_timeout")
    return BLOCK if timeout is None else max(1, min(BLOCK, int(timeout * 500)))


def _is_final(error: Exception) -> bool:
    """Whether it makes no sense to ask the same server again."""
    kinds = {kind.__name__ for kind in type(error).__mro__}  # without importing redis-py
    return not kinds.isdisjoint({"DivergedStream", "AuthenticationError", "AuthorizationError"})


@dataclass(frozen=True, slots=True)
class _Reader:
    """What to read, and with which client."""

    client: Any
    key: str | bytes
    until: Callable[[Entry], bool] | None
    block: int

    def entries(self, progress: Progress[Any]) -> Generator[Any]:
        """Yield the missing entries and signs of life, with a sync client."""
        position = self._position(progress)
        is_done = self._is_last(progress.last)
        while not is_done:
            with self.client.pipeline(transaction=True) as pipe:
                self._ask(pipe, position)
                new = position.take(*pipe.execute(raise_on_error=False))
            if self._is_last(position.pop_restored()):
                return
            for entry in new:
                yield entry
                if self._is_last(entry):
                    return
            position.advance(new)
            if not new:
                yield Bookmark(position.after)
                # Only to be woken: what arrives is read, and checked, by the next transaction.
                self.client.xread({self.key: position.after}, count=1, block=self.block)

    async def aentries(self, progress: Progress[Any]) -> AsyncGenerator[Any]:
        """Yield the missing entries and signs of life, with an async client."""
        position = self._position(progress)
        is_done = self._is_last(progress.last)
        while not is_done:
            async with self.client.pipeline(transaction=True) as pipe:
                self._ask(pipe, position)
                new = position.take(*await pipe.execute(raise_on_error=False))
            if self._is_last(position.pop_restored()):
                return
            for entry in new:
                yield entry
                if self._is_last(entry):
                    return
            position.advance(new)
            if not new:
                yield Bookmark(position.after)
                await self.client.xread({self.key: position.after}, count=1, block=self.block)

    def _position(self, progress: Progress[Any]) -> Position:
        return Position(as_text(self.key), progress, COUNT)

    def _is_last(self, entry: Any) -> bool:
        """Whether the source ends after this entry, which may be one that it does not know."""
        return entry is not None and self.until is not None and bool(self.until(entry))

    def _ask(self, pipe: Any, position: Position) -> None:
        """Read after the position, and what shows that nothing is missing there."""
        after = "0" if position.after == "$" else position.after
        pipe.xinfo_stream(self.key)
        pipe.xrange(self.key, min=after, count=COUNT + 1)
