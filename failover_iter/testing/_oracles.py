"""The laws that a run must obey. Each is a function that returns how the run broke it, or None.

Its name and its docstring are those of the oracle, in the table of `_oracle.py`.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from failover_iter.testing._faults import Interrupt
from failover_iter.testing._log import LogEntry, shown, source_name, unclosed
from failover_iter.testing._runs import Runaway, RunResult

#: How many openings, each deeper than the one before, show that the stack grows. Two are not
#: enough: a pipeline may have a fixed depth.
GROWING = 3
#: The phases in which an error reaches the caller that opens or pulls a source.
OUTWARD = ("call", "await", "iter", "pull")


def source_of(entry: LogEntry) -> str:
    number = f", opening {entry.opening + 1}" if entry.opening else ""
    return f"{source_name(entry.source)}{number}"


# Closing.


def no_leak(run: RunResult) -> str | None:
    """Every opened source is closed, however the stream ends."""
    for entry in unclosed(run.log):
        part = f" ({entry.phase})" if entry.phase else ""
        return f"{source_of(entry)}{part} was never closed"
    return None


def closed_once(run: RunResult) -> str | None:
    """No source is closed more than once."""
    closings = Counter((*e.of, e.phase) for e in run.entries("close"))
    for (source, opening, _), count in closings.items():
        if count > 1:
            return f"{source_name(source)}, opening {opening + 1}, was closed {count} times"
    return None


def one_open(run: RunResult) -> str | None:
    """At most one source is open: a failed source is closed before the next one is opened."""
    live: dict[Any, LogEntry] = {}
    for entry in run.log:
        if entry.what == "close":
            live.pop((entry.of, entry.phase), None)
        elif entry.what == "open" and live:
            held = next(iter(live.values()))
            return f"{source_of(entry)} was opened while {source_of(held)} was open"
        elif entry.what == "live":
            live[entry.of, entry.phase] = entry
    return None


# Timing.


def lazy(run: RunResult) -> str | None:
    """A source is opened only when the consumer asks for an item that no earlier one can yield."""
    last: LogEntry | None = None
    asked = False
    for entry in run.log:
        asked = asked or entry.what in ("ask", "leave")
        if entry.what == "open":
            if not asked:
                return f"{source_of(entry)} was opened before the consumer asked for an item"
            if last is not None:
                why = f"although {source_of(last)} had not failed"
                return f"{source_of(entry)} was opened {why}"
            last = entry
        elif entry.what == "yield":
            last = entry
        elif entry.what in ("pull", "fail", "stop", "close", "interrupt"):
            last = None  # "pull": a stream may abandon a source while it waits for it
    return None


def no_read_ahead(run: RunResult) -> str | None:
    """No item is pulled before the consumer asks for it."""
    pulled: LogEntry | None = None
    asked = False
    for entry in run.log:
        if entry.what == "ask" or (entry.what == "leave" and entry.value == "throw"):
            pulled, asked = None, True
        elif entry.what == "yield":
            pulled = entry
        elif entry.what == "pull" and not asked:
            return f"{source_of(entry)} was pulled before the consumer asked for an item"
        elif entry.what in ("fail", "stop"):
            pulled = None
        elif entry.what == "got":
            asked = False
            if pulled is None:
                early = f"{shown(entry.value)} was pulled before the consumer asked for it"
                return f"{early}, or another pull followed"
    return None


def no_reopen(run: RunResult) -> str | None:
    """No source is opened after the consumer has left or the stream has ended."""
    gone: LogEntry | None = None
    for entry in run.log:
        if entry.what == "leave" and run.answered:
            continue
        if entry.what in ("leave", "end", "raised") or is_felt(run, entry):
            gone = gone or entry
        elif entry.what == "open" and gone is not None:
            return f"{source_of(entry)} was opened after {_departure(gone)}"
    return None


def _departure(entry: LogEntry) -> str:
    if entry.what == "leave":
        return {
            "close": "the stream was closed",
            "throw": "the consumer threw an error",
            "drop": "the stream was abandoned",
            "break": "the consumer left the loop",
        }[entry.value]
    return "the consumer was interrupted" if entry.what == "interrupt" else "the stream ended"


# Items.


def no_loss(run: RunResult) -> str | None:
    """No item is lost: every item arrives that a source can deliver, and none is left out."""
    return lost(run, attempts=1)


def lost(run: RunResult, attempts: int) -> str | None:
    """Describe an item that is missing although `attempts` per source could deliver it."""
    letters = [run.letter(value) for value in run.delivered]
    missing = [letter for letter in run.plan.items if letter not in letters]
    if not missing:
        return None
    if run.drained and run.ended:
        return f"the stream ended normally, but {missing[0]!r} was never delivered"
    if run.drained and run.plan.survivable(attempts):
        return f"{missing[0]!r} was never delivered, although a source could deliver it"
    behind = run.plan.items.index(missing[0])
    if any(letter is not None and run.plan.items.find(letter) > behind for letter in letters):
        return f"{missing[0]!r} was left out: a later item was delivered"
    return None


def no_duplicates(run: RunResult) -> str | None:
    """No item is delivered twice."""
    for letter, count in Counter(map(run.letter, run.delivered)).items():
        if letter is not None and count > 1:
            return f"{letter!r} was delivered {count} times"
    return None


def in_order(run: RunResult) -> str | None:
    """Items are delivered in their order."""
    furthest = -1
    for letter in map(run.letter, run.delivered):
        place = -1 if letter is None else run.plan.items.find(letter)
        if 0 <= place < furthest:
            return f"{letter!r} was delivered after {run.plan.items[furthest]!r}"
        furthest = max(furthest, place)
    return None


def nothing_else(run: RunResult) -> str | None:
    """Only items of the plan are delivered."""
    for value in run.delivered:
        letter = run.letter(value)
        if letter is None or letter not in run.plan.items:
            return f"{shown(value)} was delivered, but is not an item of the plan"
    return None


def ends(run: RunResult) -> str | None:
    """Every run ends."""
    return str(run.error) if isinstance(run.error, Runaway) else None


def flat(run: RunResult) -> str | None:
    """A switch leaves nothing on the stack: sources are not opened at ever greater depths."""
    depths = [entry.value for entry in run.entries("open")]
    if len(depths) >= GROWING and all(a < b for a, b in pairwise(depths)):
        return f"the stack grew with each opening: {', '.join(map(str, depths))} frames"
    return None


# Races.


def one_winner(run: RunResult) -> str | None:
    """All items are those of one opening, from its first one: a race has one winner."""
    got = run.delivered
    yielded: dict[tuple[Any, int], list[Any]] = {}
    for entry in run.entries("yield"):
        yielded.setdefault((entry.source, entry.opening), []).append(entry.value)
    if got and not any(items[: len(got)] == got for items in yielded.values()):
        return f"no source has yielded {shown(got)} by itself"
    return None


def losers_closed(run: RunResult) -> str | None:
    """When the first item arrives, at most one source is open: losers are closed before."""
    for index, entry in enumerate(run.log):
        if entry.what == "got":
            left = sorted({each.source or 0 for each in unclosed(run.log[:index])})
            if len(left) > 1:
                names = " and ".join(source_name(each) for each in left)
                return f"{names} were open when the first item arrived"
            return None
    return None


# What they share.


def is_outward(run: RunResult, entry: LogEntry) -> bool:
    """Whether the caller of a source gets this error: from `close`, only a BaseException."""
    if entry.phase != "close":
        return entry.phase in OUTWARD
    is_let_go = run.left is not None and run.left.value in ("drop", "break")
    return isinstance(entry.value, Interrupt) and not is_let_go


def is_felt(run: RunResult, entry: LogEntry) -> bool:
    """Whether it is an interruption that the source did not replace by another error."""
    return entry.what == "interrupt" and not any(
        later.what == "fail" and later.of == entry.of and is_outward(run, later)
        for later in run.since(entry)
    )


def outcome(run: RunResult) -> str:
    """Describe how the stream ended for the consumer."""
    if run.error is not None:
        return shown(run.error)
    return "a normal end" if run.ended else "nothing"
