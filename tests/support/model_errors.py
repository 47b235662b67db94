"""Which errors the reference model expects of a fault, and whether options list them."""

from __future__ import annotations

from typing import Any

from failover_iter import errors
from failover_iter.testing._plans import SourceScript

from .case import make_error
from .runners import kind_of

GIVEN_ERRORS = {
    "truncated": "TruncatedStream",
    "empty": "EmptyStream",
    "diverged": "DivergedStream",
    "source timeout": "SourceTimeout",
}

#: The errors of closing, by their names in marbles.
CLOSINGS = {"raises": "", "bug": "bug"}


def closing_error(opening: SourceScript) -> str | None:
    """The kind of the error that closing raises, if any."""
    return None if opening.closing == "quietly" else kind_of(make_error(CLOSINGS[opening.closing]))


def is_listed(fault: str, classes: Any) -> bool:
    """Whether the error of this fault, or each leaf of it, is of these classes."""

    def listed(error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup) and not isinstance(error, classes):
            return all(map(listed, error.exceptions))
        return isinstance(error, classes)

    if fault in GIVEN_ERRORS:
        return listed(getattr(errors, GIVEN_ERRORS[fault])())
    return listed(make_error(fault))
