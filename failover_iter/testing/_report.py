"""The report of a broken law: the law, the plan and the run as marbles, the log, the example."""

from __future__ import annotations

from typing import Final

from failover_iter.testing._marbles import dashes
from failover_iter.testing._oracles import Oracle
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
    return entry.what not in ("live", "left")


def _line(run: RunResult, entry: LogEntry) -> str:
    who = "consumer" if entry.source is None else run.source_name(entry.source)
    again = f" ({entry.opening + 1})" if entry.opening else ""
    return f"{entry.time:>8.1f} s  {who + again:<14} {_words(entry)}".rstrip()


def _words(entry: LogEntry) -> str:
    value = entry.value
    match entry.what:
        case "call":
            return "calls the pipeline"
        case "ask":
            return "asks for an item"
        case "got" | "yield":
            return f"{'gets' if entry.what == 'got' else 'yields'} {value!r}"
        case "end":
            return "reaches the end" + ("" if value is None else f": the stream returns {value!r}")
        case "raised":
            return f"gets {value!r}"
        case "leave":
            return f"leaves ({value})"
        case "nested":
            return "asked for an item during a pull" + ("" if value is None else f": {value!r}")
        case "fail":
            return f"raises {value!r}" + ("" if entry.phase == "pull" else f" ({entry.phase})")
        case "thrown":
            return f"throws {value!r}" if entry.source is None else f"receives {value!r} by throw"
        case "sent":
            return f"receives {value!r} by send"
        case "stray":
            return f"error that reached nobody: {value!r}"
        case "open" | "pull" | "close":
            return {"open": "is opened", "pull": "is pulled", "close": "is closed"}[entry.what]
        case _:
            return "ends" if entry.what == "stop" else "is interrupted"
