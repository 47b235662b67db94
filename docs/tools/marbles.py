"""Draw the marble diagrams of the docs from real runs: `python docs/tools/marbles.py`.

Each diagram shows one run of `failover_stream` or `afailover_stream` (runs.py). Its sources record
what happens to them, and the consumer records what it receives. Only recorded marks are drawn.
"""

from __future__ import annotations

import logging
from html import escape
from itertools import pairwise
from pathlib import Path

from recorder import CONSUMER, Mark, Recorder
from runs import RUNS

MARBLES = Path(__file__).parents[1] / "marbles"

_LEFT, _STEP, _ROW, _RADIUS, _TOP = 150, 46, 52, 15, 26
_COLOURS = ("#4db6ac", "#ffb74d", "#9575cd", "#64b5f6", "#f06292", "#aed581")


def picture(title: str, recorder: Recorder) -> str:
    """Draw one run as an SVG, with one lane per row and the consumer's lane last."""
    width = _LEFT + _STEP * (1 + max(mark.at for mark in recorder.marks)) + 24
    width = max(width, 24 + 7 * len(title))
    height = _TOP + _ROW * len(recorder.lanes) + 6
    rows = {lane: _TOP + _ROW * at + _ROW // 2 for at, lane in enumerate(recorder.lanes)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="6" fill="#fafafa"/>',
        f'<text x="12" y="19" fill="#555">{escape(title)}</text>',
    ]
    for lane, y in rows.items():
        parts += _lane(lane, y, width, [mark for mark in recorder.marks if mark.lane == lane])
    parts += _deliveries(recorder.marks, rows)
    parts += [_mark(mark, rows[mark.lane]) for mark in recorder.marks]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(at: int) -> int:
    return _LEFT + _STEP * at + _STEP // 2


def _lane(lane: str, y: int, width: int, marks: list[Mark]) -> list[str]:
    weight = ' font-weight="bold"' if lane.startswith(CONSUMER) else ""
    parts = [
        f'<text x="12" y="{y + 4}" fill="#222"{weight}>{escape(lane)}</text>',
        f'<line x1="{_LEFT}" y1="{y}" x2="{width - 12}" y2="{y}" stroke="#ddd"/>',
    ]
    opened: int | None = None
    for mark in marks:
        if mark.kind == "open":
            opened = mark.at
        elif mark.kind == "close" and opened is not None:
            parts.append(_open_from(opened, mark.at, y))
            opened = None
    if opened is not None:  # it was never closed
        parts.append(_open_from(opened, (width - _LEFT) // _STEP, y))
    return parts


def _open_from(start: int, end: int, y: int) -> str:
    return (
        f'<line x1="{_x(start)}" y1="{y}" x2="{_x(end)}" y2="{y}" stroke="#90a4ae" '
        'stroke-width="5"/>'
    )


def _deliveries(marks: list[Mark], rows: dict[str, int]) -> list[str]:
    parts = []
    for before, mark in pairwise(marks):
        if mark.at == before.at and mark.lane != before.lane:
            x, start, end = _x(mark.at), rows[before.lane] + _RADIUS, rows[mark.lane] - _RADIUS
            parts.append(
                f'<line x1="{x}" y1="{start}" x2="{x}" y2="{end}" stroke="#78909c" '
                'stroke-dasharray="2 3"/>'
            )
    return parts


def _mark(mark: Mark, y: int) -> str:
    x = _x(mark.at)
    match mark.kind:
        case "open":
            return f'<path d="M{x} {y - 9}V{y + 9}" stroke="#546e7a" stroke-width="3"/>'
        case "close" | "end":
            double = f"M{x + 5} {y - 9}V{y + 9}" if mark.kind == "end" else ""
            bar = f'<path d="M{x} {y - 9}V{y + 9}{double}" stroke="#546e7a" stroke-width="3"/>'
            return bar + _below(mark, x, y)
        case "error":
            cross = f"M{x - 8} {y - 8}l16 16M{x + 8} {y - 8}l-16 16"
            return f'<path d="{cross}" stroke="#d32f2f" stroke-width="3"/>' + _below(mark, x, y)
        case "throw":
            bolt = f"M{x - 8} {y - 2}l8 -10v6h8l-8 14v-8z"
            return f'<path d="{bolt}" fill="#f57c00"/>' + _below(mark, x, y)
        case _:
            return _marble(mark, x, y)


def _below(mark: Mark, x: int, y: int) -> str:
    if not mark.label:
        return ""
    return (
        f'<text x="{x}" y="{y + 24}" text-anchor="middle" font-size="10" fill="#555">'
        f"{escape(mark.label)}</text>"
    )


def _marble(mark: Mark, x: int, y: int) -> str:
    colour = _COLOURS[sum(mark.label.encode()) % len(_COLOURS)]
    fill, dash = (colour, "") if mark.kind == "item" else ("#fff", ' stroke-dasharray="3 2"')
    return (
        f'<circle cx="{x}" cy="{y}" r="{_RADIUS}" fill="{fill}" stroke="{colour}" '
        f'stroke-width="2"{dash}/><text x="{x}" y="{y + 5}" text-anchor="middle" fill="#222">'
        f"{escape(mark.label)}</text>"
    )


def drawn() -> dict[str, str]:
    """Run everything and draw it. Returns the SVG of each file, by file name."""
    logger = logging.getLogger("failover_iter")
    disabled, logger.disabled = logger.disabled, True
    try:
        return _pictures()
    finally:
        logger.disabled = disabled


def _pictures() -> dict[str, str]:
    return {f"{name}.svg": picture(title, run()) for name, (title, run) in RUNS.items()}


def main() -> None:
    """Write the files."""
    MARBLES.mkdir(exist_ok=True)
    for name, svg in drawn().items():
        (MARBLES / name).write_text(svg, "utf-8")
        print(name)


if __name__ == "__main__":
    main()
