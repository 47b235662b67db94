"""What happened in a run: a log of entries, and what can be read from it."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from failover_iter.testing._plans import Plan

What: TypeAlias = Literal[
    # the consumer
    "call", "ask", "got", "end", "raised", "leave", "left", "nested",
    # a source
    "open", "live", "pull", "yield", "stop", "fail", "close", "sent", "thrown", "interrupt",
    # nobody: an error that Python could hand to no one
    "stray",
]  # fmt: skip

#: So often may sources be opened, and items be delivered, before a run is broken off.
MOST_OPENINGS, MOST_ITEMS = 200, 1000


class Runaway(BaseException):
    """Ends a run that would not end by itself."""


class Interruption(KeyboardInterrupt):
    """What a consumer that is cancelled looks like to a blocking source: Ctrl-C."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One thing that happened.

    Attributes:
        time: virtual seconds since the run began.
        what: by the consumer: "call" of the pipeline, "ask" for an item, "got" one, the "end" of
            the stream, an error "raised", "leave" and "left", a "nested" pull within another; at
            a source: "open", "live" (from now on it has to be closed), "pull", "yield", "stop",
            "fail", "close", "sent" and "thrown" into it, "interrupt"; a "stray" error.
        source: which one, from 0.
        opening: its so manieth opening, from 0.
        value: the item, the error, how it was left.
        phase: where it failed: "call", "await", "iter", "pull", "throw", "close".
    """

    time: float
    what: What
    source: int | None = None
    opening: int = 0
    value: Any = None
    phase: str = ""

    @property
    def of(self) -> tuple[int | None, int]:
        """Which opening of which source."""
        return self.source, self.opening


class Recorder:
    """Writes down one run, and holds on to what was opened so that no collector closes it."""

    def __init__(self, plan: Plan, item: Callable[[str], Any]) -> None:
        """Begin with an empty log."""
        self.plan = plan
        self.item = item
        self.log: list[LogEntry] = []
        self.kept: list[Any] = []
        self.last: dict[int, Any] = {}
        self.counts: Counter[int] = Counter()
        self.sealed = False
        self.time: Callable[[], float] = float
        self.began = 0.0
        #: Whether this thread is that of a source that was given up.
        self.is_late: Callable[[], bool] = bool
        #: What the consumer does to the next "pull" or "close" of a source.
        self.intrusion: str | None = None

    def begin(self, time: Callable[[], float]) -> None:
        """Start the clock."""
        self.time = time
        self.began = time()

    def note(self, what: What, *, of: tuple[int | None, int] = (None, 0), **more: Any) -> None:
        """Write an entry down, unless the run is over."""
        if not self.sealed and (what == "close" or not self.is_late()):
            passed = round(self.time() - self.began, 9)
            self.log.append(LogEntry(passed, what, *of, **more))

    def open(self, source: int) -> int:
        """Write an opening down; its number."""
        number = self.counts[source]
        self.counts[source] += 1
        self.note("open", of=(source, number), value=_depth())
        if self.counts.total() > MOST_OPENINGS:
            raise Runaway(f"sources were opened more than {MOST_OPENINGS} times")
        return number

    @property
    def anything_open(self) -> bool:
        """Whether something that was opened is not closed."""
        return bool(unclosed(self.log))


def _depth() -> int:
    frame = inspect.currentframe()
    depth = 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


def unclosed(log: list[LogEntry] | tuple[LogEntry, ...]) -> list[LogEntry]:
    """The openings that are live and were not closed, in the order in which they became so."""
    closed = {entry.of for entry in log if entry.what == "close"}
    return [entry for entry in log if entry.what == "live" and entry.of not in closed]


@dataclass(frozen=True)
class RunResult:
    """What happened when a pipeline ran a plan.

    Attributes:
        plan: what the sources and the consumer did.
        log: all that happened, as `LogEntry` objects in order.
        flavour: "sync", "asyncio" or "trio".
        item: what a letter of the plan stands for.
    """

    plan: Plan
    log: tuple[LogEntry, ...]
    flavour: str
    item: Callable[[str], Any]

    def entries(self, *what: What) -> list[LogEntry]:
        """Those of these kinds, in order."""
        return [entry for entry in self.log if entry.what in what]

    @cached_property
    def delivered(self) -> list[Any]:
        """What the consumer got."""
        return [entry.value for entry in self.entries("got")]

    @cached_property
    def expected(self) -> list[Any]:
        """What the whole stream would be."""
        return [self.item(letter) for letter in self.plan.items]

    @cached_property
    def ending(self) -> LogEntry | None:
        """How the stream ended for the consumer: an "end", an error "raised"; None: it was left."""
        ends = self.entries("end", "raised")
        return ends[-1] if ends else None

    @property
    def ended(self) -> bool:
        """Whether the stream came to a normal end."""
        return self.ending is not None and self.ending.what == "end"

    @property
    def error(self) -> BaseException | None:
        """The error that reached the consumer."""
        return (
            self.ending.value if self.ending is not None and self.ending.what == "raised" else None
        )

    @property
    def left(self) -> LogEntry | None:
        """Where the consumer left, or was interrupted."""
        return next(iter(self.entries("leave", "interrupt")), None)

    @property
    def drained(self) -> bool:
        """Whether the consumer went to the end, and did nothing but to ask."""
        return self.plan.consumer.how in ("drain", "slow")

    @property
    def seconds(self) -> float:
        """How long the consumer waited in all, its own pauses aside."""
        steps = self.entries("call", "ask", "leave", "got", "end", "raised", "left")
        return sum(
            later.time - entry.time for entry, later in pairwise(steps) if entry.what != "got"
        )

    @property
    def switches(self) -> int:
        """How often something was opened after something else."""
        return max(len(self.entries("open")) - 1, 0)

    @property
    def switched_mid_stream(self) -> bool:
        """Whether something was opened once items had been delivered."""
        got = False
        for entry in self.log:
            got = got or entry.what == "got"
            if got and entry.what == "open":
                return True
        return False

    def since(self, entry: LogEntry) -> Iterator[LogEntry]:
        """What happened after that entry."""
        return iter(self.log[self._index(entry) + 1 :])

    def _index(self, wanted: LogEntry) -> int:
        return next(index for index, entry in enumerate(self.log) if entry is wanted)

    def letter(self, value: Any) -> str | None:
        """The letter that an item was made from; None for what is none of the plan's."""
        for letter, item in self._letters:
            if item is value or item == value:
                return letter
        return None

    @cached_property
    def _letters(self) -> list[tuple[str, Any]]:
        sources = self.plan.sources
        given = [letter for scripts in sources for one in scripts for letter in one.items]
        return [(letter, self.item(letter)) for letter in dict.fromkeys([*self.plan.items, *given])]

    def source_name(self, source: int | None) -> str:
        """What a source is called in reports."""
        return "" if source is None else f"source {source + 1}"
