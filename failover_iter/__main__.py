"""The command `failover-iter`, also `python -m failover_iter`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from failover_iter._cli.arguments import (
    add_cat_arguments,
    add_demo_arguments,
    add_get_arguments,
    add_serve_arguments,
)
from failover_iter._cli.outcomes import (
    CLOSED_PIPE,
    INTERRUPTED,
    MEANINGS,
    NOT_WRITTEN,
    USAGE,
    complain,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CODES: Final = f"Exit codes: {'. '.join(f'{code} {text}' for code, text in MEANINGS.items())}."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `MEANINGS` says what the codes mean."""
    _replace_closed_streams()
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_usage(sys.stderr)
        print("failover-iter: no command given; try: failover-iter demo", file=sys.stderr)
        return USAGE
    module, function = COMMANDS[arguments.command]
    try:
        run = getattr(import_module(f"failover_iter._cli.{module}"), function)
        code = int(run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return CLOSED_PIPE
    except OSError as error:
        _discard_output()
        closed = isinstance(error, UnsupportedOperation)  # by `>&-`
        complain(arguments.command, "stdout is closed" if closed else error)
        return NOT_WRITTEN
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _replace_closed_streams() -> None:
    """Replace a closed stdout (`>&-`) by a file that cannot be written, and stderr by any file."""
    sys.stdout = sys.stdout or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _discard_output() -> None:
    """Let Python's flush at the exit not fail as well."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
