"""`python -m benchmarks`: compare the cost of streams with the naive loop and with the peers.

Each comparison runs in one process, in turn with the naive loop. The tables show the median of
several processes. The benchmarks measure the `failover_iter` that Python imports: the checkout when
run in its root, or the installed package if there is only this folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from typing import Any

from . import measure, report, tables

PARTS = ("times", "memory", "peers", "scale", "end-to-end")


def main() -> None:
    """Measure in child processes and print the tables."""
    args = _arguments()
    if args.child:
        print(json.dumps(_child(args.child, args.seconds)))
        return
    print(report.machine(), report.versions(), "", sep="\n")
    made: list[report.Table] = []
    bars: list[tuple[str, float]] = []
    for part in args.only or PARTS:
        found = _tables(part, args)
        if part == "peers":
            bars = [bar for table in found for bar in _bars(table)]
        made += found
        print("\n\n".join(table.text() for table in found), end="\n\n", flush=True)
    if args.write:
        plot = report.plot("time per item, as a ratio to the naive loop", bars)
        (report.HERE / "results.svg").write_text(plot, "utf-8")
        (report.HERE / "RESULTS.md").write_text(report.page(made, args.processes), "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument(
        "--processes", type=int, default=5, help="number of child processes (default: 5)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="time per case and process (default: 0.5)"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, help="run only these parts")
    parser.add_argument(
        "--write", action="store_true", help="also write RESULTS.md and results.svg"
    )
    parser.add_argument("--child", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write and args.only:
        parser.error("--write cannot be combined with --only")
    return args


def _tables(part: str, args: argparse.Namespace) -> list[report.Table]:
    runs = [_measured(part, args.seconds) for _ in range(args.processes if _varies(part) else 1)]
    match part:
        case "times":
            return tables.times(runs)
        case "memory":
            return tables.memory(runs[0])
        case "peers":
            return tables.peers(runs)
        case "scale":
            return tables.scale(runs[0])
        case _:
            return [tables.end_to_end(runs[0])]


def _varies(part: str) -> bool:
    """Whether the figures differ between processes, for example because of memory layout."""
    return part in ("times", "peers")


def _bars(table: report.Table) -> list[tuple[str, float]]:
    loop = table.title.rpartition(", ")[2]
    return [(f"{row[0]} ({loop})", float(row[1])) for row in table.rows if row[0] != "naive loop"]


def _child(part: str, seconds: float) -> Any:
    match part:
        case "times":
            # Run inside asyncio, so that async streams use its clock and its hooks.
            return asyncio.run(_inside(lambda: measure.times(seconds)))
        case "memory":
            return asyncio.run(_inside(measure.memory))
        case "peers":
            return _peers(seconds)
        case "scale":
            from . import scale

            return asyncio.run(_inside(lambda: scale.everything(seconds)))
        case _:
            from . import loopback

            return loopback.end_to_end()


async def _inside(function: Any) -> Any:
    return function()


def _peers(seconds: float) -> Any:
    import trio

    from . import measure_peers, peers_async

    return {
        "blocking": measure_peers.blocking(seconds),
        "asyncio": asyncio.run(measure_peers.awaited(peers_async.ASYNCIO, seconds)),
        "trio": trio.run(measure_peers.awaited, peers_async.TRIO, seconds),
        "lacks": measure_peers.lacks(),
    }


def _measured(part: str, seconds: float) -> Any:
    command = [sys.executable, "-m", "benchmarks", "--child", part, "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
