"""Rows of a trace, as the tables get them."""

from __future__ import annotations

from typing import Any

from failover_iter.trace import TracedAttempt


def row(**known: Any) -> TracedAttempt:
    """A failed attempt, with these changes."""
    values: dict[str, Any] = {
        "source": "a",
        "attempt": 1,
        "stream": 1,
        "depth": 0,
        "takeover": None,
        "waited": 0.0,
        "start": 0.0,
        "first": None,
        "end": 1.0,
        "delivered": 0,
        "outcome": "failed",
        "error": OSError("gone"),
        "close_error": None,
    }
    return TracedAttempt(**(values | known))
