"""`RedisStore`: the health of sources, shared by processes and machines through Redis.

It needs redis-py: `pip install 'failover-iter[redis]'`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from math import inf
from typing import Any, Final, NamedTuple
from weakref import finalize

import redis
import redis.asyncio

from failover_iter.health import Admission, LocalStore, Outcome, Rules, SourceHealth
from failover_iter.redis import _clients, _scripts
from failover_iter.redis._checkpoints import RedisCheckpointStore
from failover_iter.redis._sender import Sender

__all__ = ["RedisCheckpointStore", "RedisStore"]

_MOST: Final = 1000  # reports that wait; the oldest are dropped
_REDIS_TIME: Final = -1  # as the time of a call: Redis looks at its own clock
_log: Final = logging.getLogger("failover_iter")


class _Known(NamedTuple):
    """An answer of Redis, and until when it holds."""

    answer: _scripts.Answer
    heard: float
    until: float


class RedisStore:
    """Keeps the health of sources in Redis, for all processes and machines that share it.

    Pass it to `Health(store=...)`. Redis holds one hash for each key that has failed lately, on its
    own clock. Each question and each report is one atomic step.

    A `Health` never makes a stream fail. If Redis does not answer within `store_timeout`, each
    process decides by itself, and asks Redis again after `pause`.

    Blocking streams need a `redis.Redis`. The store opens connections with the same settings, but
    with its own time limit and without retries. Under asyncio, pass a `redis.asyncio.Redis`; the
    store uses this client itself, and does not close it. An async stream may also use a
    `redis.Redis`, which is called in a thread; under trio, it must be one.

    Args:
        client: a client of redis-py with a plain connection pool.
        prefix: how the names of the hashes begin.
        store_timeout: how long a stream waits for Redis at most: seconds or a timedelta.
        fresh: how long an answer may be used again. A failure that this process sees ends it.
        pause: how long Redis is not asked after it did not answer.
        clock: the clock of this process, for tests.

    Raises:
        TypeError: `client` is another kind of client.
        ValueError: its pool is another kind (Sentinel's, for example), or a number is too small.

    Example:
        >>> import redis
        >>> from failover_iter import Health
        >>> from failover_iter.redis import RedisStore
        >>> health = Health(failures=3, store=RedisStore(redis.Redis(host="redis.example")))
    """

    def __init__(
        self,
        client: redis.Redis | redis.asyncio.Redis,
        *,
        prefix: str = "failover_iter:health:",
        store_timeout: float | timedelta = 0.2,
        fresh: float | timedelta = 0.25,
        pause: float | timedelta = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = _seconds("store_timeout", store_timeout, least=0.001)
        self._fresh = _seconds("fresh", fresh)
        self._pause = _seconds("pause", pause)
        self._prefix = prefix
        self._clock = clock
        self._client: Any = None
        self._aclient: Any = None
        if isinstance(client, redis.asyncio.Redis):
            self._aclient = client
        else:
            self._client = _clients.bounded(client, self._timeout)
            finalize(self, self._client.connection_pool.disconnect)
        self._local = LocalStore(clock)
        self._known: dict[str, _Known] = {}
        #: Of each key, the last question whose answer may be used again.
        self._asked: dict[str, object] = {}
        self._down_until = -inf
        #: The time that a call names; tests set it.
        self._time = _REDIS_TIME
        self._has_warned = False
        self._told: deque[_scripts.Told] = deque(maxlen=_MOST)
        self._sender = Sender(self, is_async=self._aclient is not None)

    # For `Health`.

    def admit(self, key: str, rules: Rules) -> Admission:
        """Return whether a blocking stream is to open this source now."""
        found = self._without_asking(key, rules)
        if found is not None:
            return found
        client = self._blocking("a blocking stream", "afailover_stream")
        self._sender.start()
        told, asked = self._take(), self._ask(key)
        try:
            results = _clients.run(_clients.call(client, self._calls(told, key, rules)))
        except Exception as error:
            return self._alone(key, rules, error, told)
        except BaseException:
            self._told.extendleft(reversed(told))  # Ctrl-C: sent with the next question
            raise
        return self._heard(key, rules, results[-1], asked)

    async def aadmit(self, key: str, rules: Rules) -> Admission:
        """Return the same to an async stream."""
        found = self._without_asking(key, rules)
        if found is not None:
            return found
        if self._aclient is None:
            return await _clients.in_thread(self.admit, key, rules)
        told, asked = self._take(), self._ask(key)
        try:
            calls = _clients.call(self._aclient, self._calls(told, key, rules))
            results = await _clients.arun(calls, self._timeout)
        except Exception as error:
            return self._alone(key, rules, error, told)
        except BaseException:
            self._told.extendleft(reversed(told))  # a cancellation: sent with the next question
            raise
        return self._heard(key, rules, results[-1], asked)

    def report(
        self, admission: Admission, outcome: Outcome, retry_after: int, rules: Rules
    ) -> None:
        """Record the outcome of an attempt. A thread or a task sends it soon."""
        told = _scripts.Told(admission, outcome, retry_after, rules)
        if admission.local:
            self._local.report(*told)
        elif self._is_down():
            self._local.adopt(*told)
        elif not self._says_nothing_new(told):
            self._forget([told])
            self._told.append(told)
            self._sender.wake()

    def snapshot(self, rules: Rules) -> Mapping[str, SourceHealth]:
        """Return the health of all keys that have failed lately."""
        client = self._blocking("snapshot()", "await asnapshot()")
        if not self._is_down():
            self.send()
        if not self._is_down():
            try:
                keys = list(client.scan_iter(match=self._pattern, count=1000))
                return self._healths(keys, _clients.run(_clients.look(client, keys)))
            except Exception as error:
                self._went_down(error, ())
        return self._local.snapshot(rules)

    async def asnapshot(self, rules: Rules) -> Mapping[str, SourceHealth]:
        """Return the same to async code."""
        client = self._aclient
        if client is None:
            return await _clients.in_thread(self.snapshot, rules)
        if not self._is_down():
            await self.asend()
        if not self._is_down():
            try:
                async with asyncio.timeout(self._timeout):
                    scan = client.scan_iter(match=self._pattern, count=1000)
                    keys = [key async for key in scan]
                found = await _clients.arun(_clients.look(client, keys), self._timeout)
                return self._healths(keys, found)
            except Exception as error:
                self._went_down(error, ())
        return self._local.snapshot(rules)

    def close(self) -> None:
        """Send the reports that wait, stop the thread, and close the store's connections."""
        self.send()
        self._sender.stop()
        if self._client is not None:
            self._client.connection_pool.disconnect()

    # Reports that wait.

    def send(self) -> None:
        """Send the reports that wait for a blocking client. It raises nothing."""
        told = self._take() if self._client is not None else []
        if not told:
            return
        try:
            _clients.run(_clients.call(self._client, self._calls(told)))
            self._forget(told)
        except Exception as error:
            self._went_down(error, told)
        except BaseException:
            self._told.extendleft(reversed(told))
            raise

    async def asend(self) -> None:
        """Send the reports that wait for an asyncio client, also those made meanwhile."""
        while told := self._take():
            try:
                calls = _clients.call(self._aclient, self._calls(told))
                await _clients.arun(calls, self._timeout)
                self._forget(told)
            except Exception as error:
                self._went_down(error, told)
            except BaseException:
                self._told.extendleft(reversed(told))
                raise

    def _take(self) -> list[_scripts.Told]:
        taken: list[_scripts.Told] = []
        try:
            while True:
                taken.append(self._told.popleft())
        except IndexError:
            return taken

    def _calls(
        self, told: Sequence[_scripts.Told], key: str | None = None, rules: Rules | None = None
    ) -> list[_scripts.Call]:
        calls = [_scripts.report(self._prefix, each, self._time) for each in told]
        if key is not None and rules is not None:
            calls.append(_scripts.question(self._prefix + key, rules, self._time))
        return calls

    # What this process knows.

    def _without_asking(self, key: str, rules: Rules) -> Admission | None:
        """What holds without a question to Redis, if anything does."""
        if self._is_down():
            return self._local.admit_alone(key, rules)
        known = self._known.get(key)
        now = self._clock()
        if known is None or now >= known.until:
            return None
        return known.answer.admission.later(now - known.heard)

    def _ask(self, key: str) -> object:
        """Note that a question is asked: a report that comes before its answer makes that old."""
        if len(self._asked) >= _MOST:
            self._asked.clear()
        asked = self._asked[key] = object()
        return asked

    def _forget(self, told: Sequence[_scripts.Told]) -> None:
        """Reports are made, or have arrived: an answer from before, or meanwhile, is old."""
        for each in told:
            self._known.pop(each.admission.key, None)
            self._asked.pop(each.admission.key, None)

    def _heard(self, key: str, rules: Rules, values: Sequence[Any], asked: object) -> Admission:
        answer = _scripts.answer(key, values)
        if answer.others and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "health of %s: another process has other rules (%s) than this one (%s)",
                key, answer.others, _scripts.written(rules),
            )  # fmt: skip
        now = self._clock()
        admission = answer.admission
        if self._asked.pop(key, None) is not asked:
            return admission
        if answer.is_clean:
            self._keep(key, _Known(answer, now, now + self._fresh))
        elif not admission.admitted:
            self._keep(key, _Known(answer, now, now + min(self._fresh, admission.seconds)))
        return admission

    def _keep(self, key: str, known: _Known) -> None:
        if len(self._known) >= _MOST:
            self._known.clear()
        if known.until > known.heard:
            self._known[key] = known

    def _says_nothing_new(self, told: _scripts.Told) -> bool:
        """Good news of a source that has nothing against it, or no news."""
        if told.outcome == "nothing":
            return not told.admission.lease
        known = self._known.get(told.admission.key)
        return (
            told.outcome != "failed"
            and known is not None
            and known.answer.is_clean
            and self._clock() < known.until
        )

    # Redis does not answer.

    def _is_down(self) -> bool:
        return self._clock() < self._down_until

    def _alone(
        self, key: str, rules: Rules, error: Exception, told: Sequence[_scripts.Told]
    ) -> Admission:
        self._went_down(error, told)
        return self._local.admit_alone(key, rules)

    def _went_down(self, error: Exception, told: Sequence[_scripts.Told]) -> None:
        if not self._is_down():
            _log.warning(
                "health: Redis did not answer (%s: %s); each process goes on by itself for %g s",
                type(error).__name__, str(error), self._pause,
            )  # fmt: skip
        self._down_until = self._clock() + self._pause
        self._known.clear()
        for each in told:
            self._local.adopt(*each)

    def _blocking(self, what: str, use: str) -> Any:
        if self._client is None:
            raise TypeError(
                f"RedisStore was given a redis.asyncio.Redis, which {what} cannot use: pass a "
                f"redis.Redis, or use {use}"
            )
        return self._client

    # For people.

    @property
    def _pattern(self) -> str:
        return re.sub(r"([][*?^\\])", r"\\\1", self._prefix) + "*"

    def _healths(self, keys: Sequence[Any], found: Sequence[Any]) -> dict[str, SourceHealth]:
        (seconds, microseconds), *hashes = found
        now = seconds * 1000 + microseconds // 1000
        names = [_scripts.text(key).removeprefix(self._prefix) for key in keys]
        return {
            name: _scripts.health(values, now)
            for name, values in zip(names, hashes, strict=True)
            if values
        }


def _seconds(option: str, value: Any, *, least: float = 0) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{option} must be seconds or a timedelta, got {value!r}")
    if not least <= seconds < inf:
        raise ValueError(f"{option} must be finite and at least {least:g} s, got {value!r}")
    return float(seconds)
