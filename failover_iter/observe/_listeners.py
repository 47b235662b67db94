"""`listeners`: several listeners as one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from failover_iter.events import Ended, Event


class Listener(Protocol):
    """A listener that also learns when each stream has ended."""

    def __call__(self, event: Event, /) -> None:
        """Record an event of a stream."""
        ...

    def stream_ended(self, ended: Ended, /) -> None:
        """Record that a stream has ended."""
        ...


class _Listeners:
    def __init__(self, each: tuple[Any, ...]) -> None:
        self._each = each

    def __call__(self, event: Event) -> None:
        _call_all(partial(listener, event) for listener in self._each)

    def stream_ended(self, ended: Ended) -> None:
        _call_all(
            partial(listener.stream_ended, ended)
            for listener in self._each
            if hasattr(listener, "stream_ended")
        )

    def chat_event(self, event: Event, attempt: Any) -> None:
        _call_all(
            partial(listener.chat_event, event, attempt)
            if hasattr(listener, "chat_event")
            else partial(listener, event)
            for listener in self._each
        )


def _call_all(calls: Any) -> None:
    """Call all, then raise the first error: the other listeners have missed nothing."""
    errors: list[Exception] = []
    for call in calls:
        try:
            call()
        except Exception as raised:  # noqa: BLE001 (raised below)
            errors.append(raised)
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # or the traceback holds this frame, and this frame the error


def listeners(*each: Callable[[Event], object]) -> Listener:
    """Return one listener that passes each event to several, in this order.

    Each of them may have a method `stream_ended`, which a plain function around two listeners would
    not pass on. If one raises an error, the others receive the event all the same, and the stream
    raises the first error.

    Args:
        each: functions that are called with each event, or listeners.

    Raises:
        TypeError: one of them cannot be called.

    Example:
        >>> from failover_iter import Trace, failover_stream
        >>> from failover_iter.observe import listeners
        >>> trace, names = Trace(), []
        >>> both = listeners(trace, lambda event: names.append(type(event).__name__))
        >>> list(failover_stream([lambda: "ab".split()], retry_on=OSError, on_event=both))
        ['ab']
        >>> names
        ['Opening', 'Committed', 'Completed']
    """
    for listener in each:
        wrong: object = listener
        if not callable(wrong) or isinstance(wrong, type):
            raise TypeError(f"listeners must be functions that take an event, got {listener!r}")
    return _Listeners(each)
