"""Draw what a hedge and a health gain, from runs: `python -m benchmarks.pictures`.

The runs are in virtual time and from a seed, so the pictures are the same on each machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import inf, log10
from pathlib import Path

from failover_iter import Percentile

from . import outage, tail

HOW_TO = Path(__file__).parents[1] / "docs" / "how-to"
_LEFT, _TOP, _WIDTH, _HEIGHT = 64, 44, 600, 240
_STYLE = """<style>
.back { fill: #fafafa } text { fill: #222 } .grid { stroke: #ddd } .down { fill: #d32f2f14 }
.one { stroke: #9aa7b5 } .two { stroke: #f57c00 } .three { stroke: #00796b }
text.one { fill: #66727f } text.two { fill: #c75b00 } text.three { fill: #00796b }
circle.one { fill: #9aa7b5 } circle.three { fill: #00796b }
circle.one, circle.three, text.one, text.two, text.three { stroke: none }
@media (prefers-color-scheme: dark) {
.back { fill: #1e2129 } text { fill: #e0e0e0 } .grid { stroke: #3b404d } .down { fill: #ef535022 }
text.one { fill: #b0bec5 } text.two { fill: #ffb74d } text.three { fill: #4db6ac }
.two { stroke: #ffb74d } .three { stroke: #4db6ac } circle.three { fill: #4db6ac }
}
</style>"""


def pictures() -> dict[str, str]:
    """The pictures, by the names of their files."""
    return {"hedge.svg": hedge(), "outages.svg": health()}


def hedge() -> str:
    """How many of the streams still wait after some time, on a logarithmic scale."""
    most, decades = 6.0, 3
    lines = [
        ("one", "no hedge", tail.waits(inf, None, 0.03)),
        ("two", "after=0.5", tail.waits(0.5, None, 0.03)),
        ("three", "after=Percentile(0.95)", tail.waits(Percentile(0.95), None, 0.03)),
    ]
    parts = _frame(
        f"{tail.STREAMS:,} streams, of which 3 % meet a slow source: how many still wait",
        [(f"{seconds} s", seconds / most) for seconds in range(int(most) + 1)],
        [(f"{10.0 ** (2 - each):g} %", each / decades) for each in range(decades + 1)],
    )
    for at, (kind, name, (waited, extra)) in enumerate(lines):
        points = [(0.0, 0.0)]
        for index, seconds in enumerate(waited[:-1], 1):
            share = -log10(1 - index / len(waited)) / decades
            if share > 1:
                break
            if share - points[-1][1] > 1 / _HEIGHT:
                points += [(seconds / most, points[-1][1]), (seconds / most, share)]
        path = " ".join(f"{_x(x)},{_y(y)}" for x, y in points)
        parts.append(f'<polyline class="{kind}" points="{path}" fill="none" stroke-width="2.5"/>')
        p99 = waited[len(waited) * 99 // 100]
        text = f"{name}: 99 % within {p99:.2f} s, {extra:.1%} extra openings"
        parts.append(_legend(at, kind, text))
    return _svg(parts)


def health() -> str:
    """How long each stream waited for its first item, by when it began."""
    most, end = 3.0, outage.STREAMS * outage.EVERY
    parts = _frame(
        "The primary hangs for a minute: how long each stream waits for its first item",
        [(f"{seconds} s", seconds / end) for seconds in range(0, int(end) + 1, 20)],
        [(f"{seconds:g} s", 1 - seconds / most) for seconds in (0, 1, 2, 3)],
    )
    left, right = _x(outage.BEGINS / end), _x(outage.ENDS / end)
    parts.append(
        f'<rect class="down" x="{left}" y="{_TOP}" width="{right - left:.1f}" height="{_HEIGHT}"/>'
    )
    for at, (kind, name, has_health) in enumerate(
        (("one", "without a health", False), ("three", "with a health", True))
    ):
        run = outage.measure(has_health=has_health)
        parts += [
            f'<circle class="{kind}" cx="{_x(began / end)}" cy="{_y(1 - seconds / most)}" r="3"/>'
            for began, seconds in run.waits
        ]
        late = sum(seconds > outage.TIMEOUT for _, seconds in run.waits)
        text = f"{name}: {late} streams wait for the timeout of {outage.TIMEOUT:g} s"
        parts.append(_legend(at, kind, text))
    return _svg(parts)


def _x(share: float) -> float:
    return round(_LEFT + share * _WIDTH, 1)


def _y(share: float) -> float:
    return round(_TOP + share * _HEIGHT, 1)


def _frame(
    title: str, across: Iterable[tuple[str, float]], down: Iterable[tuple[str, float]]
) -> list[str]:
    """The title, and a grid with a mark at each of these shares of the width and the height."""
    bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH
    parts = [f"<title>{escape(title)}</title>", _STYLE]
    parts.append(f'<rect class="back" width="{right + 26}" height="{bottom + 96}" rx="6"/>')
    parts.append(f'<text x="{_LEFT}" y="24" font-weight="bold">{escape(title)}</text>')
    for text, share in across:
        x = _x(share)
        parts.append(f'<path class="grid" d="M{x} {_TOP}V{bottom}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 20}" text-anchor="middle">{text}</text>')
    for text, share in down:
        y = _y(share)
        parts.append(f'<path class="grid" d="M{_LEFT} {y}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{text}</text>')
    return parts


def _legend(at: int, kind: str, text: str) -> str:
    y = _TOP + _HEIGHT + 44 + 18 * at
    return f'<text class="{kind}" x="{_LEFT}" y="{y}">{escape(text)}</text>'


def _svg(parts: Sequence[str]) -> str:
    width, height = _LEFT + _WIDTH + 26, _TOP + _HEIGHT + 96
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="13" '
        'role="img">'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    for name, svg in pictures().items():
        (HOW_TO / name).write_text(svg, "utf-8")
        print(name)
