"""The logger `failover_iter`: a warning for each failure survived, an error when exhausted."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from failover_iter.errors import describe
from failover_iter.events import Exhausted, Switched, Waiting

if TYPE_CHECKING:
    import logging

_WARNING, _ERROR = 30, 40  # those of logging
_HINT = "; items are delivered again; set mid_stream"


def _number(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


@cache
def _logger() -> logging.Logger:
    import logging  # only when something failed: most streams need it never

    return logging.getLogger("failover_iter")


def log(event: Waiting | Switched | Exhausted, repeats_unasked: bool) -> None:  # noqa: FBT001 (internal)
    """Log what an operator should know of this event."""
    logger = _logger()
    level = _ERROR if type(event) is Exhausted else _WARNING
    if logger.isEnabledFor(level):
        failed = f"{event.source} (attempt {event.attempt}) failed: {describe(event.error)}"
        hint = _HINT if repeats_unasked else ""
        logger.log(level, "%s; %s%s", failed, _what_follows(event), hint)


def log_abandoned(source: str, error: BaseException, when: str) -> None:
    """Log an error that a source raised in its thread when the consumer had gone on."""
    _logger().warning("%s raised %s %s", source, describe(error), when, exc_info=error)


def _what_follows(event: Waiting | Switched | Exhausted) -> str:
    if isinstance(event, Waiting):
        pause = _number(event.seconds)
        return f"opening it again in {pause} s" if pause != "0" else "opening it again at once"
    if isinstance(event, Switched):
        return f"switching to {event.to}"
    return f"no source is left after {event.failures} failures"
