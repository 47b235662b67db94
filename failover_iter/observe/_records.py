"""How both listeners record an error, a mode and an end: in words, without content."""

from __future__ import annotations

from typing import Final

from failover_iter.events import Committed

#: The limits of the buckets of a histogram of seconds.
SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0)
HEALTH_STATES: Final = ("ok", "out", "probing")


def class_of(error: BaseException) -> str:
    """The full name of the class of an error, all that is recorded of it."""
    cls = type(error)
    module = "" if cls.__module__ == "builtins" else f"{cls.__module__}."
    return f"{module}{cls.__qualname__}"


def outcome_of(error: BaseException | None) -> str:
    """How a stream has ended. "closed": by its consumer, a cancellation or Ctrl-C."""
    if error is None:
        return "completed"
    return "failed" if isinstance(error, Exception) else "closed"


def word_for(mode: str | None) -> str:
    """The mode of a takeover; "start" if nothing was delivered before."""
    return "start" if mode is None else mode


def is_first_item(event: Committed, began: int | None) -> bool:
    """Whether the consumer has waited for an item since its first pull.

    `began`: how many items had been delivered then, by an earlier stream or process.
    """
    return event.parent is None and event.delivered == began


def check_health(health: object) -> None:
    """Accept a `Health`, or None."""
    if health is not None and not hasattr(health, "snapshot"):
        raise TypeError(f"health must be a Health, or None, got {health!r}")
