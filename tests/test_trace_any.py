"""`Trace` on random events that the grammar allows: nested, concurrent and unfinished streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
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


@dataclass
class Row:
    """An attempt that a script generates: its place, and its first and last event."""

    stream: int
    depth: int
    opening: Opening
    ended: Event | None = None


class Script:
    """Generates the events of a random stream and its groups, and the rows they should produce."""

    def __init__(self, random: Random, numbers: Iterator[int]) -> None:
        self.random = random
        self.numbers = numbers
        self.events: list[Event] = []
        self.rows: list[Row] = []
        self.stream(0, None, 0, lambda: None)

    def stream(
        self, depth: int, parent: int | None, delivered: int, deliver: Callable[[], None]
    ) -> None:
        """Generate a whole stream. It calls `deliver` when an attempt commits."""
        random, names, number = self.random, list(NAMES), next(self.numbers)
        ids = {"stream": number, "parent": parent}
        name, attempt, now = random.choice(names), 1, 0.0
        while True:
            where = (name, attempt)
            row = Row(number, depth, Opening(*where, delivered, now, **ids))
            self.rows.append(row)
            self.events.append(row.opening)
            delivered, now, error = self._attempt(where, depth, ids, delivered, now, deliver)
            row.ended = self.events[-1]
            if error is None or random.random() < 0.1:
                return
            at = (*where, delivered, now)
            if random.random() < 0.3:
                self.events.append(Exhausted(*at, error, attempt, **ids))
                return
            pause, mode = random.choice((0.0, 0.5)), random.choice(MODES)
            if random.random() < 0.5:
                self.events.append(Waiting(*at, error, pause, mode, **ids))
                attempt += 1
            else:
                to = random.choice(names)
                self.events.append(Switched(*at, to, error, pause, mode, **ids))
                name, attempt = to, 1
            if random.random() < 0.1:
                return  # interrupted during the pause
            now += pause

    def _attempt(
        self,
        where: tuple[str, int],
        depth: int,
        ids: dict[str, Any],
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
                self.events.append(Committed(*where, delivered, now, **ids))
                deliver()

        for _ in range(random.choice((0, 0, 1, 2)) if depth < 3 else 0):
            self.stream(depth + 1, ids["stream"], delivered, commit)
        commit()
        delivered += random.randint(1, 9) if committed else 0
        now += random.choice((0.001, 0.5, 1e5))
        at = (*where, delivered, now)
        if random.random() < 0.6:
            error, closing = random.choice(ERRORS), random.choice((None, *ERRORS))
            self.events.append(Failed(*at, error, 1, 1, closing, **ids))
            return delivered, now, error
        closed = Closed(*at, random.choice((None, GeneratorExit(), *ERRORS)), **ids)
        self.events.append(random.choice((Completed(*at, **ids), closed)))
        return delivered, now, None


def merged(scripts: list[Script], random: Random) -> list[Event]:
    """The events of streams that run at the same time."""
    left = [iter(script.events) for script in scripts]
    events: list[Event] = []
    while left:
        stream = random.choice(left)
        event = next(stream, None)
        if event is None:
            left.remove(stream)
        else:
            events.append(event)
    return events


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Script], list[Event]]:
    """A few streams, and the events so far, at any moment while they run."""
    random, numbers = draw(st.randoms(use_true_random=False)), count(draw(st.integers(1, 99)))
    scripts = [Script(random, numbers) for _ in range(draw(st.integers(0, 3)))]
    events = merged(scripts, random)
    return scripts, events[: draw(st.integers(0, len(events)))]


@given(streams())
def test_rows_of_any_events(made: tuple[list[Script], list[Event]]) -> None:
    """At any moment of any streams, each attempt has its depth and its own events."""
    scripts, events = made
    began = list(dict.fromkeys(event.stream for event in events if event.parent is None))
    scripts.sort(key=lambda script: (*began, script.rows[0].stream).index(script.rows[0].stream))
    emitted = set(map(id, events))
    expected = []
    for number, script in enumerate(scripts, 1):
        for row in script.rows:
            if id(row.opening) in emitted:
                ended = type(row.ended).__name__.lower() if id(row.ended) in emitted else "running"
                expected.append((number, row.depth, row.opening.source, row.opening.attempt, ended))
    trace = Trace()
    for event in events:
        trace(event)
    assert [
        (row.stream, row.depth, row.source, row.attempt, row.outcome) for row in trace.attempts
    ] == expected


@given(streams())
def test_tables_of_any_events(made: tuple[list[Script], list[Event]]) -> None:
    """Each attempt has one line, of at most 100 columns or as asked, and one row of HTML."""
    _, events = made
    trace = Trace()
    trace.events.extend(events)
    rows = len(trace.attempts)
    if not rows:
        return
    text = str(trace)
    lines = text.splitlines()
    assert text.split("\n") == lines
    assert max(map(width, lines)) <= 100
    for columns in (60, 73, 99, 140):
        narrow = f"{trace:{columns}}".split("\n")
        assert max(map(width, narrow)) <= columns
        assert len(narrow) >= len(lines)
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
