"""Marble diagrams of runs, as text and as SVG: a lane for each source, and for the consumer.

In the text, time runs from left to right. In the SVG, only the order counts: an item and its
delivery stand one below the other. The colours follow dark mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import islice, pairwise
from typing import Any, Final

from failover_iter.testing._log import LogEntry, shown, source_name
from failover_iter.testing._plans import dashes

#: The kinds of marks as text, besides an "item" or a "dropped" one, which is its letter.
_SIGNS: Final = {
    "open": "(", "close": ")", "stop": "|", "fail": "#", "interrupt": "!", "sent": "<",
    "thrown": "!", "ask": "?", "leave": "x", "end": "|", "raised": "#",
}  # fmt: skip
LEGEND: Final = (
    "( opened  ) closed  | ended  # raised  ! interrupted  ? asked  x left  - one second"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened in one lane: an "item", a "dropped" one, or the kind of a sign."""

    lane: str
    kind: str
    label: str = ""
    time: float = 0.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """The lanes from top to bottom, and the marks in order."""

    lanes: list[str]
    marks: list[Mark]


def drawing_of(
    log: Sequence[LogEntry], sources: int, letter: Callable[[Any], str | None]
) -> Drawing:
    """Return a run as a drawing; `letter` returns the letter of an item."""
    marks: list[Mark] = []
    for at, entry in enumerate(log):
        kind, label = str(entry.what), ""
        match entry.what:
            case "yield" | "got":
                kind = "item" if entry.what == "got" or _is_delivered(log, at) else "dropped"
                label = letter(entry.value) or "*"
            case "fail" | "raised":
                label = type(entry.value).__name__
            case "end" | "leave" if entry.value is not None:
                label = shown(entry.value, str)
            case "thrown" if entry.source is None:
                label = "throws"
            case _:
                pass
        if label or kind in _SIGNS:
            is_of_stream = entry.what in ("got", "end", "raised")
            lane = "delivered" if is_of_stream else source_name(entry.source)
            marks.append(Mark(lane, kind, label, entry.time))
    return Drawing([*map(source_name, range(sources)), "consumer", "delivered"], marks)


def _is_delivered(log: Sequence[LogEntry], at: int) -> bool:
    """Whether the consumer got the item of this "yield", before a source yielded it again."""
    yielded = log[at]
    for entry in islice(log, at + 1, None):
        if entry.what in ("got", "yield") and entry.value == yielded.value:
            return entry.what == "got"
        if entry.what == "fail" and entry.of == yielded.of:
            return False
    return False


def text(drawing: Drawing) -> list[str]:
    """Return a line of marbles for each lane."""
    lanes = dict.fromkeys(drawing.lanes, "")
    now = 0.0
    for mark in drawing.marks:
        passed, now = dashes(round(mark.time - now)), mark.time
        sign = _SIGNS.get(mark.kind, mark.label)
        for name in lanes:
            lanes[name] += passed + (sign if name == mark.lane else " " * len(sign))
    return [f"{name:<10} {lane.rstrip()}" for name, lane in lanes.items()]


_STEP, _ROW, _RADIUS = 26, 42, 11
_COLOURS: Final = ("#4db6ac", "#ffb74d", "#9575cd", "#64b5f6", "#f06292", "#aed581")
_STYLE: Final = """<style>
.marbles .back, .marbles .hollow { fill: #fafafa }
.marbles text { fill: #222 }
.marbles .item { fill: #222 }
.marbles .small { font-size: 10px }
.marbles .hollow { stroke-dasharray: 3 2 }
.marbles .line { stroke: #ddd }
.marbles .open { stroke: #90a4ae; stroke-width: 5 }
.marbles .bar { stroke: #546e7a; stroke-width: 3 }
.marbles .to { stroke: #78909c; stroke-dasharray: 2 3 }
.marbles .fail { stroke: #d32f2f; stroke-width: 3 }
.marbles .bolt { fill: #f57c00 }
@media (prefers-color-scheme: dark) {
.marbles .back, .marbles .hollow { fill: #1e2129 }
.marbles text:not(.item) { fill: #e0e0e0 }
.marbles .line { stroke: #3b404d }
.marbles .open { stroke: #607d8b }
.marbles .bar, .marbles .to { stroke: #b0bec5 }
.marbles .fail { stroke: #ef5350 }
}
</style>"""


def svg(title: str, *drawings: Drawing) -> str:
    """Draw one run, or several that start together, one below the other.

    The lane of the delivered items also shows the acts of the consumer, except that it asks.
    """
    lanes = [
        lane for drawing in drawings for lane in drawing.lanes if not lane.startswith("consumer")
    ]
    placed = [each for drawing in drawings for each in _placed(drawing.marks)]
    left = 20 + 8 * max(map(len, lanes))
    # Half a label stands right of its mark.
    ends = [_STEP * (at + 1) + 3 * len(mark.label) for mark, at in placed]
    width = left + max(ends, default=0)
    height = _ROW * len(lanes) + 12
    rows = {lane: 6 + _ROW * at + _ROW // 2 for at, lane in enumerate(lanes)}
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" class="marbles" role="img" font-size="13" '
        'font-family="system-ui, sans-serif">'
    )
    parts = [
        head,
        f"<title>{escape(title)}</title>",
        _STYLE,
        f'<rect width="{width}" height="{height}" rx="6" class="back"/>',
    ]
    for lane, y in rows.items():
        bold = ' font-weight="bold"' if lane.startswith("delivered") else ""
        parts.append(f'<text x="10" y="{y + 4}"{bold}>{escape(lane)}</text>')
        parts.append(_line("line", (left, y), (width - 10, y)))
        parts += _opened(placed, lane, left, y)
    for (before, at), (mark, column) in pairwise(placed):
        if at == column and before.lane != mark.lane:
            x = left + _STEP * at
            end = (x, rows[mark.lane] - _RADIUS)
            parts.append(_line("to", (x, rows[before.lane] + _RADIUS), end))
    parts += [_shape(mark, left + _STEP * at, rows[mark.lane]) for mark, at in placed]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _placed(marks: list[Mark]) -> list[tuple[Mark, int]]:
    """Each mark with its column: an item and its delivery have the same one."""
    placed: list[tuple[Mark, int]] = []
    at, before = 0, Mark("", "")
    for each in marks:
        if each.kind == "ask" or (each.kind, each.label) == ("leave", "throw"):
            continue
        mark = replace(each, lane=each.lane.replace("consumer", "delivered"))
        is_delivery = mark.lane.startswith("delivered") and before.lane != mark.lane
        at += not (is_delivery and (before.kind, before.label) == ("item", mark.label))
        placed.append((mark, at))
        before = mark
    return placed


def _opened(placed: list[tuple[Mark, int]], lane: str, left: int, y: int) -> list[str]:
    """A thick line from each opening to the close, or to the end of the picture."""
    lines: list[str] = []
    start: int | None = None
    marks = [(mark.kind, at) for mark, at in placed if mark.lane == lane]
    for kind, at in [*marks, ("close", placed[-1][1])]:
        if kind == "open":
            start = at
        elif kind == "close" and start is not None:
            lines.append(_line("open", (left + _STEP * start, y), (left + _STEP * at, y)))
            start = None
    return lines


def _line(kind: str, start: tuple[int, int], end: tuple[int, int]) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{kind}"/>'


def _shape(mark: Mark, x: int, y: int) -> str:
    if mark.kind in ("item", "dropped"):
        return _marble(mark, x, y)
    double = f"M{x + 5} {y - 9}V{y + 9}" if mark.kind in ("stop", "end") else ""
    path, name = f"M{x} {y - 9}V{y + 9}{double}", "bar"
    if mark.kind in ("fail", "raised"):
        path, name = f"M{x - 7} {y - 7}l14 14M{x + 7} {y - 7}l-14 14", "fail"
    elif mark.kind in ("thrown", "interrupt"):
        path, name = f"M{x - 7} {y - 2}l7 -9v5h7l-7 13v-7z", "bolt"
    shape = f'<path d="{path}" class="{name}"/>'
    if not mark.label:
        return shape
    below = f'<text x="{x}" y="{y + 21}" text-anchor="middle" class="small">'
    return f"{shape}{below}{escape(mark.label)}</text>"


def _marble(mark: Mark, x: int, y: int) -> str:
    colour = _COLOURS[sum(mark.label.encode()) % len(_COLOURS)]
    is_item = mark.kind == "item"
    fill = f'fill="{colour}"' if is_item else 'class="hollow"'
    kind = ' class="item"' if is_item else ""
    return (
        f'<circle cx="{x}" cy="{y}" r="{_RADIUS}" {fill} stroke="{colour}" stroke-width="2"/>'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle"{kind}>{escape(mark.label)}</text>'
    )
