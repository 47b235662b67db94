"""Draw the state diagram of the core from its table: `python docs/tools/states.py`.

The picture has one arrow for each pair of states in `TRANSITIONS` and `IN_RACE`
(`failover_iter/_core/state.py`).
Only the places of the states are chosen here.
"""

from __future__ import annotations

from html import escape
from math import hypot
from pathlib import Path

from failover_iter._core.state import IN_RACE, TRANSITIONS, State

PICTURE = Path(__file__).parents[1] / "explanation" / "states.svg"

_PLACES = {
    State.IDLE: (90, 270),
    State.ASKING: (330, 270),
    State.OPENING: (260, 70),
    State.DELIVERING: (840, 70),
    State.WAITING: (550, 270),
    State.DONE: (550, 470),
    State.SAVING: (845, 210),
    State.WITHDRAWN: (830, 370),
    State.CONCEDING: (280, 400),
}
_WIDTH, _HEIGHT = 930, 510
_HALF_WIDTH, _HALF_HEIGHT = 64, 19  # of the box of a state
_BEND = 34  # how far an arrow is bent if another one leads back
_TITLE = "The states of a stream, and what leads from one to the next"


def arrows() -> dict[tuple[State, State], list[str]]:
    """The inputs that lead from one state to another."""
    found: dict[tuple[State, State], list[str]] = {}
    for table in (TRANSITIONS, IN_RACE):
        for before, words in table.items():
            for word, states in words.items():
                for after in sorted(states, key=list(State).index):
                    found.setdefault((before, after), []).append(word)
    return found


def picture() -> str:
    """The table as an SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="system-ui, sans-serif" font-size="13" '
        'role="img">',
        f"<title>{escape(_TITLE)}</title>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L10 5L0 10z" fill="#546e7a"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#fafafa"/>',
    ]
    found = arrows()
    for (before, after), words in found.items():
        parts += _arrow(before, after, ", ".join(words), is_pair=(after, before) in found)
    parts += [_box(state) for state in State]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _box(state: State) -> str:
    x, y = _PLACES[state]
    return (
        f'<rect x="{x - _HALF_WIDTH}" y="{y - _HALF_HEIGHT}" width="{2 * _HALF_WIDTH}" '
        f'height="{2 * _HALF_HEIGHT}" rx="{_HALF_HEIGHT}" fill="#e0f2f1" stroke="#00897b"/>'
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="#222">{state.name}</text>'
    )


def _arrow(before: State, after: State, label: str, *, is_pair: bool) -> list[str]:
    if before is after:
        return _loop(before, label)
    (x1, y1), (x2, y2) = _PLACES[before], _PLACES[after]
    length = hypot(x2 - x1, y2 - y1)
    bend = _BEND if is_pair else 0
    x = (x1 + x2) / 2 + (y2 - y1) / length * bend
    y = (y1 + y2) / 2 - (x2 - x1) / length * bend
    # The control point of a quadratic curve is twice as far out as its middle.
    bent_x, bent_y = 2 * x - (x1 + x2) / 2, 2 * y - (y1 + y2) / 2
    start, end = _edge_of(x1, y1, bent_x, bent_y), _edge_of(x2, y2, bent_x, bent_y)
    path = f"M{start[0]:.0f} {start[1]:.0f}Q{bent_x:.0f} {bent_y:.0f} {end[0]:.0f} {end[1]:.0f}"
    if not is_pair:  # off the middle, where the lines to DONE are far apart
        x, y = x1 + (x2 - x1) * 0.47, y1 + (y2 - y1) * 0.47
    return [_line(path), _label(x, y + 4, label)]


def _edge_of(x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    """The point where a line from the middle of a box leaves the box."""
    across, down = abs(to_x - x) / _HALF_WIDTH, abs(to_y - y) / _HALF_HEIGHT
    part = 1 / max(across, down)
    return x + (to_x - x) * part, y + (to_y - y) * part


def _loop(state: State, label: str) -> list[str]:
    x, y = _PLACES[state]
    side = -1 if state is State.OPENING else 1
    start, far = x + side * _HALF_WIDTH, x + side * (_HALF_WIDTH + 38)
    path = f"M{start} {y - 7}C{far} {y - 40} {far} {y + 40} {start} {y + 7}"
    return [_line(path), _label(far, y + 40, label)]


def _line(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#546e7a" marker-end="url(#tip)"/>'


def _label(x: float, y: float, label: str) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" fill="#333" stroke="#fafafa" '
        f'stroke-width="5" paint-order="stroke">{escape(label)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
    print(PICTURE.name)
