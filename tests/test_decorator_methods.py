"""`@failover` in a class: methods of every kind, in both orders of stacking."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from failover_iter import failover
from support.flavour import drain

LOST = ConnectionError("lost")


class Replica:
    def __init__(self, name: str = "object") -> None:
        self.name = name

    def backup(self, table: str) -> Iterator[str]:
        yield f"{self.name} {table}"

    @failover(backup, retry_on=OSError)
    def method(self, table: str) -> Iterator[str]:
        raise LOST
        yield

    async def async_backup(self, table: str) -> AsyncIterator[str]:
        yield f"{self.name} {table}"

    @failover(async_backup, retry_on=OSError)
    async def async_method(self, table: str) -> AsyncIterable[str]:
        raise LOST

    @classmethod
    def class_backup(cls, table: str) -> Iterator[str]:
        yield f"{cls.__name__} {table}"

    @staticmethod
    def static_backup(table: str) -> Iterator[str]:
        yield f"static {table}"

    @classmethod
    @failover(class_backup, retry_on=OSError)
    def class_outside(cls, table: str) -> Iterator[str]:
        raise LOST
        yield

    @failover(class_backup, retry_on=OSError)
    @classmethod
    def class_inside(cls, table: str) -> Iterator[str]:
        raise LOST
        yield

    @staticmethod
    @failover(static_backup, retry_on=OSError)
    def static_outside(table: str) -> Iterator[str]:
        raise LOST
        yield

    @failover(static_backup, retry_on=OSError)
    @staticmethod
    def static_inside(table: str) -> Iterator[str]:
        raise LOST
        yield


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (Replica("a").method, "a row"),
        (partial(Replica.method, Replica("b")), "b row"),
        (Replica("a").async_method, "a row"),
        (Replica.class_outside, "Replica row"),
        (Replica().class_outside, "Replica row"),
        (Replica.class_inside, "Replica row"),
        (Replica().class_inside, "Replica row"),
        (Replica.static_outside, "static row"),
        (Replica().static_outside, "static row"),
        (Replica.static_inside, "static row"),
        (Replica().static_inside, "static row"),
    ],
)
def test_methods_of_any_kind(call: Callable[..., Any], expected: str) -> None:
    """Methods of every kind work in both orders of stacking; fallbacks receive self or cls."""
    assert drain(call("row")) == [expected]
    assert drain(call(table="row")) == [expected]


def test_bound_methods_are_fallbacks() -> None:
    """A bound method can be a fallback of a plain function."""

    @failover(Replica("spare").backup, retry_on=OSError)
    def read(table: str) -> Iterator[str]:
        raise LOST
        yield table

    assert drain(read("row")) == ["spare row"]
