"""Oracles about what comes with items: errors, returned and sent values, tasks."""

from __future__ import annotations

import gc
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any

from failover_iter.testing import _sources
from failover_iter.testing._faults import Bug, Interrupt, clear_frames, leaves_of
from failover_iter.testing._log import LogEntry, shown
from failover_iter.testing._oracles import is_felt, is_outward, outcome, source_of
from failover_iter.testing._plans import GENERATORS
from failover_iter.testing._runs import Runaway, RunResult


def transparent(run: RunResult) -> str | None:
    """An error that is not a source failure reaches the consumer unchanged."""
    for entry in _escapes(run):
        # An interruption of the cleanup replaces the error.
        is_replaced = any(
            later.what == "interrupt" and later.of == entry.of for later in run.since(entry)
        )
        if _is_transparent(entry.value) and not is_replaced:
            return _goes_through(run, entry, shown(entry.value))
    for entry in run.log:
        if is_felt(run, entry):
            return _goes_through(run, entry, "the interruption")
    # The consumer logs the first such entry; the source that receives the error logs another.
    thrown = next(iter(run.entries("thrown")), None)
    return (
        None
        if thrown is None or run.answered
        else _goes_through(run, thrown, "the error that the consumer threw")
    )


def _goes_through(run: RunResult, entry: LogEntry, what: str) -> str | None:
    since = list(run.since(entry))
    for later in since:
        if later.what == "open":
            return f"{what} caused {source_of(later)} to be opened"
        if later.what == "got":
            return f"{what} was swallowed: the stream continued with {shown(later.value)}"
    # A source may answer a throw with another error.
    answers = [each for each in since if entry.what == "thrown" and each.what in ("fail", "thrown")]
    if any(run.error is each.value for each in [entry, *answers] if each.value is not None):
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
    fails = [entry for entry in run.entries("fail") if is_outward(run, entry)]
    for entry, later in zip(fails, [*fails[1:], None], strict=False):
        if later is None or later.of != entry.of:
            yield entry


def same_error(run: RunResult) -> str | None:
    """The consumer gets the error of the last source, the same object."""
    last = [entry.of for entry in run.entries("open")][-1:]
    for entry in _escapes(run):
        if entry.of not in last or not run.drained or isinstance(entry.value, StopIteration):
            continue
        if run.error is not entry.value and not _is_group_of(run.error, run):
            raised = f"{source_of(entry)} raised {shown(entry.value)}"
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


# Causes, notes, returned and sent values, tasks.


def intact(run: RunResult) -> str | None:
    """An error keeps the cause, the notes and the traceback that its source raised it with."""
    for entry in _escapes(run):
        error: BaseException = entry.value
        if error is not run.error or isinstance(error, StopIteration):
            continue
        first = next(each for each in run.entries("close", "fail") if each.of == entry.of)
        name = run.plan.script(entry.source or 0, entry.opening).error
        # An error after the close comes from the cleanup.
        lost = _lost_from(error, name if first is entry else "")
        if lost is not None:
            return f"the error of {source_of(entry)} has lost its {lost}"
    return None


def _lost_from(error: BaseException, name: str) -> str | None:
    """Return the part of an error that was lost on the way."""
    frames = traceback.walk_tb(error.__traceback__)
    if not any(frame.f_code.co_filename == _sources.__file__ for frame, _ in frames):
        return "traceback"
    if name != "chained":
        return None
    if not isinstance(error.__cause__, Bug):
        return "cause"
    if all(each is not error.__cause__ for each in _context_of(error)):
        return "context"
    noted = str(error.__cause__).replace("the cause in", "noted by")
    return None if _notes(error)[:1] == [noted] else "notes"


def _context_of(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions that led to an error: its context, the context of that, and so on."""
    each, seen = error.__context__, {id(error)}
    while each is not None and id(each) not in seen:
        yield each
        seen.add(id(each))
        each = each.__context__


def no_cycle(run: RunResult) -> str | None:
    """No frame that an error has passed still holds it: that is a reference cycle."""
    for entry in run.entries("held"):
        return f"a variable of {entry.value} still holds {outcome(run)}"
    return None


def no_kept_error(run: RunResult) -> str | None:
    """After the run, nothing refers to an error of a source that the consumer did not get."""
    entries = [entry for entry in run.log if isinstance(entry.value, BaseException)]
    for entry in entries:
        clear_frames(entry.value)
    got = _references([run.error])
    failed = run.entries("fail")
    suspects = [each for each in failed if not (got[id(each.value)] or _is_shared(each, run))]
    if not any(count > 0 for count in _others(suspects, entries)):
        return None  # as usual; what follows takes long
    gc.collect()
    for entry, others in zip(suspects, _others(suspects, entries), strict=True):
        holders = [] if others <= 0 else gc.get_referrers(entry.value)
        if others > sum(map(_is_logged, holders)):
            parts = _references([each.value for each in entries])
            strange = [
                f"a {type(each).__name__}"
                for each in holders
                if not isinstance(each, LogEntry) and not parts[id(each)] and not _is_logged(each)
            ]
            raised = f"{shown(entry.value)}, raised by {source_of(entry)}"
            return f"after the run, {[*strange, 'something'][0]} still refers to {raised}"
    return None


def _is_shared(entry: LogEntry, run: RunResult) -> bool:
    """Whether the plan raises one error again and again, so that something else refers to it."""
    makers = [each for each in run.plan.errors if not isinstance(each, type)]
    return any(make() is entry.value for make in makers)


def _others(suspects: list[LogEntry], entries: list[LogEntry]) -> list[int]:
    """Return how many references each error has besides those of the log and of other errors."""
    known = _references([each.value for each in entries])  # once for each entry, and the errors
    errors = [Exception("to which nothing else refers"), *[each.value for each in suspects]]
    usual, *counts = [sys.getrefcount(error) for error in errors]
    return [
        count - usual - known[id(each.value)] for count, each in zip(counts, suspects, strict=True)
    ]


def _references(errors: list[Any]) -> Counter[int]:
    """Count the references to each object in a list of errors and in all that they consist of.

    Their tracebacks are left out.
    """
    left: list[Any] = [errors]
    seen, counts = set[int](), Counter[int]()
    while left:
        each = left.pop()
        if issubclass(type(each), (BaseException, tuple, list, dict)) and id(each) not in seen:
            seen.add(id(each))
            parts = gc.get_referents(each)
            counts.update(map(id, parts))
            left += parts
    return counts


def _is_logged(holder: object) -> bool:
    """Whether it belongs to a log record, which pytest keeps."""
    return isinstance(holder, tuple) and any(
        isinstance(each, logging.LogRecord) or (isinstance(each, dict) and "levelno" in each)
        for each in gc.get_referrers(holder)
    )


def told(run: RunResult) -> str | None:
    """An error reports the failures before it, in their order: in notes, a group or its context."""
    error = run.error
    raised = [entry for entry in _escapes(run) if not isinstance(entry.value, StopIteration)]
    if error is None or not run.drained or all(entry.value is not error for entry in raised):
        return None  # not an error of a source; or a group, which `same_error` judges
    objects = set(map(id, _context_of(error)))
    place = -1
    for entry in raised[:-1]:
        notes = [at for at, note in enumerate(_notes(error)) if shown(entry.value, str) in note]
        if id(entry.value) in objects:
            continue
        if not notes:
            return f"{outcome(run)} does not report {shown(entry.value)}, raised before it"
        if notes[-1] <= place:
            return f"{outcome(run)} reports {shown(entry.value)} in the wrong place"
        place = next(at for at in notes if at > place)
    told = [note for entry in run.entries("fail") for note in _notes(entry.value)]
    for entry in run.entries("fail"):
        is_told = entry.value is error or any(shown(entry.value, str) in note for note in told)
        if entry.phase == "close" and not is_told:
            return f"nothing reports {shown(entry.value)}, raised by closing {source_of(entry)}"
    return None


def _notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


def returns(run: RunResult) -> str | None:
    """A stream returns what its last source returned."""
    ending, stops = run.ending, run.entries("stop")
    if ending is None or ending.what != "end" or run.flavour != "sync" or not stops:
        return None
    if ending.value == stops[-1].value:
        return None
    return f"the stream returned {shown(ending.value)} instead of {shown(stops[-1].value)}"


def sends(run: RunResult) -> str | None:
    """A value that the consumer sends reaches the source."""
    last: LogEntry | None = None
    for entry in run.log:
        if entry.what == "ask" and entry.value is not None and last is not None:
            answers = [later for later in run.since(entry) if later.of == last.of]
            if answers[:1] and answers[0].what != "sent":
                return f"the value that the consumer sent did not reach {source_of(last)}"
        if entry.what == "yield":
            kind = run.plan.script(entry.source or 0, entry.opening).kind
            last = entry if kind in GENERATORS else None
    return None


def same_task(run: RunResult) -> str | None:
    """Sources are opened and pulled in the task and the context of the consumer."""
    for entry in run.entries("elsewhere"):
        return f"{source_of(entry)} was opened or pulled in another task or context"
    return None
