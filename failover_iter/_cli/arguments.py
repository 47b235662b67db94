"""The arguments of the commands. The commands themselves are imported when they run."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from math import nan
from string import hexdigits
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argparse import ArgumentParser

LAST_PORT: Final = 65535
_DIGEST_DIGITS: Final = 64


def add_get_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    _add_mirrors(parser)
    parser.add_argument(
        "-o", "--output", type=_file, metavar="FILE", required=True, help="where to write"
    )
    parser.add_argument(
        "--sha256", type=_digest, metavar="HEX", help="the digest that the file must have"
    )
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
    parser.add_argument("--port", type=_port, default=0, help="default: a free one")
    parser.add_argument(
        "--tick", type=_pause, default=0.05, metavar="SECONDS", help="default: 0.05"
    )


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
        type=_seconds,
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


def _file(text: str) -> str:
    if text == "-":
        raise ArgumentTypeError("to write to stdout, use failover-iter cat")
    if os.path.split(text)[1] == "":
        raise ArgumentTypeError(f"must be the name of a file, got {text!r}")
    return text


def _digest(text: str) -> str:
    if len(text) != _DIGEST_DIGITS or not set(text) <= set(hexdigits):
        raise ArgumentTypeError(f"must be {_DIGEST_DIGITS} hexadecimal digits, got {text!r}")
    return text.lower()


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"must be a whole number, at least 1, got {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise ArgumentTypeError(f"must be a port, 0 to {LAST_PORT}, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    if not 0 < _number(text) <= TIMEOUT_MAX:
        raise ArgumentTypeError(f"must be seconds, more than 0, got {text!r}")
    return float(text)


def _pause(text: str) -> float:
    if not 0 <= _number(text) <= TIMEOUT_MAX:
        raise ArgumentTypeError(f"must be seconds, at least 0, got {text!r}")
    return float(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return nan
