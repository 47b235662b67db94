"""The command `failover-iter`, also `python -m failover_iter`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command, and give its exit code.

    0, 1 for a broken promise, 2 for wrong use, 141 (that of SIGPIPE) where nobody reads on.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_usage(sys.stderr)
        print("failover-iter: say what to do, for instance: failover-iter demo", file=sys.stderr)
        return 2
    from failover_iter._cli.demo import demo  # servers and clients, of no use to --help

    try:
        return demo()
    except BrokenPipeError:
        # The reader (`| head`) has gone: Python's own flush at the exit must not fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="failover-iter", description="Streams that survive their source, shown at work."
    )
    parser.add_argument("--version", action="version", version=f"failover-iter {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    about = (
        "Pull a text from two HTTP servers on this machine, the first of which resets the "
        "connection midway, in each mid-stream mode. The exit code is 1 if a promise is broken."
    )
    commands.add_parser("demo", help=about, description=about)
    return parser


def _version() -> str:
    try:
        return version("failover-iter")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
