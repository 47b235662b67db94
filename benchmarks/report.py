"""Tables of figures: rendered as text, as Markdown and as a plot, and kept as JSON."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).parent
#: One file for each version of Python.
RESULTS = HERE / "results"
#: The version whose tables are shown in full.
MAIN = "3.13"
PACKAGES = (
    "failover-iter",
    "stamina",
    "google-api-core",
    "langchain-core",
    "reactivex",
    "aiostream",
    "trio",
    "ray",
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


def python() -> str:
    """The version of Python, such as "3.13"."""
    return "{}.{}".format(*sys.version_info)


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


# The results of each version of Python.


@dataclass(frozen=True)
class Headline:
    """A figure that has a goal. A figure that misses it ends in "!"."""

    name: str
    figure: str
    goal: str


@dataclass(frozen=True)
class Part:
    """The results of one part of the benchmarks."""

    tables: list[Table]
    headlines: list[Headline] = field(default_factory=list)
    #: The bars of the plot.
    bars: list[tuple[str, float]] = field(default_factory=list)
    #: When, where and how it was measured.
    measured: str = ""


def save(part: str, result: Part, folder: Path = RESULTS) -> None:
    """Add a part to the results of this version of Python, or replace it."""
    path = folder / f"{python()}.json"
    parts = json.loads(path.read_text("utf-8")) if path.exists() else {}
    parts[part] = asdict(result)
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", "utf-8")


def load(folder: Path = RESULTS) -> dict[str, dict[str, Part]]:
    """The results of each version of Python, oldest first, by the names of their parts."""
    found = sorted(folder.glob("*.json"), key=lambda path: [int(n) for n in path.stem.split(".")])
    return {
        path.stem: {
            name: Part(
                [Table(**table) for table in part["tables"]],
                [Headline(**headline) for headline in part["headlines"]],
                [(name, ratio) for name, ratio in part["bars"]],
                part["measured"],
            )
            for name, part in json.loads(path.read_text("utf-8")).items()
        }
        for path in found
    }


def write(names: Sequence[str], folder: Path = RESULTS, to: Path = HERE) -> None:
    """Write RESULTS.md and results.svg from the results of all versions, parts in this order."""
    results = load(folder)
    (to / "RESULTS.md").write_text(page(results, names), "utf-8")
    bars = [bar for part in _main(results)[1].values() for bar in part.bars]
    (to / "results.svg").write_text(
        plot("time per item, as a ratio to the naive loop", bars), "utf-8"
    )


def _main(results: Mapping[str, dict[str, Part]]) -> tuple[str, dict[str, Part]]:
    """The version whose tables are shown in full."""
    main = MAIN if MAIN in results else next(reversed(results))
    return main, results[main]


def page(results: Mapping[str, dict[str, Part]], names: Sequence[str]) -> str:
    """Render the results as a Markdown page: all tables of one version, and figures of the rest."""
    main, parts = _main(results)
    head = f"""# Results

Measured with `python -m benchmarks --write`, which runs each part in several processes. A figure is
the median of the processes. Within a process, the cases take turns in short rounds, and a time is
the median of the fastest fifth of the rounds, because other work on the machine only adds time. The
naive loop is `try: for item in source: yield item`. "!" marks a figure that misses its goal.

The tables below are for CPython {main}, except the first one.

![Time per item, as a ratio to the naive loop](results.svg)
"""
    tables = [table for name in names if name in parts for table in parts[name].tables]
    return (
        "\n\n".join(
            [
                head.rstrip(),
                _goals(results, names).markdown(),
                *(table.markdown() for table in tables),
                _how(results, names),
            ]
        )
        + "\n"
    )


def _goals(results: Mapping[str, dict[str, Part]], names: Sequence[str]) -> Table:
    """The figures that have a goal, with a column for each version of Python."""
    goals: dict[str, str] = {}
    figures: dict[tuple[str, str], str] = {}
    for name in names:
        for python_version, parts in results.items():
            for headline in parts[name].headlines if name in parts else ():
                goals[headline.name] = headline.goal
                figures[headline.name, python_version] = headline.figure
    rows = [
        (name, goal, *(figures.get((name, each), "") for each in results))
        for name, goal in goals.items()
    ]
    columns = ("goal", *(f"CPython {each}" for each in results))
    return Table("Goals", "the goals are for CPython 3.13", columns, rows)


def _how(results: Mapping[str, dict[str, Part]], names: Sequence[str]) -> str:
    """When and where each part was measured; parts of one run share a line."""
    lines = ["## Runs", ""]
    for parts in results.values():
        runs: dict[str, list[str]] = {}
        for name in names:
            if name in parts:
                runs.setdefault(parts[name].measured, []).append(name)
        lines += [f"- {', '.join(each)}: {measured}" for measured, each in runs.items()]
    return "\n".join(lines)


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
