"""`Trace` on random event sequences that the grammar allows, also nested and incomplete ones."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from failover_iter import Trace
from failover_iter._types import Mode
from failover_iter.events import (
    Closed,
    Committed,
    Completed,
    Event,
    Exhausted,
    Failed,
    Opening,
    Switched,
    Waiting,
)
from failover_iter.trace._attempts import TracedAttempt, read
from failover_iter.trace._text import layout
from support.width import width


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


NAMES = (
    "a",
    "b",
    "再試行",
    "<b>&amp;</b>",
    "\x1b[31m",
    "two\nlines",
    "x" * 300,
    "",
    "\u0301" * 999,
)
ERRORS = (
    OSError("gone"),
    OSError("再試行\t" * 99),
    OSError("\x1b[2J<script>\n\u2028\ud800\u202e"),
    OSError(),
    Unspeakable(),
    ExceptionGroup("group", [OSError("gone")]),
)
MODES: tuple[Mode | None, ...] = (None, "restart", "skip", "resume")


class Script:
    """Generates the events of random streams, and the rows that they should produce."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.events: list[Event] = []
        #: Per attempt: depth, name, number, and the indexes of its opening and its final event.
        self.expected: list[list[Any]] = []

    def stream(self, depth: int, delivered: int, deliver: Callable[[], None]) -> None:
        """Generate a whole stream. It calls `deliver` when an attempt commits."""
        random, names = self.random, list(NAMES)
        name, attempt, now = random.choice(names), 1, 0.0
        while True:
            where = (name, attempt)
            self.expected.append([depth, *where, len(self.events), None])
            row = self.expected[-1]
            self.events.append(Opening(*where, delivered, now))
            delivered, now, error = self._attempt(where, depth, delivered, now, deliver)
            row[4] = len(self.events) - 1
            if error is None or random.random() < 0.1:
                return
            if random.random() < 0.3:
                self.events.append(Exhausted(*where, delivered, now, error, attempt))
                return
            pause, mode = random.choice((0.0, 0.5)), random.choice(MODES)
            if random.random() < 0.5:
                self.events.append(Waiting(*where, delivered, now, error, pause, mode))
                attempt += 1
            else:
                to = random.choice(names)
                self.events.append(Switched(*where, delivered, now, to, error, pause, mode))
                name, attempt = to, 1
            now += pause

    def _attempt(
        self,
        where: tuple[str, int],
        depth: int,
        delivered: int,
        now: float,
        deliver: Callable[[], None],
    ) -> tuple[int, float, Exception | None]:
        random, committed = self.random, False

        def commit() -> None:
            nonlocal committed, now
            if not committed and random.random() < 0.8:
                committed = True
                now += random.choice((0.001, 1.0))
                self.events.append(Committed(*where, delivered, now))
                deliver()

        for _ in range(random.choice((0, 0, 1, 2)) if depth < 3 else 0):
            self.stream(depth + 1, delivered, commit)
        commit()
        delivered += random.randint(1, 9) if committed else 0
        now += random.choice((0.001, 0.5, 1e5))
        at = (*where, delivered, now)
        if random.random() < 0.6:
            error, closing = random.choice(ERRORS), random.choice((None, *ERRORS))
            self.events.append(Failed(*at, error, 1, 1, closing))
            return delivered, now, error
        closed = Closed(*at, random.choice((None, GeneratorExit(), *ERRORS)))
        self.events.append(random.choice((Completed(*at), closed)))
        return delivered, now, None


@st.composite
def scripts(draw: st.DrawFn) -> tuple[Script, int]:
    """A script of a few streams, and the number of its events emitted so far."""
    script = Script(draw(st.randoms(use_true_random=False)))
    for _ in range(draw(st.integers(0, 3))):
        script.stream(0, 0, lambda: None)
    return script, draw(st.integers(0, len(script.events)))


@given(scripts())
def test_rows_of_any_events(made: tuple[Script, int]) -> None:
    """At any moment of any stream, each attempt has its depth and its own events."""
    script, emitted = made
    trace = Trace()
    for event in script.events[:emitted]:
        trace(event)
    expected = []
    for depth, name, attempt, opened, ended in script.expected:
        if opened < emitted:
            end = script.events[ended] if ended < emitted else None
            outcome = "running" if end is None else type(end).__name__.lower()
            expected.append((depth, name, attempt, outcome))
    found = [(row.depth, row.source, row.attempt, row.outcome) for row in trace.attempts]
    assert found == expected


@given(scripts())
def test_tables_of_any_events(made: tuple[Script, int]) -> None:
    """Each attempt has one line of at most 100 columns, and one row of HTML."""
    script, emitted = made
    trace = Trace()
    trace.events.extend(script.events[:emitted])
    rows = len(trace.attempts)
    if not rows:
        return
    text = str(trace)
    lines = text.splitlines()
    assert text.split("\n") == lines
    assert max(map(width, lines)) <= 100
    assert all(len(line) < 1000 and line.isprintable() for line in lines)
    shown = layout(read(trace.events))
    assert len(lines) == len(shown) + 2 + lines[-2].startswith("takeover: ")
    if len(trace.events) <= 40:
        assert sum(isinstance(line, TracedAttempt) for line in shown) == rows
    html = trace._repr_html_()
    html.encode()
    assert "<script" not in html
    assert "\x1b" not in html
    if len(trace.events) <= 40:
        assert html.count('<div style="position:relative') == rows
