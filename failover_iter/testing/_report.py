"""The report of a broken law: the law, the plan and the run as marbles, the log, the example."""

from __future__ import annotations

from typing import Final

from failover_iter.testing._oracle import Oracle
from failover_iter.testing._plans import dashes
from failover_iter.testing._runs import LogEntry, RunResult

_LEGEND: Final = (
    "( opened  ) closed  | ended  # raised  ! interrupted  ? asked  x left  - one second"
)
#: The kinds of marks as text; an item is its letter.
_SIGNS: Final = {
    "open": "(", "close": ")", "stop": "|", "fail": "#", "interrupt": "!", "sent": "<",
    "thrown": "!", "ask": "?", "leave": "x", "end": "|", "raised": "#",
}  # fmt: skip


def report(run: RunResult, broken: list[tuple[Oracle, str]]) -> str:
    """Return the report of a run that broke these laws."""
    lines = [f"{oracle.name}: {how}" for oracle, how in broken]
    lines += [f"  the law: {oracle.law}" for oracle, _ in broken[:1]]
    lines += ["", *plan_lines(run), "", "  run", *(f"    {line}" for line in _picture(run))]
    lines += [f"  {_LEGEND}", "", "  log"]
    lines += [f"    {_line(run, entry)}" for entry in run.log if _is_shown(entry)]
    lines += ["", "  to keep this case, add above the test:", f"    @example({run.plan!r})"]
    return "\n".join(lines)


def plan_lines(run: RunResult) -> list[str]:
    """Return the plan: a line for each source, the consumer, and the items."""
    plan = run.plan
    rows = [
        (f"source {number}", "; ".join(map(str, scripts)))
        for number, scripts in enumerate(plan.sources, start=1)
    ]
    rows += [("consumer", str(plan.consumer)), ("items", plan.items)]
    return ["  plan", *(f"    {name:<10} {text}" for name, text in rows)]


def _picture(run: RunResult) -> list[str]:
    """Return a line for each source, the consumer, and the delivered items."""
    names = [run.source_name(source) for source in range(len(run.plan.sources))]
    lanes: dict[str, str] = dict.fromkeys([*names, "consumer", "delivered"], "")
    now = 0.0
    for mark in run.marks:
        passed, now = dashes(round(mark.time - now)), mark.time
        sign = _SIGNS.get(mark.kind, mark.label)
        for name in lanes:
            lanes[name] += passed + (sign if name == mark.lane else " " * len(sign))
    return [f"{name:<10} {lane.rstrip()}" for name, lane in lanes.items()]


def _is_shown(entry: LogEntry) -> bool:
    return entry.what not in ("live", "left", "held")


def _line(run: RunResult, entry: LogEntry) -> str:
    who = "consumer" if entry.source is None else run.source_name(entry.source)
    again = f" ({entry.opening + 1})" if entry.opening else ""
    return f"{entry.time:>8.1f} s  {who + again:<14} {_words(entry)}".rstrip()


#: What an entry says, with its value.
_WORDS: Final = {
    "call": "calls the pipeline", "ask": "asks for an item", "got": "gets {!r}",
    "yield": "yields {!r}", "end": "reaches the end", "raised": "gets {!r}",
    "leave": "leaves ({})", "nested": "asked for an item during a pull", "fail": "raises {!r}",
    "thrown": "receives {!r} by throw", "sent": "receives {!r} by send",
    "stray": "error that reached nobody: {!r}", "open": "is opened", "pull": "is pulled",
    "close": "is closed", "stop": "ends", "interrupt": "is interrupted",
    "elsewhere": "is opened or pulled in another task or context",
}  # fmt: skip


def _words(entry: LogEntry) -> str:
    value = entry.value
    words = _WORDS[entry.what].format(value)
    match entry.what:
        case "end" if value is not None:
            return f"{words}: the stream returns {value!r}"
        case "nested" if value is not None:
            return f"{words}: {value!r}"
        case "fail" if entry.phase != "pull":
            return f"{words} ({entry.phase})"
        case "thrown" if entry.source is None:
            return f"throws {value!r}"
        case _:
            return words
