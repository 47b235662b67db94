"""The log of a run: an entry for everything that the consumer and the sources do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

What: TypeAlias = Literal[
    # the consumer
    "call", "ask", "got", "end", "raised", "held", "leave", "left", "nested",
    # a source
    "open", "live", "pull", "yield", "stop", "fail", "close", "sent", "thrown", "interrupt",
    "elsewhere",
    # neither: an error that Python could only report
    "stray",
]  # fmt: skip
#: A source and its opening; the source is None for what is not of a source.
Of: TypeAlias = tuple[int | None, int]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry in the log of a run.

    Attributes:
        time: virtual seconds since the start of the run.
        what: the kind of entry. Of the consumer: "call" (of the pipeline), "ask", "got" (an
            item), "end", "raised", "held" (the error, by a function that it has passed), "leave",
            "left", "thrown" (by the consumer), "nested" (a pull during another pull). Of a source:
            "open", "live" (it must be closed from now on), "pull", "yield", "stop", "fail",
            "close", "sent" (a value arrived), "thrown" (an error arrived), "interrupt",
            "elsewhere" (it is opened or pulled in another task or context than that of the
            consumer). Of neither: "stray" (an error that Python only reported).
        source: the number of the source, from 0; None if the entry is not of a source.
        opening: the number of the opening of that source, from 0.
        value: the item, the error, the returned value, or how the consumer left; for "open", the
            stack depth.
        phase: where a source failed: "call", "await", "iter", "pull", "throw" or "close"; for
            "live" and "close", the part ("iterator" or "iterable") if both can be closed.
    """

    time: float
    what: What
    source: int | None = None
    opening: int = 0
    value: Any = None
    phase: str = ""

    @property
    def of(self) -> Of:
        """The source and its opening."""
        return self.source, self.opening


def source_name(source: int | None) -> str:
    """Return the name of a source in reports; that of the consumer is for None."""
    return "consumer" if source is None else f"source {source + 1}"


def shown(value: object, how: Callable[[object], str] = repr) -> str:
    """Return the repr of a value; or only its class, because nothing may hide a report."""
    try:
        return how(value)
    except Exception:  # noqa: BLE001 (whatever the value of a user raises)
        return f"<{type(value).__name__} whose {how.__name__} raises>"


def unclosed(log: list[LogEntry] | tuple[LogEntry, ...]) -> list[LogEntry]:
    """Return the "live" entries of the sources, or their parts, that were never closed."""
    closed = {(entry.of, entry.phase) for entry in log if entry.what == "close"}
    return [
        entry for entry in log if entry.what == "live" and (entry.of, entry.phase) not in closed
    ]
