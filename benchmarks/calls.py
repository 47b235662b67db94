"""The functions that a switch passes through: calls per failure, and the files they are in."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import failover_iter
from failover_iter import Policy

from .report import Table
from .streams import async_one_item, drain, drain_async, one_item, quiet_logger
from .switch import as_new_function, async_failing, cut, failing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

#: Failures per stream. The counts are differences to a stream without a failure.
FAILURES = 10
PACKAGE = Path(failover_iter.__file__).parent
#: The file column of functions written in C.
IN_C = "(functions in C)"

POLICY = Policy(retry_on=OSError)
SKIP = Policy(retry_on=OSError, mid_stream="skip")


def profile() -> list[Table]:
    """Count the calls of a switch: with and without logging, after an item, and async."""
    cases = (
        ("a switch", POLICY, failing, logging.NOTSET),
        ("a switch, logger off", POLICY, failing, logging.CRITICAL),
        ("a switch after an item, mid_stream=skip, logger off", SKIP, cut, logging.CRITICAL),
        ("an async switch, logger off", POLICY, async_failing, logging.CRITICAL),
    )
    made = []
    for title, policy, source, level in cases:
        quiet_logger().setLevel(level)
        made.append(_table(title, per_failure(policy, source)))
    quiet_logger().setLevel(logging.NOTSET)
    return made


def per_failure(policy: Policy, source: Callable[[], Any]) -> dict[tuple[str, str], float]:
    """Calls per failure of each function, by file and name. Resuming a generator counts."""
    if source is async_failing:
        run_stream, last = lambda sources: drain_async(policy.astream(sources)), async_one_item
    else:
        run_stream, last = lambda sources: drain(policy.stream(sources)), one_item
    sources = [as_new_function(source) for _ in range(FAILURES)]
    run_stream([*sources, last])  # warm up: imports and caches are not part of a failure
    calls = _calls(lambda: run_stream([*sources, last]))
    calls.subtract(_calls(lambda: run_stream([last])))
    return {name: count / FAILURES for name, count in calls.items() if count}


def _calls(function: Callable[[], None]) -> Counter[tuple[str, str]]:
    codes: Counter[CodeType] = Counter()
    in_c: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            codes[frame.f_code] += 1
        elif event == "c_call":
            in_c[argument.__qualname__] += 1

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    found = Counter({(IN_C, name): count for name, count in in_c.items() if name != "setprofile"})
    for code, count in codes.items():
        found[_file(code), code.co_qualname] += count
    return found


def _file(code: CodeType) -> str:
    """The file relative to the package, or the last two parts of its path."""
    path = Path(code.co_filename)
    if path.is_relative_to(PACKAGE):
        return path.relative_to(PACKAGE.parent).as_posix()
    return "/".join(path.parts[-2:])


def _table(title: str, calls: dict[tuple[str, str], float]) -> Table:
    ours = {name: count for name, count in calls.items() if name[0].startswith(PACKAGE.name)}
    in_c = sum(count for (file, _), count in calls.items() if file == IN_C)
    files = len({file for file, _ in ours})
    others = sum(calls.values()) - sum(ours.values()) - in_c
    rows = sorted(
        ((function, file, f"{count:.1f}") for (file, function), count in calls.items()),
        key=lambda row: (row[1] == IN_C, -float(row[2]), row[1]),
    )
    what = (
        f"per failure: {sum(ours.values()):.1f} calls of {len(ours)} functions in {files} files of "
        f"this library, {others:.1f} calls of other Python functions, {in_c:.1f} of functions in C"
    )
    return Table(f"Calls of {title}", what, ("file", "calls"), rows)
