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
    State.WITHDRAWN: (790, 350),
    State.CONCEDING: (280, 400),
}
_WIDTH, _HEIGHT = 930, 510
_STRETCH = 1.25  # so much larger is the picture, to have room for the labels
_HALF_WIDTH, _HALF_HEIGHT = 64, 19  # of the box of a state
_BEND = 42  # how far an arrow is bent if another one leads back
_LETTER, _LINE = 7.2, 18  # the room that a letter of a label takes
#: Where on its arrow a label may be, the best place first.
_SPOTS = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82)
_TITLE = "The states of a stream, and what leads from one to the next"
_STYLE = """<style>
.states .back { fill: #fafafa }
.states .box { fill: #e0f2f1; stroke: #00897b }
.states .line { fill: none; stroke: #78909c }
.states #tip path { fill: #78909c }
.states text { fill: #222; text-anchor: middle }
.states .label { stroke: #fafafa; stroke-width: 5; paint-order: stroke }
@media (prefers-color-scheme: dark) {
.states .back { fill: #1e2129 }
.states .box { fill: #004d40 }
.states text { fill: #e0e0e0 }
.states .label { stroke: #1e2129 }
}
</style>"""

#: A rectangle: left, top, right, bottom.
_Room = tuple[float, float, float, float]
#: The three points of a quadratic curve.
_Curve = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


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
    width, height = _WIDTH * _STRETCH, _HEIGHT * _STRETCH
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" class="states" '
        'font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>{escape(_TITLE)}</title>",
        _STYLE,
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="6" class="back"/>',
    ]
    taken = [_around(_place(state), _HALF_WIDTH, _HALF_HEIGHT) for state in State]
    labels = []
    found = arrows()
    for (before, after), words in found.items():
        if before is after:
            path, spots = _loop(before)
        else:
            path, spots = _arrow(before, after, is_pair=(after, before) in found)
        text = ", ".join(words)
        rooms = [_around(spot, _LETTER * len(text) / 2, _LINE / 2) for spot in spots]
        room = min(rooms, key=lambda room: sum(_overlap(room, other) for other in taken))
        taken.append(room)
        parts.append(f'<path d="{path}" class="line" marker-end="url(#tip)"/>')
        labels.append(_label(room, text))
    return "\n".join([*parts, *labels, *map(_box, State), "</svg>"]) + "\n"


def _place(state: State) -> tuple[float, float]:
    x, y = _PLACES[state]
    return x * _STRETCH, y * _STRETCH


def _around(middle: tuple[float, float], half_width: float, half_height: float) -> _Room:
    x, y = middle
    return x - half_width, y - half_height, x + half_width, y + half_height


def _overlap(one: _Room, other: _Room) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0) * max(down, 0)


def _box(state: State) -> str:
    x, y = _place(state)
    return (
        f'<rect x="{x - _HALF_WIDTH:.0f}" y="{y - _HALF_HEIGHT:.0f}" width="{2 * _HALF_WIDTH}" '
        f'height="{2 * _HALF_HEIGHT}" rx="{_HALF_HEIGHT}" class="box"/>'
        f'<text x="{x:.0f}" y="{y + 5:.0f}">{state.name}</text>'
    )


def _arrow(before: State, after: State, *, is_pair: bool) -> tuple[str, list[tuple[float, float]]]:
    """The path of an arrow, and the spots where its label may be."""
    (x1, y1), (x2, y2) = _place(before), _place(after)
    length = hypot(x2 - x1, y2 - y1)
    bend = _BEND * _STRETCH if is_pair else 0
    # The control point of a quadratic curve is twice as far out as its middle.
    bent_x = (x1 + x2) / 2 + (y2 - y1) / length * bend * 2
    bent_y = (y1 + y2) / 2 - (x2 - x1) / length * bend * 2
    start, end = _edge_of(x1, y1, bent_x, bent_y), _edge_of(x2, y2, bent_x, bent_y)
    path = f"M{start[0]:.0f} {start[1]:.0f}Q{bent_x:.0f} {bent_y:.0f} {end[0]:.0f} {end[1]:.0f}"
    curve = (start, (bent_x, bent_y), end)
    return path, [_on(curve, part) for part in _SPOTS]


def _on(curve: _Curve, part: float) -> tuple[float, float]:
    """The point after this part of a curve."""
    weights = (1 - part) ** 2, 2 * part * (1 - part), part**2
    x, y = (sum(w * point[at] for w, point in zip(weights, curve, strict=True)) for at in (0, 1))
    return x, y


def _edge_of(x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    """The point where a line from the middle of a box leaves the box."""
    across, down = abs(to_x - x) / _HALF_WIDTH, abs(to_y - y) / _HALF_HEIGHT
    part = 1 / max(across, down)
    return x + (to_x - x) * part, y + (to_y - y) * part


def _loop(state: State) -> tuple[str, list[tuple[float, float]]]:
    """The path of an arrow that leads back to its state, and the spots for its label."""
    x, y = _place(state)
    side = -1 if state is State.OPENING else 1
    start, far = x + side * _HALF_WIDTH, x + side * (_HALF_WIDTH + 38)
    path = f"M{start:.0f} {y - 7:.0f}C{far:.0f} {y - 40:.0f} {far:.0f} {y + 40:.0f} "
    return f"{path}{start:.0f} {y + 7:.0f}", [(far, y + 40), (far, y - 40), (far, y)]


def _label(room: _Room, text: str) -> str:
    x, y = (room[0] + room[2]) / 2, (room[1] + room[3]) / 2
    return f'<text x="{x:.0f}" y="{y + 4:.0f}" class="label">{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
    print(PICTURE.name)
