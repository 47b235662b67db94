"""Laws B8 and B9 kill stores that break them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from support.laws import each_mutant
from support.needs import needs

needs("redis")

from failover_iter.redis import RedisStore  # noqa: E402 (it needs redis-py)

from . import test_redis  # noqa: E402
from .fake_redis import FakeRedis  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

_report, _keep, _went_down = RedisStore.report, RedisStore._keep, RedisStore._went_down


def b8(fake: FakeRedis, caplog: Any) -> None:
    test_redis.test_b8_each_for_itself(fake, "sick", caplog)


def b9(fake: FakeRedis, _: Any) -> None:
    test_redis.test_b9_no_cache_over_bad_news(fake)


def lets_a_stream_fail(self: RedisStore, key: str, rules: Any, error: Exception, told: Any) -> Any:
    """A store that is down is an error of the stream."""
    raise error


def asks_on(self: RedisStore) -> bool:
    """Each stream waits for a server that is down."""
    return False


def forgets_what_was_not_sent(self: RedisStore, error: Exception, told: Any) -> None:
    """The reports that Redis has not taken are lost."""
    _went_down(self, error, ())


def caches_over_bad_news(self: RedisStore, *told: Any) -> None:
    """The answer from before the failure still holds."""
    known = dict(self._known)
    _report(self, *told)
    self._known.update(known)


def is_fresh_for_ever(self: RedisStore, key: str, known: Any) -> None:
    """A healthy answer never expires."""
    _keep(self, key, known._replace(until=inf) if known.answer.is_clean else known)


@each_mutant(
    [
        (b8, RedisStore, "_alone", lets_a_stream_fail),
        (b8, RedisStore, "_is_down", asks_on),
        (b8, RedisStore, "_went_down", forgets_what_was_not_sent),
        (b9, RedisStore, "report", caches_over_bad_news),
        (b9, RedisStore, "_keep", is_fresh_for_ever),
    ]
)
def test_the_law_kills_the_mutant(
    law: Callable[[FakeRedis, Any], None], mutated: None, fake: FakeRedis, caplog: Any
) -> None:
    """A store with this bug breaks the law that it is about."""
    with pytest.raises(Exception):  # noqa: B017 (whatever comes of it)
        law(fake, caplog)
