"""Exactly-once failover as a careful author writes it by hand, without the library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

FAILURES = (ConnectionError, TimeoutError)


def is_failure(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_failure, error.exceptions))
    return isinstance(error, FAILURES)


def by_hand(*factories: Any) -> Iterator[Any]:
    delivered, error = 0, None
    for factory in factories:
        opened: list[Any] = []
        place, failed, iterator = 0, None, None
        try:
            while failed is None:
                try:
                    if iterator is None:
                        opened.append(factory())
                        iterator = iter(opened[0])
                        if iterator is not opened[0]:
                            opened.insert(0, iterator)
                    item = next(iterator)
                except StopIteration:
                    break
                except Exception as raised:
                    if not is_failure(raised):
                        raise
                    failed = raised
                    break
                place += 1
                if place > delivered:
                    delivered += 1
                    yield item
        except BaseException as passing:
            close_error = close(opened)
            if close_error is not None and isinstance(passing, GeneratorExit):
                raise close_error from None
            raise
        close_error = close(opened)
        if failed is None and place >= delivered:
            if close_error is not None:
                raise close_error
            return
        if failed is None:
            failed = ConnectionError("the replica is shorter than what was delivered")
        error = failed
    if error is not None:
        raise error


def close(opened: list[Any]) -> Exception | None:
    """Close all of these; return the first `Exception`, and raise any other error."""
    first: BaseException | None = None
    for each in opened:
        try:
            getattr(each, "close", bool)()
        except BaseException as error:
            if first is None or isinstance(first, Exception):
                first = error
    if first is None or isinstance(first, Exception):
        return first
    raise first


async def aby_hand(*factories: Any) -> AsyncIterator[Any]:
    delivered, error = 0, None
    for factory in factories:
        opened: list[Any] = []
        place, failed, iterator = 0, None, None
        try:
            while failed is None:
                try:
                    if iterator is None:
                        made = factory()
                        opened.append(await made if hasattr(made, "__await__") else made)
                        iterator = aiter(opened[0])
                        if iterator is not opened[0]:
                            opened.insert(0, iterator)
                    item = await anext(iterator)
                except StopAsyncIteration:
                    break
                except Exception as raised:
                    if not is_failure(raised):
                        raise
                    failed = raised
                    break
                place += 1
                if place > delivered:
                    delivered += 1
                    yield item
        except BaseException as passing:
            close_error = await aclose(opened)
            if close_error is not None and isinstance(passing, GeneratorExit):
                raise close_error from None
            raise
        close_error = await aclose(opened)
        if failed is None and place >= delivered:
            if close_error is not None:
                raise close_error
            return
        if failed is None:
            failed = ConnectionError("the replica is shorter than what was delivered")
        error = failed
    if error is not None:
        raise error


async def aclose(opened: list[Any]) -> Exception | None:
    """Close all of these; return the first `Exception`, and raise any other error."""
    first: BaseException | None = None
    for each in opened:
        method = getattr(each, "aclose", None) or getattr(each, "close", None)
        try:
            if method is not None:
                await method()
        except BaseException as error:
            if first is None or isinstance(first, Exception):
                first = error
    if first is None or isinstance(first, Exception):
        return first
    raise first
