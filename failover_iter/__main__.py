"""The command `failover-iter`, also `python -m failover_iter`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from failover_iter._cli.arguments import (
    add_cat_arguments,
    add_demo_arguments,
    add_get_arguments,
    add_serve_arguments,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CODES: Final = (
    "Exit codes: 0 success; 1 no mirror delivered the whole file (demo: an unexpected outcome); 2 "
    "wrong usage, or a package is missing; 3 another SHA-256 digest; 4 the file cannot be written; "
    "130 interrupted; 141 the reader of the output has gone away."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    The code is 0 for success, 1 for an unexpected outcome, 2 for wrong usage or a missing package,
    3 for a wrong digest, 4 if a file cannot be written, 130 after an interrupt, and 141 (as for
    SIGPIPE) if the reader of the output has gone away.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_usage(sys.stderr)
        print("failover-iter: no command given; try: failover-iter demo", file=sys.stderr)
        return 2
    module, function = COMMANDS[arguments.command]
    try:
        run = getattr(import_module(f"failover_iter._cli.{module}"), function)
        return int(run(arguments))
    except BrokenPipeError:
        # The reader (`| head`) has gone away. Python's flush at exit must not fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


#: The module and the function of each command; --help needs none of them.
COMMANDS = {
    "get": ("get", "get"),
    "cat": ("cat", "cat"),
    "serve": ("serve", "serve"),
    "demo": ("demo", "run_demo"),
}


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="failover-iter", description="Failover for streams: command-line tools."
    )
    parser.add_argument("--version", action="version", version=f"failover-iter {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    _add(
        commands,
        "get",
        "Download a file from mirrors, and resume it after a kill.",
        add_get_arguments,
    )
    _add(commands, "cat", "Write a file from mirrors to stdout.", add_cat_arguments)
    _add(
        commands, "serve", "Serve marbles over HTTP on the loopback interface.", add_serve_arguments
    )
    about = (
        "Stream a text from two local HTTP servers, the first of which fails mid-stream, in each "
        "mid-stream mode. The exit code is 1 if any outcome is not the expected one."
    )
    _add(commands, "demo", about, add_demo_arguments)
    return parser


def _add(
    commands: Any, name: str, about: str, add_arguments: Callable[[ArgumentParser], None]
) -> None:
    add_arguments(commands.add_parser(name, help=about, description=about, epilog=CODES))


def _version() -> str:
    try:
        return version("failover-iter")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
