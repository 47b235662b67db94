"""`python -m benchmarks`: print what streams cost beside the naive loop, and what they may cost.

Each comparison is made within one process, the naive way and ours in turn; the table shows the
median of several processes. Measured is the `failover_iter` that Python finds from here: the
checkout in its root, the installed package where only this folder is. The first line names it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import failover_iter

from . import measure
from .cases import OPENING, PER_ITEM, SWITCH
from .memory import ASYNC_STREAMS, FEW_FAILURES, MANY, MANY_FAILURES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .cases import Case

KB = 1024
#: What each of very many async streams may take beyond its source, in KB.
MEMORY_LIMIT = 4.0


def main() -> None:
    """Measure in child processes, and print the table."""
    args = _arguments()
    if args.child:
        asyncio.run(_child(args.child, args.seconds))
        return
    package = Path(failover_iter.__file__).parent
    print(f"Python {platform.python_version()}, {package}, median of {args.processes} processes\n")
    runs = [_measured("times", args.seconds) for _ in range(args.processes)]
    _print_times(runs)
    if not args.no_memory:
        _print_memory(_measured("memory", args.seconds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--processes", type=int, default=5, help="child processes (5)")
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="for each case in each process (0.5)"
    )
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory")
    parser.add_argument("--child", choices=["times", "memory"], help=argparse.SUPPRESS)
    return parser.parse_args()


async def _child(what: str, seconds: float) -> None:
    """Measure while asyncio runs, so that async streams find its clock and its hooks."""
    print(json.dumps(measure.times(seconds) if what == "times" else measure.memory()))


def _measured(what: str, seconds: float) -> Any:
    command = [sys.executable, "-m", "benchmarks", "--child", what, "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def _print_times(runs: list[Any]) -> None:
    _print_section("per item, ratio to the naive loop", PER_ITEM, runs, "per item")
    _print_section("opening to end, µs beyond those of the bare source", OPENING, runs, "opening")
    _print_section(
        "a switch, µs beyond those of the naive loop; logger with a NullHandler",
        SWITCH,
        runs,
        "switch",
    )
    _print_section(
        "a switch, µs beyond those of the naive loop; logger at CRITICAL",
        SWITCH,
        runs,
        "switch, logger off",
    )


def _print_section(title: str, cases: Mapping[str, Case], runs: list[Any], key: str) -> None:
    print(f"{title:72}{'median':>8}{'spread':>16}{'best':>8}{'limit':>8}")
    for name, case in cases.items():
        figures = [run[key][name] for run in runs]
        middle, low, high = _over(figures, median), _over(figures, min), _over(figures, max)
        best = min(figure[1] for figure in figures)
        limit = "" if case.limit is None else f"{case.limit:.2f}"
        over = " !" if case.limit is not None and middle > case.limit else ""
        spread = f"{low:.2f} to {high:.2f}"
        print(f"  {name:70}{middle:8.2f}{spread:>16}{best:8.2f}{limit:>8}{over}")
    print()


def _over(figures: list[list[float]], of: Callable[[list[float]], float]) -> float:
    return of([figure[0] for figure in figures])


def _print_memory(measured: dict[str, dict[str, Any]]) -> None:
    print(f"{f'{MANY:,} streams at once, KB each beyond the bare source':72}{'KB':>8}{'limit':>8}")
    for kind, size in measured["streams"].items():
        limit = MEMORY_LIMIT if kind in ASYNC_STREAMS else None
        over = " !" if limit is not None and size / KB > limit else ""
        print(f"  {kind:70}{size / KB:8.2f}{'' if limit is None else f'{limit:.2f}':>8}{over}")
    print(f"\n{'failures in a row':40}{'peak KB':>20}{'stack':>12}{'chained errors':>18}")
    for kind, pair in measured["failures"].items():
        for number, (peak, depth, errors) in zip((FEW_FAILURES, MANY_FAILURES), pair, strict=True):
            name = f"{kind}, {number:,}"
            print(f"  {name:38}{peak / KB:20.1f}{depth:12}{errors:18}")


if __name__ == "__main__":
    main()
