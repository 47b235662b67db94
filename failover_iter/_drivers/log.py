"""The logger `failover_iter`: what a stream says to an operator.

A warning for each failure that the stream survives, and an error when no source is left. INFO for a
source that is reopened because it ended. DEBUG for an error that passes to the consumer because
neither `switch_on` nor `retry_on` lists it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from failover_iter.errors import describe

if TYPE_CHECKING:
    import logging

    from failover_iter._core.groups import Level

_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40  # those of logging


@cache
def _logger() -> logging.Logger:
    import logging  # only when something failed: most streams never need it

    return logging.getLogger("failover_iter")


def survived(level: Level, error: Exception, what_follows: str, *, hint: bool) -> None:
    """Log a failure after which the stream goes on; `hint`: it repeats items unasked."""
    if _logger().isEnabledFor(_WARNING):
        advice = "; items are delivered again; set mid_stream" if hint else ""
        _logger().warning("%s; %s%s", _failed(level, error), what_follows, advice)


def reopened(level: Level, what_follows: str) -> None:
    """Log that a source ended after it brought the stream further, and is opened again."""
    if _logger().isEnabledFor(_INFO):
        _logger().info("%s ended; %s", _attempt(level), what_follows)


def passes(level: Level, error: Exception) -> None:
    """Log why an error is raised to the consumer, or to the outer level."""
    if _logger().isEnabledFor(_DEBUG):
        listed = "retry_on" if level.source.options.switch_on is None else "switch_on or retry_on"
        _logger().debug("%s; %s is not in %s", _failed(level, error), type(error).__name__, listed)


def glues(source: str) -> None:
    """Log that a source starts over beside one with a cursor."""
    _logger().warning(
        "%s has no mid_stream, but another source has a cursor: it starts over, so its items do "
        "not continue those that were delivered; set Source(mid_stream=...)",
        source,
    )


def exhausted(level: Level, error: Exception) -> None:
    """Log that no source is left."""
    if _logger().isEnabledFor(_ERROR):
        count = level.failures.count
        failures = "1 failure" if count == 1 else f"{count} failures"
        _logger().error("%s; no source is left after %s", _failed(level, error), failures)


def _failed(level: Level, error: Exception) -> str:
    return f"{_attempt(level)} failed: {describe(error)}"


def _attempt(level: Level) -> str:
    return f"{level.source.name} (attempt {level.attempt}{level.within})"


def log_abandoned(source: str, error: BaseException, when: str) -> None:
    """Log an error that a source raised in its thread when the consumer had gone on."""
    _logger().warning("%s raised %s %s", source, describe(error), when, exc_info=error)
