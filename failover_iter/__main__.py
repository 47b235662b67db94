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
    """Run the command and return its exit code.

    The code is 0 for success, 1 for an unexpected outcome, 2 for wrong usage, and 141 (as for
    SIGPIPE) if the reader of the output has gone away.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_usage(sys.stderr)
        print("failover-iter: no command given; try: failover-iter demo", file=sys.stderr)
        return 2
    from failover_iter._cli.demo import demo  # --help does not need the servers and clients

    try:
        return demo()
    except BrokenPipeError:
        # The reader (`| head`) has gone away. Python's flush at exit must not fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="failover-iter", description="Failover for streams: command-line tools."
    )
    parser.add_argument("--version", action="version", version=f"failover-iter {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    about = (
        "Stream a text from two local HTTP servers, the first of which fails mid-stream, in each "
        "mid-stream mode. The exit code is 1 if any outcome is not the expected one."
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
