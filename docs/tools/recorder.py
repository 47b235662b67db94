"""Records what happens in a run, as reported by its sources and its consumer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["open", "item", "drop", "throw", "error", "end", "close"]

#: The name of the consumer's lane starts with this word.
CONSUMER = "delivered"


@dataclass(frozen=True)
class Mark:
    """Something that happened in one lane. Moments are counted, not timed."""

    at: int
    lane: str
    kind: Kind
    label: str = ""


@dataclass
class Recorder:
    """The marks of a run, in order. An item and its delivery happen at the same moment."""

    lanes: list[str]
    marks: list[Mark] = field(default_factory=list)

    def add(self, lane: str, kind: Kind, label: str = "") -> None:
        """Record a mark at the current moment."""
        self.marks.append(Mark(self._moment(lane, kind, label), lane, kind, label))

    def _moment(self, lane: str, kind: Kind, label: str) -> int:
        if not self.marks:
            return 0
        last = self.marks[-1]
        same = (last.kind, last.label) == (kind, label) and not last.lane.startswith(CONSUMER)
        return last.at if same and lane.startswith(CONSUMER) else last.at + 1
