"""The logger `failover_iter`: a warning for each failure survived, an error when exhausted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failover_iter._failures import describe
from failover_iter.events import Exhausted, Switched, Waiting

if TYPE_CHECKING:
    from failover_iter.events import Event

_HINT = "; items are delivered again; set mid_stream"


def _number(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def log(event: Event, repeats_unasked: bool) -> None:  # noqa: FBT001 (called by the core alone)
    """Log what an operator should know of this event, if anything."""
    if not isinstance(event, Waiting | Switched | Exhausted):
        return
    import logging  # only when something failed: most streams need it never

    logger = logging.getLogger("failover_iter")
    hint = _HINT if repeats_unasked else ""
    failed = f"{event.source} (attempt {event.attempt}) failed"
    match event:
        case Waiting():
            text = "%s: %s; opening it again in %s s%s"
            logger.warning(text, failed, describe(event.error), _number(event.seconds), hint)
        case Switched():
            text = "%s: %s; switching to %s%s"
            logger.warning(text, failed, describe(event.error), event.to, hint)
        case _:
            text = "%s: %s; no source is left after %d failures"
            logger.error(text, failed, describe(event.error), event.failures)
