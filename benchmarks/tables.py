"""Turns the measurements of the child processes into tables."""

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
#: The memory that an async stream may use in addition to its source, in KB.
MEMORY_LIMIT = 4.0


def times(runs: list[Any]) -> list[Table]:
    """The cost of this library's streams: per item, opening, and switching."""
    beyond = "microseconds per failure in addition to the naive loop, over 50 failures"
    return [
        _times("Per item", "time per item, as a ratio to the naive loop", PER_ITEM, runs,
               "per item"),
        _times("Opening", "microseconds from the call to the end, in addition to the bare source",
               OPENING, runs, "opening"),
        _times("Switching", f"{beyond}; the logger has a NullHandler", SWITCH, runs, "switch"),
        _times("Switching, without logging", f"{beyond}; the logger is set to CRITICAL", SWITCH,
               runs, "switch, logger off"),
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
    """The cost of the peers, and their missing features."""
    lacks = runs[0]["lacks"]
    rows = []
    for name in runs[0]["blocking"]:
        figures = [run["blocking"][name] for run in runs]
        cells = (_middle(figures, "item"), _middle(figures, "opening"), _middle(figures, "switch"))
        rows.append((name, *cells, lacks["blocking"][name]))
    tables = [
        Table(
            "Comparison with peers, sync",
            "time per item as a ratio to the naive loop; opening (a stream of one item) and "
            "switching (per failure before the first item, over 50 failures) in µs",
            ("per item", "opening", "switch", "missing features"),
            rows,
        )
    ]
    for loop in ("asyncio", "trio"):
        rows = [
            (name, _middle([run[loop] for run in runs], name), lacks[loop][name])
            for name in runs[0][loop]
        ]
        what = f"time per item under {loop}, as a ratio to the naive loop"
        tables.append(
            Table(f"Comparison with peers, {loop}", what, ("per item", "missing features"), rows)
        )
    return tables


def _middle(figures: list[dict[str, float | None]], key: str) -> str:
    known = [figure[key] for figure in figures if figure[key] is not None]
    return f"{median(known):.2f}" if known else ""  # type: ignore[type-var]  # no None is left


def scale(run: Any) -> list[Table]:
    """Nesting, many concurrent streams, and ten million items."""
    nested = run["nesting"]
    depths = list(nested["sync"])
    rows = [
        (name, *(f"{ratios[depth]:.2f}" for depth in depths)) for name, ratios in nested.items()
    ]
    return [
        Table("Nesting", "time per item by nesting depth, as a ratio to one naive loop",
              depths, rows),
        Table(f"{MANY:,} concurrent streams",
              "microseconds per stream to open it, pull one item and close it",
              ("µs",), [(name, f"{each:.1f}") for name, each in run["at once"].items()]),
        Table("10,000,000 items", "seconds for all items, and memory growth in bytes over "
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
        "End to end: 1,000 concurrent async streams over loopback HTTP, 200 lines each",
        "total lines per second; seconds per stream, as median and 95th percentile; "
        "milliseconds added per line, with 1,000 concurrent streams on one core",
        ("lines/s", "median s", "p95 s", "added ms"),
        rows,
    )


def memory(measured: dict[str, dict[str, Any]]) -> list[Table]:
    """The memory of many streams, and of many failures."""
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
        Table(f"Memory of {MANY:,} concurrent streams",
              "KB per stream, in addition to the bare source",
              ("KB", "limit"), streams),
        Table("Consecutive failures", "peak memory, stack depth, and number of chained errors",
              ("peak KB", "stack", "errors"), failures),
    ]  # fmt: skip
