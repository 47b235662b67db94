"""Oracles: the laws that a run must obey. Each has a name, a law in one sentence, and a check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

from failover_iter.testing._faults import Bug, Interrupt, leaves_of
from failover_iter.testing._runs import LogEntry, Runaway, RunResult, unclosed

#: How many openings, each deeper than the one before, show that the stack grows. Two are not
#: enough: a pipeline may have a fixed depth.
GROWING = 3
#: The phases in which an error reaches the caller that opens or pulls a source.
OUTWARD = ("call", "await", "iter", "pull")


@dataclass(frozen=True)
class Oracle:
    """A law that a run must obey.

    Args:
        name: the name shown in the report.
        law: the law in one sentence.
        check: `RunResult -> str | None`: returns how the run broke the law, or None if it did not.
    """

    name: str
    law: str
    check: Callable[[RunResult], str | None]

    def __call__(self, run: RunResult) -> str | None:
        """Return how the run broke the law, or None."""
        return self.check(run)


Oracles: TypeAlias = str | Oracle | Callable[[RunResult], object] | Iterable["Oracles"]

ORACLES: Final[dict[str, Oracle]] = {}


def _oracle(
    law: str,
) -> Callable[[Callable[[RunResult], str | None]], Callable[[RunResult], str | None]]:
    def register(check: Callable[[RunResult], str | None]) -> Callable[[RunResult], str | None]:
        name = check.__name__.removeprefix("_")
        ORACLES[name] = Oracle(name, law, check)
        return check

    return register


def _name(run: RunResult, entry: LogEntry) -> str:
    number = f", opening {entry.opening + 1}" if entry.opening else ""
    return f"{run.source_name(entry.source)}{number}"


# Closing.


@_oracle("every opened source is closed, however the stream ends")
def _no_leak(run: RunResult) -> str | None:
    for entry in unclosed(run.log):
        return f"{_name(run, entry)} was never closed"
    return None


@_oracle("no source is closed more than once")
def _closed_once(run: RunResult) -> str | None:
    for (source, opening), count in Counter(e.of for e in run.entries("close")).items():
        if count > 1:
            return f"{run.source_name(source)}, opening {opening + 1}, was closed {count} times"
    return None


@_oracle("at most one source is open: a failed source is closed before the next one is opened")
def _one_open(run: RunResult) -> str | None:
    live: dict[Any, LogEntry] = {}
    for entry in run.log:
        if entry.what == "close":
            live.pop(entry.of, None)
        elif entry.what == "open" and live:
            held = next(iter(live.values()))
            return f"{_name(run, entry)} was opened while {_name(run, held)} was open"
        elif entry.what == "live":
            live[entry.of] = entry
    return None


# Timing.


@_oracle(
    "a source is opened only when the consumer asks for an item that no earlier source can yield"
)
def _lazy(run: RunResult) -> str | None:
    last: LogEntry | None = None
    asked = False
    for entry in run.log:
        asked = asked or entry.what in ("ask", "leave")
        if entry.what == "open":
            if not asked:
                return f"{_name(run, entry)} was opened before the consumer asked for an item"
            if last is not None:
                return f"{_name(run, entry)} was opened although {_name(run, last)} had not failed"
            last = entry
        elif entry.what == "yield":
            last = entry
        elif entry.what in ("pull", "fail", "stop", "close", "interrupt"):
            last = None  # "pull": a stream may abandon a source while it waits for it
    return None


@_oracle("no item is pulled before the consumer asks for it")
def _no_read_ahead(run: RunResult) -> str | None:
    pulled: LogEntry | None = None
    asked = False
    for entry in run.log:
        if entry.what == "ask":
            pulled, asked = None, True
        elif entry.what == "yield":
            pulled = entry
        elif entry.what == "pull" and not asked:
            return f"{_name(run, entry)} was pulled before the consumer asked for an item"
        elif entry.what in ("fail", "stop"):
            pulled = None
        elif entry.what == "got":
            asked = False
            if pulled is None:
                early = f"{entry.value!r} was pulled before the consumer asked for it"
                return f"{early}, or another pull followed"
    return None


@_oracle("no source is opened after the consumer has left or the stream has ended")
def _no_reopen(run: RunResult) -> str | None:
    gone: LogEntry | None = None
    for entry in run.log:
        if entry.what in ("leave", "end", "raised") or _is_felt(run, entry):
            gone = gone or entry
        elif entry.what == "open" and gone is not None:
            return f"{_name(run, entry)} was opened after {_departure(gone)}"
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


# Errors.


@_oracle("an error that is not a source failure reaches the consumer unchanged")
def _transparent(run: RunResult) -> str | None:
    for entry in _escapes(run):
        if _is_transparent(entry.value):
            return _goes_through(run, entry, repr(entry.value))
    for entry in run.log:
        if _is_felt(run, entry):
            return _goes_through(run, entry, "the interruption")
    # The consumer logs the first such entry; the source that receives the error logs another.
    thrown = next(iter(run.entries("thrown")), None)
    return (
        None if thrown is None else _goes_through(run, thrown, "the error that the consumer threw")
    )


def _goes_through(run: RunResult, entry: LogEntry, what: str) -> str | None:
    since = list(run.since(entry))
    for later in since:
        if later.what == "open":
            return f"{what} caused {_name(run, later)} to be opened"
        if later.what == "got":
            return f"{what} was swallowed: the stream continued with {later.value!r}"
    answers = {id(later.value) for later in since if later.what in ("fail", "thrown")}
    if entry.what != "thrown":
        answers.clear()
    if run.error is entry.value is not None or id(run.error) in answers:
        return None
    if entry.what == "interrupt" and entry.value is None and _is_cancellation(run.error):
        return None
    return f"{what} did not reach the consumer, who got {outcome(run)}"


def _is_cancellation(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, Exception | Runaway)


def _is_transparent(error: BaseException) -> bool:
    leaves = leaves_of(error)
    if leaves is None:
        return isinstance(error, Bug | Interrupt)
    return any(map(_is_transparent, leaves))


def _escapes(run: RunResult) -> Iterator[LogEntry]:
    """Yield the errors that left sources, without those that an error in cleanup replaced."""
    fails = [entry for entry in run.entries("fail") if entry.phase in OUTWARD]
    for entry, later in zip(fails, [*fails[1:], None], strict=False):
        if later is None or later.of != entry.of:
            yield entry


def _is_felt(run: RunResult, entry: LogEntry) -> bool:
    """Whether it is an interruption that the source did not replace by another error."""
    return entry.what == "interrupt" and not any(
        later.what == "fail" and later.of == entry.of and later.phase in OUTWARD
        for later in run.since(entry)
    )


def outcome(run: RunResult) -> str:
    """Describe how the stream ended for the consumer."""
    if run.error is not None:
        return repr(run.error)
    return "a normal end" if run.ended else "nothing"


@_oracle("the consumer gets the error of the last source, the same object")
def _same_error(run: RunResult) -> str | None:
    last = [entry.of for entry in run.entries("open")][-1:]
    for entry in _escapes(run):
        if entry.of not in last or not run.drained or isinstance(entry.value, StopIteration):
            continue
        if run.error is not entry.value and not _is_group_of(run.error, run):
            raised = f"{_name(run, entry)} raised {entry.value!r}"
            return f"{raised}, but the consumer got {outcome(run)}"
    return None


def _is_group_of(error: BaseException | None, run: RunResult) -> bool:
    """Whether it is a group of source errors that includes the last one."""
    leaves = leaves_of(error)
    if leaves is None:
        return False
    raised = [entry.value for entry in _escapes(run)]
    found = set(map(id, leaves))
    return id(raised[-1]) in found and found <= {id(value) for value in raised}


# Items.


@_oracle("no item is lost: every item arrives that a source can deliver, and none is left out")
def _no_loss(run: RunResult) -> str | None:
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


@_oracle("no item is delivered twice")
def _no_duplicates(run: RunResult) -> str | None:
    for letter, count in Counter(map(run.letter, run.delivered)).items():
        if letter is not None and count > 1:
            return f"{letter!r} was delivered {count} times"
    return None


@_oracle("items are delivered in their order")
def _in_order(run: RunResult) -> str | None:
    furthest = -1
    for letter in map(run.letter, run.delivered):
        place = -1 if letter is None else run.plan.items.find(letter)
        if 0 <= place < furthest:
            return f"{letter!r} was delivered after {run.plan.items[furthest]!r}"
        furthest = max(furthest, place)
    return None


@_oracle("only items of the plan are delivered")
def _nothing_else(run: RunResult) -> str | None:
    for value in run.delivered:
        letter = run.letter(value)
        if letter is None or letter not in run.plan.items:
            return f"{value!r} was delivered, but is not an item of the plan"
    return None


@_oracle("every run ends")
def _ends(run: RunResult) -> str | None:
    return str(run.error) if isinstance(run.error, Runaway) else None


@_oracle("a switch leaves nothing on the stack: sources are not opened at ever greater depths")
def _flat(run: RunResult) -> str | None:
    depths = [entry.value for entry in run.entries("open")]
    if len(depths) >= GROWING and all(a < b for a, b in pairwise(depths)):
        return f"the stack grew with each opening: {', '.join(map(str, depths))} frames"
    return None
