"""`RunResult`: what can be read from the log of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from failover_iter.testing._log import LogEntry, What
from failover_iter.testing._marbles import Drawing, drawing_of, svg
from failover_iter.testing._plans import Plan


class Runaway(BaseException):
    """The run did not end by itself, so the kit stopped it."""


class Interruption(KeyboardInterrupt):
    """The cancellation of a sync consumer: like Ctrl-C."""


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
        return self.ending.value if self.ending is not None and not self.ended else None

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
        first = next(iter(self.entries("got")), None)
        return first is not None and any(each.what == "open" for each in self.since(first))

    def since(self, entry: LogEntry) -> Iterator[LogEntry]:
        """Iterate over the entries after this one."""
        log = iter(self.log)
        any(each is entry for each in log)
        return log

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

    @property
    def drawing(self) -> Drawing:
        """The run as a marble diagram."""
        return drawing_of(self.log, len(self.plan.sources), self.letter)

    def _repr_html_(self) -> str:
        """Show the run as marbles, in a notebook."""
        return svg(repr(self.plan), self.drawing)
