"""Tables of figures, rendered as text, as Markdown, and as a plot."""

from __future__ import annotations

import datetime as dt
import os
import platform
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
PACKAGES = (
    "failover-iter",
    "stamina",
    "google-api-core",
    "langchain-core",
    "reactivex",
    "aiostream",
    "trio",
)


@dataclass(frozen=True)
class Table:
    """A title, a line that describes the figures, the columns, and a row for each case."""

    title: str
    what: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Render for a terminal. All columns except the first are right-aligned."""
        lines = [self.title, f"  ({self.what})"]
        cells = [["", *self.columns], *self.rows]
        widths = [max(len(row[at]) for row in cells) for at in range(len(self.columns) + 1)]
        for row in cells:
            first, *others = row
            aligned = "  ".join(
                cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)
            )
            lines.append(f"  {first:{widths[0]}}  {aligned}".rstrip())
        return "\n".join(lines)

    def markdown(self) -> str:
        """Render as Markdown."""
        lines = [f"## {self.title}", "", self.what[0].upper() + self.what[1:] + ".", ""]
        lines.append(f"| | {' | '.join(self.columns)} |")
        lines.append("|---" * (len(self.columns) + 1) + "|")
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join(lines)


def machine() -> str:
    """The processor, the system, the Python version and the date, but no host name or path."""
    cores = _cores()
    return (
        f"{_processor()}, {cores} core{'s' if cores != 1 else ''} · {platform.system()} · "
        f"{platform.python_implementation()} {platform.python_version()} · "
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    )


def versions() -> str:
    """The versions of the packages that are compared."""
    return " · ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cores() -> int:
    return os.cpu_count() or 1


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def page(tables: Sequence[Table], processes: int) -> str:
    """Render all tables as a Markdown page."""
    head = f"""# Results

Measured with `python -m benchmarks --write`. Each figure is the median of {processes} processes.
Each process runs each case in turn with the naive loop, `try: for item in source: yield item`. A
ratio of 1.00 means as fast as the naive loop. "!" marks a figure above its limit.

{machine()}<br>
{versions()}

![Time per item, as a ratio to the naive loop](results.svg)
"""
    return "\n\n".join([head.rstrip(), *(table.markdown() for table in tables)]) + "\n"


# The plot.

_ROW, _LEFT, _WIDTH = 22, 425, 400


def plot(title: str, bars: Sequence[tuple[str, float]]) -> str:
    """Draw a bar for each ratio, on a scale up to 4. An arrow marks a bar that is cut off."""
    height = _ROW * len(bars) + 60
    most = 4.0
    unit = _WIDTH / most
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 80} {height}"'
        ' font-family="system-ui, sans-serif" font-size="13">',
        "<style>text{fill:#333}.bar{fill:#9aa7b5}.ours{fill:#00796b}.grid{stroke:#bbb}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#666}}</style>",
        f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>',
    ]
    for mark in range(int(most) + 1):
        x = _LEFT + mark * unit
        dash = "" if mark == 1 else ' stroke-dasharray="2 4"'
        parts.append(
            f'<line class="grid" x1="{x:.0f}" y1="30" x2="{x:.0f}" y2="{height - 20}"{dash}/>'
            f'<text x="{x:.0f}" y="{height - 6}" text-anchor="middle">{mark}</text>'
        )
    for at, (name, ratio) in enumerate(bars):
        y = 34 + at * _ROW
        kind = "ours" if "failover_stream" in name else "bar"
        width = min(ratio, most) * unit
        label = f"{ratio:.2f}" + (" →" if ratio > most else "")
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width:.0f}" height="16"/>'
            f'<text x="{_LEFT + width + 5:.0f}" y="{y + 13}">{label}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
