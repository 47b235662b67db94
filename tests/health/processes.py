"""Processes that share a health in Redis."""

from __future__ import annotations

import logging
from typing import Any

from failover_iter import Health
from support.needs import needs

needs("redis")

from failover_iter.redis import RedisStore  # noqa: E402 (it needs redis-py)


class Process:
    """A process that shares a server: its store, its health, its clock."""

    def __init__(self, client: Any, **options: Any) -> None:
        self.now = 50.0
        options = {"fresh": 0, "store_timeout": 0.5, **options}
        rules = {"failures": options.pop("failures", 1)}
        self.store = RedisStore(client, clock=lambda: self.now, **options)
        self.health = Health(store=self.store, cooldown=10, **rules)

    def fail(self, key: str = "a") -> None:
        self.health.report(self.health.admit(key), "failed", ConnectionError("refused"))


def warnings(caplog: Any) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
