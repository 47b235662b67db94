"""`python -m benchmarks`: compare the cost of streams with the naive loop and with the peers.

Each comparison runs in one process, in turn with the naive loop. The tables show the median of
several processes. The benchmarks measure the `failover_iter` that Python imports: the checkout when
run in its root, or the installed package if there is only this folder.

`--write` keeps the results of this version of Python in `results/`, and writes RESULTS.md from the
results of all versions there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Any

from . import footprint, outage, remote, report, tables, tail

if TYPE_CHECKING:
    from collections.abc import Callable

#: The parts, in the order of the page, and what makes tables of their measurements.
PARTS: dict[str, Callable[[list[Any]], report.Part]] = {
    "items": tables.items,
    "opening": tables.opening,
    "switch": tables.switch,
    "memory": tables.memory,
    "peers": tables.peers,
    "hedge": tail.part,
    "health": outage.part,
    "scale": tables.scale,
    "observe": tables.observe,
    "checkpoint": tables.checkpoint,
    "download": tables.download,
    "end-to-end": tables.end_to_end,
    "footprint": footprint.tables,
    "ray": remote.tables,
}
#: Parts whose figures differ between processes, for example because of memory layout.
VARYING = ("items", "opening", "switch", "peers", "observe", "checkpoint")
#: The modules that a part cannot do without.
NEEDED = {
    "download": ("httpx",),
    "observe": ("opentelemetry.sdk",),
    "peers": ("aiostream", "google.api_core", "langchain_core", "reactivex", "stamina", "trio"),
    "ray": ("ray",),
}


def main() -> None:
    """Measure in child processes and print the tables."""
    args = _arguments()
    if args.child:
        print(json.dumps(_child(args.child, args.seconds)))
    elif args.render:
        report.write(list(PARTS))
    elif args.profile:
        from . import calls

        for table in calls.profile():
            print(table.text(), end="\n\n")
    elif failed := _measure(args):
        sys.exit(f"failed: {', '.join(failed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"parts to run (default: all): {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--processes", type=int, default=5, help="number of child processes (default: 5)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.4, help="time per case and process (default: 0.4)"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="keep the results of this version of Python, then write RESULTS.md and results.svg",
    )
    parser.add_argument(
        "--render",
        action="store_true",
        help="only write RESULTS.md and results.svg again, from the results in results/",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="with the part switch: list the functions that a switch calls",
    )
    parser.add_argument("--child", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    for part in args.parts:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}: choose from {', '.join(PARTS)}")
    if args.profile and args.parts != ["switch"]:
        parser.error("--profile is for the part switch: python -m benchmarks switch --profile")
    return args


def _measure(args: argparse.Namespace) -> list[str]:
    """Measure the parts and print them. Returns those that failed; the others are kept."""
    print(report.machine(), report.versions(), "", sep="\n")
    failed = []
    for part in args.parts or PARTS:
        if missing := [name for name in NEEDED.get(part, ()) if not _is_installed(name)]:
            print(f"{part}: skipped, because {', '.join(missing)} cannot be imported\n")
            continue
        processes = args.processes if part in VARYING else 1
        try:
            runs = [
                _measured(part, args.seconds, f"{part}, process {number} of {processes}")
                for number in range(1, processes + 1)
            ]
        except subprocess.CalledProcessError:  # the child printed why
            failed.append(part)
            continue
        result = PARTS[part](runs)
        print("\n\n".join(table.text() for table in result.tables), end="\n\n", flush=True)
        if args.write:
            times = f"{processes} processes" if processes > 1 else "1 process"
            measured = f"{report.machine()} · {times} · {report.versions()}"
            report.save(part, replace(result, measured=measured))
            report.write(list(PARTS))  # after each part: a run that is broken off keeps the rest
    return failed


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False


def _measured(part: str, seconds: float, what: str) -> Any:
    command = [sys.executable, "-m", "benchmarks", "--child", part, "--seconds", str(seconds)]
    print(f"{what} ...", end=" ", file=sys.stderr, flush=True)
    start = perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    print(f"{perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return json.loads(done.stdout)


def _child(part: str, seconds: float) -> Any:
    match part:
        case "items":
            from . import items

            # Run inside asyncio, so that async streams use its clock and its hooks.
            return asyncio.run(_inside(lambda: items.everything(seconds)))
        case "opening":
            from . import opening

            return asyncio.run(_inside(lambda: opening.everything(seconds)))
        case "switch":
            from . import switch

            return {
                "streams": asyncio.run(_inside(lambda: switch.everything(seconds))),
                "compare": switch.compare(seconds),
            }
        case "memory":
            from . import memory

            return asyncio.run(_inside(memory.everything))
        case "peers":
            return _peers(seconds)
        case "observe":
            from . import observe

            return observe.everything(seconds)
        case "checkpoint":
            from . import checkpoints

            return checkpoints.everything(seconds)
        case "download":
            from . import download

            return download.everything(seconds)
        case "hedge":
            return tail.everything()
        case "health":
            return outage.everything()
        case "scale":
            from . import scale

            return asyncio.run(_inside(lambda: scale.everything(seconds)))
        case "footprint":
            return footprint.everything()
        case "ray":
            with redirect_stdout(sys.stderr):  # Ray prints there that a node has died
                return remote.everything()
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


if __name__ == "__main__":
    main()
