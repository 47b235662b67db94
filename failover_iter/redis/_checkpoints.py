"""`RedisCheckpointStore`: a checkpoint in Redis."""

from __future__ import annotations

from typing import Any, Final

import redis

from failover_iter.errors import CheckpointError

#: Replaces the state if it is what this stream has loaded or saved last; "" means none. The client
#: may send it again after a lost connection: then it is there already.
_REPLACE: Final = """
local state = redis.call('GET', KEYS[1]) or ''
if state == ARGV[2] then return 1 end
if state ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


class RedisCheckpointStore:
    """Keeps a `Checkpoint` under a key of Redis.

    A save replaces what this stream has loaded or saved, in one step. If another process has saved
    meanwhile, it raises `CheckpointError`. An async stream uses it in a thread.

    Args:
        client: a blocking client of redis-py.
        key: the key: one for each stream. It never expires.

    Raises:
        TypeError: `client` is an asyncio client, or none at all.

    Example:
        >>> import redis
        >>> from failover_iter import Checkpoint
        >>> from failover_iter.redis import RedisCheckpointStore
        >>> Checkpoint(store=RedisCheckpointStore(redis.Redis(), "orders"), every=5)
        Checkpoint(the checkpoint 'orders', every=5)
    """

    def __init__(self, client: Any, key: str) -> None:
        if not isinstance(client, redis.Redis):
            raise TypeError(f"client must be a redis.Redis, got {type(client).__name__}")
        self._client: Any = client
        self._key = key
        self._state: Any = b""

    def __str__(self) -> str:
        """Return the key, for messages."""
        return f"the checkpoint {self._key!r}"

    def load(self) -> str | None:
        """Return the text under the key."""
        state = self._client.get(self._key)
        self._state = b"" if state is None else state
        return state.decode() if isinstance(state, bytes) else state

    def save(self, state: str) -> None:
        """Replace the text under the key, if nobody else has."""
        if not self._client.eval(_REPLACE, 1, self._key, self._state, state):
            raise CheckpointError(f"{self} was saved by another stream or process meanwhile")
        self._state = state

    def close(self) -> None:
        """Do nothing: the client belongs to the user."""
