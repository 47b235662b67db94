"""Errors for sources that a stream cannot use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_iter._core.usage import mark_usage_error
from failover_iter._validation import shown

if TYPE_CHECKING:
    from failover_iter._types import Flavour


def wrong_flavour(name: str, flavour: Flavour) -> TypeError:
    """The error for a source that belongs to the other kind of stream."""
    is_, use = "async", "afailover_stream (or Policy.astream) for it"
    if flavour == "async":
        is_, use = "sync", "failover_stream (or Policy.stream) for it, or in_thread(factory)"
    return mark_usage_error(TypeError(f"source {name!r} is {is_}: use {use}"))


def async_close(name: str, closed: object) -> TypeError:
    """The error for a `close` that a blocking stream, or a thread, would have to await."""
    return TypeError(
        f"Source(close=...) of {name!r} must be a plain function for a blocking source, whose "
        f"thread cannot await, got {shown(closed)}"
    )


def not_iterable(name: str, kind: str, opened: object) -> TypeError:
    """The error for a factory whose result cannot be iterated; it begins as Python's own."""
    return TypeError(
        f"{type(opened).__name__!r} object is not {'an ' * (kind != 'iterable')}{kind}: "
        f"the factory of source {name!r} must return an {kind}, got {shown(opened)}"
    )


def refuse_text(name: str, opened: object) -> None:
    """Refuse a factory that returned all of a text at once: its items would be characters."""
    if isinstance(opened, str | bytes):
        kind = type(opened).__name__
        items = "characters" if isinstance(opened, str) else "numbers"
        raise mark_usage_error(
            TypeError(
                f"the factory of source {name!r} returned a {kind}, whose items would be single "
                f"{items}: yield it, or return a list of {kind} objects"
            )
        )
