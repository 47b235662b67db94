"""What happened in a run: a log of entries, and what can be read from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from string import ascii_lowercase
from typing import Any, Final, Literal, TypeAlias

from failover_iter.testing._plans import Plan
from failover_iter.testing._svg import Drawing, Mark, svg

What: TypeAlias = Literal[
    # the consumer
    "call", "ask", "got", "end", "raised", "held", "leave", "left", "nested",
    # a source
    "open", "live", "pull", "yield", "stop", "fail", "close", "sent", "thrown", "interrupt",
    "elsewhere",
    # neither: an error that Python could only report
    "stray",
]  # fmt: skip

#: The entries that are drawn as marbles.
_DRAWN: Final = frozenset[What](
    [
        "open", "close", "stop", "fail", "interrupt", "sent", "thrown", "ask", "leave", "end",
        "raised", "yield", "got",
    ]
)  # fmt: skip
#: A source and its opening; the source is None for what is not of a source.
Of: TypeAlias = tuple[int | None, int]


class Runaway(BaseException):
    """The run did not end by itself, so the kit stopped it."""


class Interruption(KeyboardInterrupt):
    """The cancellation of a sync consumer: like Ctrl-C."""


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


def unclosed(log: list[LogEntry] | tuple[LogEntry, ...]) -> list[LogEntry]:
    """Return the "live" entries of the sources, or their parts, that were never closed."""
    closed = {(entry.of, entry.phase) for entry in log if entry.what == "close"}
    return [
        entry for entry in log if entry.what == "live" and (entry.of, entry.phase) not in closed
    ]


@dataclass(frozen=True)
class RunResult:
    """The result of running a plan on a pipeline.

    Attributes:
        plan: the plan.
        log: everything that happened, in order.
        flavour: "sync", "asyncio" or "trio".
        item: the function that turns a letter of the plan into an item.
    """

    plan: Plan
    log: tuple[LogEntry, ...]
    flavour: str
    item: Callable[[str], Any]

    def entries(self, *what: What) -> list[LogEntry]:
        """Return the log entries of these kinds, in order."""
        return [entry for entry in self.log if entry.what in what]

    @cached_property
    def delivered(self) -> list[Any]:
        """The items that the consumer received."""
        return [entry.value for entry in self.entries("got")]

    @cached_property
    def expected(self) -> list[Any]:
        """The items of the complete stream."""
        return [self.item(letter) for letter in self.plan.items]

    @cached_property
    def ending(self) -> LogEntry | None:
        """The "end" or "raised" entry of the consumer; None if the consumer left."""
        ends = self.entries("end", "raised")
        return ends[-1] if ends else None

    @property
    def ended(self) -> bool:
        """Whether the stream ended normally."""
        return self.ending is not None and self.ending.what == "end"

    @property
    def error(self) -> BaseException | None:
        """The error that was raised to the consumer."""
        return (
            self.ending.value if self.ending is not None and self.ending.what == "raised" else None
        )

    @property
    def left(self) -> LogEntry | None:
        """The entry at which the consumer left or was interrupted."""
        return next(iter(self.entries("leave", "interrupt")), None)

    @property
    def drained(self) -> bool:
        """Whether the consumer only asked for items, until the end, or had its throw answered."""
        return self.plan.consumer.how in ("drain", "slow") or self.answered

    @cached_property
    def answered(self) -> bool:
        """Whether a source answered what the consumer threw: with an item, or by ending well."""
        thrown = next((each for each in self.entries("thrown") if each.source is not None), None)
        if thrown is None:
            return False
        answers = [each.what for each in self.since(thrown) if each.of == thrown.of]
        said = [what for what in answers if what in ("yield", "stop", "fail")]
        return said[:1] == ["yield"] or said == ["stop"]

    @property
    def seconds(self) -> float:
        """How long the consumer waited in total, without its own pauses."""
        steps = self.entries("call", "ask", "leave", "got", "end", "raised", "left")
        return sum(
            later.time - entry.time for entry, later in pairwise(steps) if entry.what != "got"
        )

    @property
    def switches(self) -> int:
        """How many times a source was opened after the first opening."""
        return max(len(self.entries("open")) - 1, 0)

    @property
    def switched_mid_stream(self) -> bool:
        """Whether a source was opened after an item was delivered."""
        got = False
        for entry in self.log:
            got = got or entry.what == "got"
            if got and entry.what == "open":
                return True
        return False

    def since(self, entry: LogEntry) -> Iterator[LogEntry]:
        """Iterate over the entries after this one."""
        return iter(self.log[self._index(entry) + 1 :])

    def _index(self, wanted: LogEntry) -> int:
        return next(index for index, entry in enumerate(self.log) if entry is wanted)

    def letter(self, value: Any) -> str | None:
        """Return the letter of an item; None if the item is not in the plan."""
        for letter, item in self._letters:
            if item is value or item == value:
                return letter
        return None

    @cached_property
    def _letters(self) -> list[tuple[str, Any]]:
        sources = self.plan.sources
        letters = [letter for scripts in sources for script in scripts for letter in script.items]
        return [
            (letter, self.item(letter)) for letter in dict.fromkeys([*self.plan.items, *letters])
        ]

    @cached_property
    def marks(self) -> list[Mark]:
        """The entries that are drawn as marbles."""
        return [
            self._mark(index, entry) for index, entry in enumerate(self.log) if entry.what in _DRAWN
        ]

    def _mark(self, index: int, entry: LogEntry) -> Mark:
        lane = self.source_name(entry.source) or "consumer"
        kind, label = str(entry.what), _label(entry)
        if entry.what in ("got", "end", "raised"):
            lane = "delivered"
        if entry.what in ("yield", "got"):
            is_item = entry.what == "got" or _is_delivered(self.log, index)
            kind, label = "item" if is_item else "dropped", self.letter(entry.value) or "*"
        return Mark(lane, kind, label, entry.time)

    @property
    def drawing(self) -> Drawing:
        """The run as a marble diagram: the sources are "a", "b" and so on, then the consumer."""
        sources = list(ascii_lowercase[: len(self.plan.sources)])
        lanes = {self.source_name(at): name for at, name in enumerate(sources)}
        marks = [
            replace(mark, lane=lanes.get(mark.lane, "delivered"))
            for mark in self.marks
            if (mark.kind, mark.label) not in (("ask", ""), ("leave", "throw"))
        ]
        return Drawing([*sources, "delivered"], marks)

    def _repr_html_(self) -> str:
        """Show the run as marbles, in a notebook."""
        return svg(repr(self.plan), self.drawing)

    def source_name(self, source: int | None) -> str:
        """Return the name of a source in reports."""
        return "" if source is None else f"source {source + 1}"


def _is_delivered(log: tuple[LogEntry, ...], index: int) -> bool:
    """Whether the consumer got the item of this "yield", before a source yielded it again."""
    yielded = log[index]
    for entry in log[index + 1 :]:
        if entry.what in ("got", "yield") and entry.value == yielded.value:
            return entry.what == "got"
        if entry.what == "fail" and entry.of == yielded.of:
            return False
    return False


def _label(entry: LogEntry) -> str:
    value = entry.value
    if entry.what in ("fail", "raised"):
        return type(value).__name__
    if entry.what == "leave" or (entry.what == "end" and value is not None):
        return str(value)
    return "throws" if entry.what == "thrown" and entry.source is None else ""
