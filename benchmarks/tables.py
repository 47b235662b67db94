"""From what the child processes measured to tables."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from .cases import OPENING, PER_ITEM, SWITCH
from .memory import ASYNC_STREAMS, FEW_FAILURES, MANY, MANY_FAILURES
from .report import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .cases import Case

KB = 1024
#: What each of very many async streams may take beyond its source, in KB.
MEMORY_LIMIT = 4.0


def times(runs: list[Any]) -> list[Table]:
    """Ours: per item, opening, switching."""
    beyond = "µs beyond the naive loop's, for each of 50 failures"
    return [
        _times("Per item", "ratio to the naive loop", PER_ITEM, runs, "per item"),
        _times("Opening", "µs from the call to the end, beyond the bare source's", OPENING, runs,
               "opening"),
        _times("A switch", f"{beyond}; logger with a NullHandler", SWITCH, runs, "switch"),
        _times("A switch, unlogged", f"{beyond}; logger at CRITICAL", SWITCH, runs,
               "switch, logger off"),
    ]  # fmt: skip


def _times(title: str, what: str, cases: Mapping[str, Case], runs: list[Any], key: str) -> Table:
    rows = []
    for name, case in cases.items():
        figures = [run[key][name][0] for run in runs]
        middle = median(figures)
        limit = "" if case.limit is None else f"{case.limit:.2f}"
        over = " !" if case.limit is not None and middle > case.limit else ""
        spread = f"{min(figures):.2f} to {max(figures):.2f}"
        rows.append((name, f"{middle:.2f}{over}", spread, limit))
    return Table(title, what, ("median", "spread", "limit"), rows)


def peers(runs: list[Any]) -> list[Table]:
    """The peers: what they cost, and what they do not do."""
    lacks = runs[0]["lacks"]
    rows = []
    for name in runs[0]["blocking"]:
        figures = [run["blocking"][name] for run in runs]
        cells = (_middle(figures, "item"), _middle(figures, "opening"), _middle(figures, "switch"))
        rows.append((name, *cells, lacks["blocking"][name]))
    tables = [
        Table(
            "Beside the peers, sync",
            "per item as a ratio to the naive loop; a stream of one item and each of 50 failures "
            "before the first item in µs",
            ("per item", "opening", "switch", "what it lacks"),
            rows,
        )
    ]
    for loop in ("asyncio", "trio"):
        rows = [
            (name, _middle([run[loop] for run in runs], name), lacks[loop][name])
            for name in runs[0][loop]
        ]
        what = f"per item under {loop}, ratio to the naive loop"
        tables.append(Table(f"Beside the peers, {loop}", what, ("per item", "what it lacks"), rows))
    return tables


def _middle(figures: list[dict[str, float | None]], key: str) -> str:
    known = [figure[key] for figure in figures if figure[key] is not None]
    return f"{median(known):.2f}" if known else ""  # type: ignore[type-var]  # no None is left


def scale(run: Any) -> list[Table]:
    """Nesting, many streams at once, ten million items."""
    nested = run["nesting"]
    depths = list(nested["sync"])
    rows = [
        (name, *(f"{ratios[depth]:.2f}" for depth in depths)) for name, ratios in nested.items()
    ]
    return [
        Table("Nesting", "per item, so many streams inside one another; ratio to one naive loop",
              depths, rows),
        Table(f"{MANY:,} streams at once", "µs to open, pull once and close each",
              ("µs",), [(name, f"{each:.1f}") for name, each in run["at once"].items()]),
        Table("10,000,000 items", "seconds for all, and bytes that a stream came to hold over "
              "1,000,000 of them (tracemalloc)", ("s", "bytes"),
              [(name, f"{each['seconds']:.2f}", f"{each['bytes']:,.0f}")
               for name, each in run["ten million"].items()]),
    ]  # fmt: skip


def end_to_end(run: Any) -> Table:
    """A thousand streams over HTTP."""
    bare = next(iter(run.values()))
    rows = [
        (
            name,
            f"{each['lines/s']:,.0f}",
            f"{each['median']:.2f}",
            f"{each['p95']:.2f}",
            f"{(each['median'] - bare['median']) * 1000 / 200:+.3f}",
        )
        for name, each in run.items()
    ]
    return Table(
        "End to end: 1,000 async streams at once over loopback HTTP, 200 lines each",
        "lines per second of all; seconds for one stream, median and 95th percentile; "
        "milliseconds added to each line, with 1,000 streams at once on one core",
        ("lines/s", "median s", "p95 s", "added ms"),
        rows,
    )


def memory(measured: dict[str, dict[str, Any]]) -> list[Table]:
    """Many streams and many failures."""
    streams = []
    for kind, size in measured["streams"].items():
        limit = MEMORY_LIMIT if kind in ASYNC_STREAMS else None
        over = " !" if limit is not None and size / KB > limit else ""
        streams.append((kind, f"{size / KB:.2f}{over}", "" if limit is None else f"{limit:.2f}"))
    failures = []
    for kind, pair in measured["failures"].items():
        for number, (peak, depth, errors) in zip((FEW_FAILURES, MANY_FAILURES), pair, strict=True):
            name = f"{kind}, {number:,}"
            failures.append((name, f"{peak / KB:.1f}", str(depth), str(errors)))
    return [
        Table(f"Memory of {MANY:,} streams at once", "KB for each, beyond the bare source's",
              ("KB", "limit"), streams),
        Table("Failures in a row", "the peak of memory, the deepest stack, the errors chained",
              ("peak KB", "stack", "errors"), failures),
    ]  # fmt: skip
