"""Turns the measurements of the child processes into tables and headlines."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from .report import Headline, Part, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

KB = 1024
#: The memory that an async stream may use in addition to its source, in KB.
MEMORY_LIMIT = 4.0
#: How far a ratio that should be 1 may exceed it, because of noise.
NOISE = 0.05
#: The same for two times that cannot be measured in turn.
NOISE_OVER_TIME = 0.10


def _marked(figure: float, goal: float | None, digits: int = 2) -> str:
    """The figure, with a "!" if it misses its goal."""
    return f"{figure:.{digits}f}" + (" !" if goal is not None and figure > goal else "")


def _goal(goal: float | None, digits: int = 2) -> str:
    return "" if goal is None else f"{goal:.{digits}f}"


def _spread(figures: Iterable[float]) -> str:
    known = sorted(figures)
    return f"{known[0]:.2f} to {known[-1]:.2f}"


# Per item.


def items(runs: list[Any]) -> Part:
    """The cost per item of each shape with each option, and of the time limits."""
    from .items import SHAPES

    worst: dict[str, list[tuple[float, str, list[float]]]] = {}
    tables = []
    for flavour in SHAPES:
        tables.append(_costs(runs, flavour, worst))
    classes, headlines = _worst(worst)
    levels, level_headline = _levels(runs)
    takeover, takeover_headline = _takeover(runs)
    limits, limit_headline = _limits(runs)
    return Part(
        [classes, *tables, levels, takeover, limits],
        [*headlines, level_headline, takeover_headline, limit_headline],
    )


def _cost(run: Any, flavour: str, shape: str, option: str, when: str = "before") -> float:
    times = run[when][flavour][shape]
    return float((times[option] - times["naive"]) / times["unit"])


def _costs(
    runs: list[Any], flavour: str, worst: dict[str, list[tuple[float, str, list[float]]]]
) -> Table:
    from .items import OPTIONS, SHAPES, goal_of

    is_async = flavour == "async"
    shapes = list(SHAPES[flavour])
    loops = [median(run["before"][flavour][shape]["naive"] for run in runs) for shape in shapes]
    rows = [("naive loop, ns per item", *(f"{loop:.1f}" for loop in loops), "", "")]
    bare = [median(_cost(run, flavour, shape, "bare") for run in runs) for shape in shapes]
    rows.append(("a bare loop that counts and keeps the last item",
                 *(f"{cell:.2f}" for cell in bare), f"{max(bare):.2f}", ""))  # fmt: skip
    for name, option in OPTIONS.items():
        goal = goal_of(option.kind, is_async=is_async)
        kind = option.kind if not is_async or option.kind == "keyed" else "async"
        cells = []
        for shape in shapes:
            figures = [_cost(run, flavour, shape, name) for run in runs]
            cells.append(median(figures))
            worst.setdefault(kind, []).append((cells[-1], f"{name}; {shape}", figures))
        rows.append((name, *(f"{cell:.2f}" for cell in cells), _marked(max(cells), goal),
                     _goal(goal)))  # fmt: skip
    return Table(
        f"Per item, {flavour}",
        "cost per item of an open stream, in units of the naive loop over a generator: "
        "(stream - naive loop over the same source) / naive loop over the first source; the bare "
        "loop does nothing but count the items and keep the last one, which complete_when, resume "
        "and Resume need",
        (*shapes, "worst", "goal"),
        rows,
    )


_CLASSES = {
    "defaults": "default options",
    "counted": "raise, skip, commit_when, complete_when, on_event",
    "kept": "resume, Resume(keep=10)",
    "async": "async, all of these options",
    "keyed": "Skip(key=...), sync and async",
}


def _worst(
    worst: dict[str, list[tuple[float, str, list[float]]]],
) -> tuple[Table, list[Headline]]:
    from .items import GOALS

    rows, headlines = [], []
    for kind, title in _CLASSES.items():
        figure, case, figures = max(worst[kind])
        goal = GOALS[kind]
        rows.append((title, _marked(figure, goal), _goal(goal), _spread(figures), case))
        if goal is not None:
            name = f"cost per item, {title}"
            headlines.append(Headline(name, _marked(figure, goal), f"<= {goal:.2f}"))
    what = "the highest cost per item of each class of options, from the next two tables"
    columns = ("worst", "goal", "spread", "case")
    return Table("Per item, the worst of each class", what, columns, rows), headlines


def _levels(runs: list[Any]) -> tuple[Table, Headline]:
    """Compare a stream over six levels of `Policy.source` with one over a plain source."""
    from .items import DEFAULTS, SHAPES, SIX_LEVELS

    rows, most = [], 0.0
    for flavour, shapes in SHAPES.items():
        for shape in shapes:
            ratios = [
                run["before"][flavour][shape][SIX_LEVELS] / run["before"][flavour][shape][DEFAULTS]
                for run in runs
            ]
            middle = median(ratios)
            most = max(most, middle)
            rows.append((shape, _marked(middle, 1 + NOISE), _spread(ratios)))
    table = Table(
        "Six levels of Policy.source",
        "time per item with six levels, as a ratio to the time with none; the goal is 1",
        ("ratio", "spread"),
        rows,
    )
    name = "time per item, six levels of Policy.source / none"
    return table, Headline(name, _marked(most, 1 + NOISE), "1, within noise")


def _takeover(runs: list[Any]) -> tuple[Table, Headline]:
    """Compare the same streams before and after a takeover in the process."""
    from .items import OPTIONS, SHAPES

    rows, middles = [], []
    for flavour, shapes in SHAPES.items():
        for shape in shapes:
            ratios = {
                name: median(_after_before(run, flavour, shape, name) for run in runs)
                for name in OPTIONS
            }
            middle = median(ratios.values())
            middles.append(middle)
            highest = max(ratios, key=lambda name: ratios[name])
            rows.append(
                (shape, _marked(middle, 1 + NOISE_OVER_TIME), _spread(ratios.values()), highest)
            )
    table = Table(
        "Per item, after a Takeover",
        "time per item after another stream yielded a Takeover marker, as a ratio to the time "
        "before; each relative to the naive loop over a generator; the goal is 1",
        ("median of all options", "spread", "highest"),
        rows,
    )
    name = "time per item, after / before a Takeover anywhere"
    return table, Headline(name, _marked(max(middles), 1 + NOISE_OVER_TIME), "1, within noise")


def _after_before(run: Any, flavour: str, shape: str, option: str) -> float:
    before, after = (run[when][flavour][shape] for when in ("before", "after"))
    return float(after[option] / after["unit"] / (before[option] / before["unit"]))


def _limits(runs: list[Any]) -> tuple[Table, Headline]:
    from .items import LIMITS

    rows, headline = [], None
    for name, (_, _, goal) in LIMITS.items():
        figures = [run["limits"][name] for run in runs]
        cell = _marked(median(figures), goal)
        rows.append((name, cell, _spread(figures), _goal(goal, 0)))
        if goal is not None:
            headline = Headline(f"µs per item, {name}", cell, f"<= {goal:.0f}")
    assert headline is not None
    what = "microseconds per item in addition to the naive loop"
    return Table("Per item, with a time limit", what, ("µs", "spread", "goal"), rows), headline


# Opening.


def opening(runs: list[Any]) -> Part:
    """The time to make a policy, to create a stream and to pull its first item."""
    from .opening import GOAL, POLICIES, STREAMS

    rows, headlines = [], []
    for name in STREAMS:
        created, first, rest = (
            [run["streams"][name][phase] for run in runs]
            for phase in ("created", "first item", "rest")
        )
        both = [sum(pair) for pair in zip(created, first, strict=True)]
        total = [sum(pair) for pair in zip(both, rest, strict=True)]
        cell = _marked(median(both), GOAL)
        rows.append((name, f"{median(created):.2f}", f"{median(first):.2f}", cell, _spread(both),
                     _goal(GOAL), f"{median(total):.2f}"))  # fmt: skip
        if "," not in name:
            headlines.append(Headline(f"µs to the first item, {name}", cell, f"<= {GOAL:.0f}"))
    tables = [
        Table(
            "Opening",
            "microseconds to create a stream of one item, to pull the item, both, and to the end, "
            "in addition to the bare generator",
            ("created", "first item", "both", "spread", "goal", "to the end"),
            rows,
        ),
        Table(
            "Making a policy",
            "microseconds",
            ("µs", "spread"),
            [(name, *_middle_and_spread([run["policies"][name] for run in runs]))
             for name in POLICIES],
        ),
    ]  # fmt: skip
    return Part(tables, headlines)


def _middle_and_spread(figures: list[float]) -> tuple[str, str]:
    return f"{median(figures):.2f}", _spread(figures)


# Switching.


def switch(runs: list[Any]) -> Part:
    """The cost of a switch, and how it compares with langchain-core."""
    from .switch import GOAL, STREAMS

    rows = []
    for name in STREAMS:
        figures = [run["streams"][name] for run in runs]
        logged = median(each["logged"] for each in figures)
        off = median(each["logger off"] for each in figures)
        rows.append((name, _marked(logged, GOAL), _spread(each["logged"] for each in figures),
                     _marked(off, GOAL), _goal(GOAL)))  # fmt: skip
    streams = Table(
        "Switching",
        "microseconds per failure in addition to the naive loop, over 50 failures; the logger has "
        "a NullHandler, or is set to CRITICAL (off)",
        ("µs", "spread", "logger off", "goal"),
        rows,
    )
    tables, headlines = [streams], []
    for flavour in ("sync", "async"):
        table, found = _compared([run["compare"][flavour] for run in runs], flavour)
        tables.append(table)
        headlines += found
    return Part(tables, headlines)


def _compared(runs: list[Any], flavour: str) -> tuple[Table, list[Headline]]:
    """One switch of each contender, as a ratio to that of langchain-core."""
    from .switch import LANGCHAIN, MINIMAL

    rows, headlines = [], []
    for name in runs[0]:
        streams = [run[name]["switching"] for run in runs]
        switches = [_switch(run[name]) for run in runs]
        cells = ["", "", ""]
        if LANGCHAIN in runs[0]:
            ratio = median(run[name]["switching"] / run[LANGCHAIN]["switching"] for run in runs)
            ratios = [_switch(run[name]) / _switch(run[LANGCHAIN]) for run in runs]
            goal = None if name.startswith("langchain") else 1.0
            cells = [f"{ratio:.2f}", _marked(median(ratios), goal), _spread(ratios)]
            if name in ("failover_stream", "afailover_stream", "Policy.stream"):
                what = f"time per switch, {name} / langchain-core RunnableGenerator"
                headlines.append(Headline(what, cells[1], "< 1"))
            if name in ("Policy.stream", "Policy.stream, logger off"):
                minimal = median(_switch(run[name]) / _switch(run[MINIMAL]) for run in runs)
                what = f"time per switch, {name} / {MINIMAL}"
                headlines.append(Headline(what, _marked(minimal, 1.0), "< 1"))
        rows.append((name, f"{median(streams):.1f}", cells[0], f"{median(switches):.1f}",
                     *cells[1:]))  # fmt: skip
    what = (
        "microseconds for a whole stream of two sources whose first one fails, and for the switch "
        "alone, which is the difference to the same stream if no source fails; ratios to "
        "RunnableGenerator(...).with_fallbacks([...]), which switches only before the first item"
    )
    columns = ("stream", "ratio", "switch", "ratio", "spread of the ratio")
    return Table(f"A switch beside langchain-core, {flavour}", what, columns, rows), headlines


def _switch(times: dict[str, float]) -> float:
    return times["switching"] - times["plain"]


# Peers.


def peers(runs: list[Any]) -> Part:
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
    bars = [
        (f"{row[0]} ({table.title.rpartition(', ')[2]})", float(row[1]))
        for table in tables
        for row in table.rows
        if row[0] != "naive loop"
    ]
    return Part(tables, [], bars)


def _middle(figures: list[dict[str, float | None]], key: str) -> str:
    known = [figure[key] for figure in figures if figure[key] is not None]
    return f"{median(known):.2f}" if known else ""  # type: ignore[type-var]  # no None is left


# Scale and memory.


def scale(runs: list[Any]) -> Part:
    """Nesting, many concurrent streams, and ten million items."""
    from .memory import MANY

    run = runs[0]
    nested = run["nesting"]
    depths = list(nested["sync"])
    rows = [
        (name, *(f"{ratios[depth]:.2f}" for depth in depths)) for name, ratios in nested.items()
    ]
    return Part([
        Table("Nesting", "time per item by nesting depth, as a ratio to one naive loop",
              depths, rows),
        Table(f"{MANY:,} concurrent streams",
              "microseconds per stream to open it, pull one item and close it",
              ("µs",), [(name, f"{each:.1f}") for name, each in run["at once"].items()]),
        Table("10,000,000 items", "seconds for all items, and memory growth in bytes over "
              "1,000,000 of them (tracemalloc)", ("s", "bytes"),
              [(name, f"{each['seconds']:.2f}", f"{each['bytes']:,.0f}")
               for name, each in run["ten million"].items()]),
    ])  # fmt: skip


def observe(runs: list[Any]) -> Part:
    """What OpenTelemetry costs a stream."""
    from .observe import GOAL

    rows, headlines = [], []
    for shape in runs[0]:
        times = [list(run[shape].values()) for run in runs]
        ratio = median((ours - silent) / (calls - silent) for silent, calls, ours in times)
        cell = _marked(ratio, GOAL)
        rows.append((shape, *(f"{median(each):.1f}" for each in zip(*times, strict=True)), cell))
        headlines.append(
            Headline(f"cost of otel(), in units of the API calls, {shape}", cell, _goal(GOAL))
        )
    columns = (*runs[0][shape], "ratio")
    what = (
        "microseconds per stream of one item; the ratio is that of what `otel()` adds to what the "
        "same calls of OpenTelemetry's API add, with its SDK, without an exporter"
    )
    return Part([Table("OpenTelemetry", what, columns, rows)], headlines)


def checkpoint(runs: list[Any]) -> Part:
    """What a checkpoint costs."""
    from .checkpoints import GOAL, PER_ITEM

    rows = [(name, f"{median(run[name] for run in runs):.0f}") for name in runs[0]]
    times = [list(run.values()) for run in runs]
    cost = median((saved - plain) / PER_ITEM for plain, saved in times)
    name = "cost of a checkpoint, as a part of 100,000 items/s"
    return Part(
        [Table("Checkpoint", "nanoseconds per item, saved every second", ("ns",), rows)],
        [Headline(name, _marked(cost, GOAL, 3), _goal(GOAL, 3))],
    )


def download(runs: list[Any]) -> Part:
    """What `get` and `http_bytes` cost beside the bare client."""
    from .download import tables  # it needs httpx

    return tables(runs)


def end_to_end(runs: list[Any]) -> Part:
    """A thousand streams over HTTP."""
    run = runs[0]
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
    return Part([
        Table(
            "End to end: 1,000 concurrent async streams over loopback HTTP, 200 lines each",
            "total lines per second; seconds per stream, as median and 95th percentile; "
            "milliseconds added per line, with 1,000 concurrent streams on one core",
            ("lines/s", "median s", "p95 s", "added ms"),
            rows,
        )
    ])  # fmt: skip


def memory(runs: list[Any]) -> Part:
    """The memory of many streams, and of many failures."""
    from .memory import ASYNC_STREAMS, FEW_FAILURES, MANY, MANY_FAILURES

    measured = runs[0]
    streams = []
    headlines = []
    for kind, size in measured["streams"].items():
        goal = MEMORY_LIMIT if kind in ASYNC_STREAMS else None
        cell = _marked(size / KB, goal)
        streams.append((kind, cell, _goal(goal)))
        if goal is not None:
            headlines.append(Headline(f"KB per concurrent stream, {kind}", cell, f"<= {goal:.0f}"))
    failures = []
    for kind, pair in measured["failures"].items():
        for number, (peak, depth, errors) in zip((FEW_FAILURES, MANY_FAILURES), pair, strict=True):
            name = f"{kind}, {number:,}"
            failures.append((name, f"{peak / KB:.1f}", str(depth), str(errors)))
    tables = [
        Table(f"Memory of {MANY:,} concurrent streams",
              "KB per stream, in addition to the bare source",
              ("KB", "goal"), streams),
        Table("Consecutive failures", "peak memory, stack depth, and number of chained errors",
              ("peak KB", "stack", "errors"), failures),
    ]  # fmt: skip
    return Part(tables, headlines)
