"""Fixtures: a server that speaks as much of Redis as a health needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from health.fake_redis import FakeRedis


@pytest.fixture
def fake() -> Iterator[FakeRedis]:
    from health.fake_redis import fake_redis  # it needs redis-py

    with fake_redis() as fake:
        yield fake
