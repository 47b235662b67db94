"""The report of a broken law: the law, the plan and the run as marbles, the log, the example."""

from __future__ import annotations

from typing import Final

from failover_iter.testing._log import LogEntry, shown, source_name
from failover_iter.testing._marbles import LEGEND, text
from failover_iter.testing._oracle import Oracle
from failover_iter.testing._runs import RunResult


def report(run: RunResult, broken: list[tuple[Oracle, str]]) -> str:
    """Return the report of a run that broke these laws."""
    plan, hidden = run.plan, ("live", "left", "held")
    rows = [
        (source_name(at), "; ".join(map(str, scripts))) for at, scripts in enumerate(plan.sources)
    ]
    rows += [("consumer", str(plan.consumer)), ("items", plan.items)]
    lines = [f"{oracle.name}: {how}" for oracle, how in broken]
    lines += [f"  the law: {oracle.law}" for oracle, _ in broken[:1]]
    lines += ["", "  plan", *(f"    {name:<10} {words}" for name, words in rows)]
    lines += ["", "  run", *(f"    {line}" for line in text(run.drawing)), f"  {LEGEND}"]
    lines += ["", "  log", *(f"    {_line(each)}" for each in run.log if each.what not in hidden)]
    lines += ["", "  to keep this case, add above the test:", f"    @example({plan!r})"]
    return "\n".join(lines)


def _line(entry: LogEntry) -> str:
    again = f" ({entry.opening + 1})" if entry.opening else ""
    return f"{entry.time:>8.1f} s  {source_name(entry.source) + again:<14} {_words(entry)}".rstrip()


#: What an entry says, with its value.
_WORDS: Final = {
    "call": "calls the pipeline", "ask": "asks for an item", "got": "gets {}",
    "yield": "yields {}", "end": "reaches the end", "raised": "gets {}",
    "leave": "leaves ({})", "nested": "asked for an item during a pull", "fail": "raises {}",
    "thrown": "receives {} by throw", "sent": "receives {} by send",
    "stray": "error that reached nobody: {}", "open": "is opened", "pull": "is pulled",
    "close": "is closed", "stop": "ends", "interrupt": "is interrupted",
    "elsewhere": "is opened or pulled in another task or context",
}  # fmt: skip


def _words(entry: LogEntry) -> str:
    value = shown(entry.value, str if entry.what == "leave" else repr)
    words = _WORDS[entry.what].format(value)
    match entry.what:
        case "end" if entry.value is not None:
            return f"{words}: the stream returns {value}"
        case "nested" if entry.value is not None:
            return f"{words}: {value}"
        case "fail" if entry.phase != "pull":
            return f"{words} ({entry.phase})"
        case "thrown" if entry.source is None:
            return f"throws {value}"
        case _:
            return words
