"""Closing what a factory opened: an iterator, or the iterable that it came from."""

from __future__ import annotations

from types import AsyncGeneratorType, GeneratorType
from typing import Any

from failover_iter._validation import is_awaitable


def has_ended(opened: object) -> bool:
    """Whether this is a generator, sync or async, with nothing left to close."""
    if isinstance(opened, GeneratorType):
        return opened.gi_frame is None
    return isinstance(opened, AsyncGeneratorType) and opened.ag_frame is None


def has_rest(iterable: object, iterator: object) -> bool:
    """Whether a source that has ended may have something left to close."""
    return iterable is not iterator or not has_ended(iterator)


def is_running(opened: object) -> bool:
    """Whether this is an async generator that somebody is in the middle of."""
    return isinstance(opened, AsyncGeneratorType) and bool(opened.ag_running)


def close(opened: object) -> None:
    """Close what has a `close`."""
    closing = getattr(opened, "close", None)
    if callable(closing):
        closing()


async def aclose(opened: Any) -> None:
    """Close what has an `aclose` or a `close`, awaited if it gives an awaitable."""
    if is_running(opened):
        return  # the loop is closing it already (shutdown_asyncgens), and waits for it itself
    closing = getattr(opened, "aclose", None) or getattr(opened, "close", None)
    if callable(closing):
        done: Any = closing()
        if is_awaitable(done):
            await done
