"""The arguments of the commands. The commands themselves are imported when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser


def add_get_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    _add_mirrors(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="where to write")
    parser.add_argument("--sha256", metavar="HEX", help="the digest that the file must have")
    parser.add_argument("--json", action="store_true", help="print the outcome as a JSON object")


def add_cat_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    _add_mirrors(parser)
    parser.add_argument("--lines", action="store_true", help="write each line when it is complete")


def add_serve_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "marbles",
        nargs="+",
        metavar="MARBLES",
        help='one argument for each source, such as "ab#; abc|": a and b and a reset at the first '
        "request, and a, b, c at the next one",
    )
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--tick", type=float, default=0.05, metavar="SECONDS", help="default: 0.05")


def add_demo_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `demo`."""
    parser.add_argument(
        "--mode",
        choices=("restart", "raise", "skip", "resume"),
        help="show the scenarios of one mid-stream mode (default: all)",
    )
    parser.add_argument(
        "--slow", action="store_true", help="wait a second after each scenario, to read along"
    )


def _add_mirrors(parser: ArgumentParser) -> None:
    """Add the arguments of `get` and `cat`."""
    parser.add_argument("urls", metavar="URL", nargs="+", help="the mirrors, in this order")
    parser.add_argument(
        "--attempts",
        type=_positive,
        default=5,
        metavar="N",
        help="failures in a row after which a mirror is given up (default: 5)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long a mirror may be silent (default: 30)",
    )
    parser.add_argument(
        "--same-file",
        choices=("etag", "size", "none"),
        default="etag",
        help="what shows that two mirrors have the same file (default: etag)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number
